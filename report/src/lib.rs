//! What a run's folder holds and says: the plan that is measured, the raw results, statistics, exports, the summary.
//! Reads and writes files; starts nothing and measures nothing.
//!
//! Read in this order:
//! 1. [`plan`]: what is to be measured, written by the front door, read by the initiator; under which [`conditions`],
//!    on which CPUs ([`pinning`]), and with which [`fault`] put in on purpose.
//! 2. [`measured`] (with [`thread_cost`]) and [`samples`]: what the initiator brings back, per block and per operation;
//!    [`progress`]: what it says meanwhile.
//! 3. [`result`] and [`environment`]: the document that a run ends in.
//! 4. [`render()`]: from the one to the other. [`read`] takes the files in, [`run`] joins blocks and rows,
//!    [`evaluate`] makes [`cells`] (with [`stats`] and [`cost`]), comparisons ([`compare`], of the [`figure`] that a
//!    workload is about),
//!    [`findings`], [`checks`] and [`warnings`] of them.
//! 5. [`exports`] and [`summary()`]: the same figures as files and on a terminal, in the words of [`units`] and
//!    [`frame_size`].
//! 6. [`plots`]: the same figures as pictures.
//! 7. [`document`]: what there is to say of a run; [`page`] and [`text_report`] set it. [`render_again`]: all of it from a
//!    folder alone.
//! 8. [`across`]: several runs beside each other.

#[cfg(feature = "render")]
pub mod across;
#[cfg(feature = "render")]
pub mod again;
#[cfg(feature = "render")]
pub mod cell_name;
#[cfg(feature = "render")]
pub mod cells;
#[cfg(feature = "render")]
pub mod checks;
#[cfg(feature = "render")]
pub mod compare;
pub mod conditions;
#[cfg(feature = "render")]
pub mod cost;
#[cfg(feature = "render")]
pub mod document;
#[cfg(feature = "render")]
pub mod environment;
#[cfg(feature = "render")]
pub mod error;
#[cfg(feature = "render")]
pub mod evaluate;
#[cfg(feature = "render")]
pub mod exports;
pub mod fault;
#[cfg(feature = "render")]
pub mod figure;
#[cfg(feature = "render")]
pub mod findings;
#[cfg(feature = "render")]
pub mod frame_size;
pub mod measured;
#[cfg(feature = "render")]
pub mod page;
pub mod pinning;
pub mod plan;
#[cfg(feature = "render")]
pub mod plots;
pub mod progress;
#[cfg(feature = "render")]
pub mod read;
#[cfg(feature = "render")]
mod render;
#[cfg(feature = "render")]
pub mod result;
#[cfg(feature = "render")]
pub mod run;
#[cfg(feature = "render")]
mod salvage;
pub mod samples;
#[cfg(test)]
mod schema;
#[cfg(feature = "render")]
pub mod stats;
#[cfg(feature = "render")]
mod streams;
#[cfg(feature = "render")]
pub mod summary;
#[cfg(feature = "render")]
pub mod text_report;
pub mod thread_cost;
pub mod units;
#[cfg(feature = "render")]
pub mod warnings;

#[cfg(feature = "render")]
pub use crate::{
    again::{Again, render_again},
    error::ReportError,
    render::{note_end, render},
    result::RunResult,
    summary::{driver_table, styled_summary, summary},
};
