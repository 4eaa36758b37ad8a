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
pub(crate) use self::draw::palette::mode_class;
pub use self::draw::palette::{Color, PALETTE};
pub use self::draw::png::png;
pub use self::export::write_into;
pub(crate) use self::export::{DIRECTORY, file_names};

use self::draw::Chart;
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

/// The texts of a plot that depend on the run.
struct Texts {
    caption: String,
    alt: String,
}

/// Draws a plot. `None`: the run has no data for it.
type Draw = fn(&PlotData<'_>, &mut Chart) -> Option<Texts>;

/// Name, title and content of every plot, in the order of the report.
const ALL: [(&str, &str, Draw); 11] = [
    ("latency_percentiles", "Latency by percentile", percentile_curve::draw),
    ("latency_histogram", "Distribution of the latency", histogram::draw),
    ("latency_over_time", "Latency over time", latency_over_time::draw),
    ("legs", "Legs of a round trip", legs::draw),
    ("latency_against_cpu", "Latency against CPU time", latency_vs_cpu::draw),
    ("latency_against_rate", "Latency by offered load", latency_vs_rate::draw),
    ("contention", "Latency with busy threads", contention::draw),
    ("bandwidth_analysis", "Frames: bandwidth, duration and success", bandwidth::draw),
    ("frame_phases", "Phases of a frame", frame_phases::draw),
    ("storm", "Interrupts per doorbell, without waiting for acknowledgement", storm::draw),
    ("stream", "Throughput of a stream", stream::draw),
];

/// Plots of earlier versions. Their files are removed when a run is rendered again.
const RETIRED: [&str; 1] = ["latency_ecdf"];

/// The plots for which the run has data.
#[must_use]
pub fn plots(result: &RunResult, run: &Run) -> Vec<Plot> {
    let data = PlotData { result, run };
    let plot = |&(name, title, draw): &(&'static str, &str, Draw)| {
        let mut chart = Chart::new();
        let texts = draw(&data, &mut chart)?;
        Some(chart.finish(name, title, texts, data.environment()))
    };
    ALL.iter().filter_map(plot).collect()
}
