//! Shared by the command lines of this project: equal mistakes get equal messages and exit statuses.
//!
//! - [`duration`], [`number`] and [`size`]: value parsers for clap, without a dependency on clap.
//! - [`output`] and [`exit_status`]: output that survives a closed pipe, and the statuses that scripts rely on.
//! - [`exit_description`]: how a child process ended, in words.
//! - `arguments` (feature `arguments`): parses a command line.
//! - `man_pages` (feature `man-pages`): man pages and completions. Off in the guest's binary, which must stay small.

#[cfg(feature = "arguments")]
pub mod arguments;
pub mod duration;
pub mod exit_description;
pub mod exit_status;
#[cfg(feature = "man-pages")]
pub mod man_pages;
pub mod number;
pub mod output;
pub mod size;
