//! Figures over raw samples, none of which presumes a distribution. Nothing here knows what the samples are of.
//!
//! Read in this order:
//! 1. [`percentile`]: nearest-rank percentiles, from how many samples they are given, and their intervals from order
//!    statistics. [`outliers`]: what lies beyond Tukey's fences.
//! 2. [`summary`]: both, with the mean and the deviation, of one cell's latencies or one leg.

pub mod outliers;
pub mod percentile;
pub mod summary;

pub use outliers::Outliers;
pub use percentile::{Interval, Percentile};
pub use summary::{Intervals, LegSummary, Summary};
