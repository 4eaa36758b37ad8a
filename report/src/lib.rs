//! What a run's folder holds and says: the plan that is measured, the raw results, statistics, exports, the summary.
//! Reads and writes files; starts nothing and measures nothing.
//!
//! Read in this order:
//! 1. [`plan`]: what is to be measured, written by the front door, read by the initiator; under which [`conditions`],
//!    on which CPUs ([`pinning`]), and with which [`fault`] put in on purpose.
//! 2. [`measured`] (with [`thread_cost`]) and [`samples`]: what the initiator brings back, per block and per operation;
//!    [`journal`]: the blocks as they are finished; [`progress`]: what it says meanwhile.
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

#[cfg(test)]
mod schema;

pub mod across;
pub mod again;
pub(crate) mod beside;
pub mod cell_name;
pub mod cells;
pub mod checks;
pub mod compare;
pub mod cost;
pub mod document;
pub mod environment;
pub mod error;
pub mod evaluate;
pub mod exports;
pub mod figure;
pub mod findings;
pub(crate) mod offered;
pub mod page;
pub(crate) mod places;
pub mod plots;
pub mod read;
pub(crate) mod render;
pub mod result;
pub mod run;
pub(crate) mod salvage;
pub mod stats;
pub(crate) mod streams;
pub mod summary;
pub mod text_report;
pub mod warnings;

pub use crate::{
    again::{Again, render_again},
    error::ReportError,
    render::{Ended, render, render_ended},
    result::RunResult,
    summary::{driver_table, styled_summary, styled_summary_within, summary, summary_within},
};
