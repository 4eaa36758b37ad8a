//! Figures over raw samples, none of which presumes a distribution. Nothing here knows what the samples are of.
//!
//! Read in this order:
//! 1. [`percentile`]: nearest-rank percentiles, from how many samples they are given, and their intervals from order
//!    statistics. [`outliers`]: what lies beyond Tukey's fences.
//! 2. [`summary`]: both, with the mean and the deviation, of one cell's latencies or one leg.
//! 3. [`bootstrap`]: medians and ratios of series that were measured in blocks, where neighbours resemble each other
//!    and blocks drift, so that order statistics would promise too much. `resample` draws such a series again.
//! 4. [`noise`]: how far a series lies from itself, and the [`Word`] for a comparison.

mod block_bootstrap;
pub mod bootstrap;
pub mod noise;
pub mod outliers;
pub mod percentile;
pub mod summary;
mod sums;

pub use bootstrap::{Ratio, Share, median_interval, ratio_of_medians, ratio_of_totals};
pub(crate) use noise::halves;
pub use noise::{Change, NoiseFloor};
pub use outliers::Outliers;
pub use percentile::{Interval, Percentile};
pub(crate) use summary::deviation;
pub use summary::{Intervals, LegSummary, Summary};
pub(crate) use sums::{sum_known, total};
