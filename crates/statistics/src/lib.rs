//! Statistics over raw samples, without assumptions about their distribution.
//!
//! Read in this order:
//! 1. `percentile`: nearest-rank percentiles, from how many samples they are given, and their intervals from order
//!    statistics. `outliers`: what lies beyond Tukey's fences.
//! 2. `summary`: both, with the mean and the deviation, of one cell's latencies or one leg.
//! 3. `bootstrap`: medians and ratios of series measured in blocks. Neighbours are correlated and blocks drift, so
//!    order statistics would be too narrow. `block_bootstrap` resamples such a series.
//! 4. `noise`: noise floors, and the outcome ([`Change`]) of a comparison.

mod block_bootstrap;
mod bootstrap;
mod noise;
mod outliers;
mod percentile;
mod summary;
mod sums;

pub use bootstrap::{BlockTotal, Ratio, median_interval, ratio_of_medians, ratio_of_totals};
pub use noise::{Change, halves, noise_floor, noise_floor_of_totals};
pub use outliers::Outliers;
pub use percentile::{Interval, Percentile, median};
pub use summary::{Intervals, LegSummary, Summary, deviation};
pub use sums::{sum_known, total};
