//! Child processes: started so that they never outlive this one, their output kept, their end described.

pub(crate) mod captured_output;
pub(crate) mod child;
pub(crate) mod exit_description;
