//! What the command lines of this project share, so that the same mistake gets the same message and exit status in each.
//!
//! - [`duration`], [`number`] and [`size`]: value parsers for clap, which need no clap themselves.
//! - [`output`] and [`exit_status`]: output that survives a closed pipe, and the statuses that scripts rely on.
//! - `arguments`, with the feature of this name: parsing a command line.
//! - `man_pages`, with the feature `man-pages`: off in the guest's binary, which must stay small.

#[cfg(feature = "arguments")]
pub mod arguments;
pub mod duration;
pub mod exit_status;
#[cfg(feature = "man-pages")]
pub mod man_pages;
pub mod number;
pub mod output;
pub mod size;
