//! What the command lines of this project share, so that the same mistake gets the same message in each of them.
//!
//! [`duration`] and [`number`] are value parsers for clap; they need no clap themselves. `man_pages` is behind the feature
//! of this name, because the guest's binary must stay small.

pub mod duration;
#[cfg(feature = "man-pages")]
pub mod man_pages;
pub mod number;
