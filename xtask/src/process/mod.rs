//! Child processes: `child` ties them to this process, `captured_output` keeps their stderr, `exit_description` explains
//! their exit statuses.

pub(crate) mod captured_output;
pub(crate) mod child;
pub(crate) mod exit_description;
