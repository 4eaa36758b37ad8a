//! The plots of a run, as SVG and as PNG. Pure but for [`write_into`]: the same run gives the same bytes.
//!
//! SVG is written directly rather than through a plotting library, because what makes these plots worth having is what
//! such libraries lack: colours that follow the page ([`themed`]), figures shown where one points, an axis of nines,
//! units chosen per tick, and labels that are laid out by the widths of the letters instead of by guesses.
//!
//! Read in this order:
//! 1. `palette`, `font`, `canvas`: colours, letters, elements.
//! 2. `scale`, `panel`, `figure`, `layout`: axes, a rectangle with two of them, and the frame around all; `curve`,
//!    `labels`, `bins`, `frames`: what several plots draw alike.
//! 3. `data`: what of a run belongs together.
//! 4. A file per plot.
//! 5. `theme` and `png`: the plot in a page and as pixels. `files`: the folder.

mod against_cpu;
mod against_rate;
mod bandwidth;
mod bins;
mod canvas;
mod contention;
mod curve;
mod data;
mod ecdf;
mod figure;
mod files;
mod font;
mod frame_phases;
mod frames;
mod histogram;
mod labels;
mod layout;
mod legs;
mod over_time;
mod palette;
mod panel;
mod percentiles;
mod png;
mod scale;
mod storm;
mod stream;
mod theme;

pub use self::files::write_into;
pub(crate) use self::files::{FOLDER, file_names};
pub use self::palette::{PALETTE, Swatch};
pub use self::png::{PngError, png};
pub use self::theme::themed;

use self::data::Data;
use crate::io::run::Run;
use crate::result::RunResult;

/// A plot of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plot {
    /// The stem of its files' names.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// What it shows and of how many samples.
    pub caption: String,
    /// The environment in a few words. The picture has it in its caption; a page shows it once for all plots.
    pub place: String,
    /// The figures in words, for readers who do not see the plot.
    pub alt: String,
    /// The plot in static colours on a white ground, 1000 wide.
    pub svg: String,
}

type Draw = fn(&Data<'_>) -> Option<Plot>;

/// Every plot, in the order in which a reader wants them.
const ALL: [(&str, Draw); 12] = [
    ("latency_percentiles", percentiles::plot),
    ("latency_histogram", histogram::plot),
    ("latency_over_time", over_time::plot),
    ("latency_ecdf", ecdf::plot),
    ("legs", legs::plot),
    ("latency_against_cpu", against_cpu::plot),
    ("latency_against_rate", against_rate::plot),
    ("contention", contention::plot),
    ("bandwidth_analysis", bandwidth::plot),
    ("frame_phases", frame_phases::plot),
    ("storm", storm::plot),
    ("stream", stream::plot),
];

/// The plots for which the run has data.
#[must_use]
pub fn plots(result: &RunResult, run: &Run) -> Vec<Plot> {
    let data = Data { result, run };
    ALL.iter().filter_map(|(_, draw)| draw(&data)).collect()
}
