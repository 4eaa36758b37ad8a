//! The plots of a run as SVG and PNG. Deterministic: the same run gives the same bytes.
//!
//! SVG is written directly because plotting libraries lack what the report needs: colours that follow the page's theme
//! ([`themed`]), tooltips, a nines axis for percentiles, units chosen per tick, and deterministic text layout by glyph
//! widths.
//!
//! 1. `draw`: colours, text, SVG elements, scales, axes, legends.
//! 2. `series`: selects the cells and samples of each panel. `frame_rows`: rows of the frame plots.
//! 3. One file per plot.
//! 4. `export` writes the files.

mod bandwidth;
mod contention;
mod draw;
mod export;
mod frame_phases;
mod frame_rows;
mod histogram;
mod latency_over_time;
mod latency_vs_cpu;
mod latency_vs_rate;
mod legs;
mod percentile_curve;
mod series;
mod storm;
mod stream;

pub use self::draw::css_vars::themed;
pub use self::draw::palette::{Color, PALETTE};
pub use self::draw::png::{PngError, png};
pub use self::export::write_into;
pub(crate) use self::export::{FOLDER, file_names};

use self::series::PlotData;
use crate::io::run::Run;
use crate::result::RunResult;

/// A plot of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plot {
    /// File name without extension.
    pub name: &'static str,
    /// Title.
    pub title: String,
    /// Caption with the sample counts.
    pub caption: String,
    /// The environment in a few words. It ends the caption in the picture; the page shows it once for all plots.
    pub environment: String,
    /// The values as text, for screen readers.
    pub alt: String,
    /// The SVG with static colours on white, 1000 pixels wide.
    pub svg: String,
}

type Draw = fn(&PlotData<'_>) -> Option<Plot>;

/// Every plot, in the order of the report.
const ALL: [(&str, Draw); 11] = [
    ("latency_percentiles", percentile_curve::plot),
    ("latency_histogram", histogram::plot),
    ("latency_over_time", latency_over_time::plot),
    ("legs", legs::plot),
    ("latency_against_cpu", latency_vs_cpu::plot),
    ("latency_against_rate", latency_vs_rate::plot),
    ("contention", contention::plot),
    ("bandwidth_analysis", bandwidth::plot),
    ("frame_phases", frame_phases::plot),
    ("storm", storm::plot),
    ("stream", stream::plot),
];

/// Plots of earlier versions. Their files are removed when a run is rendered again.
const RETIRED: [&str; 1] = ["latency_ecdf"];

/// The plots for which the run has data.
#[must_use]
pub fn plots(result: &RunResult, run: &Run) -> Vec<Plot> {
    let data = PlotData { result, run };
    ALL.iter().filter_map(|(_, draw)| draw(&data)).collect()
}
