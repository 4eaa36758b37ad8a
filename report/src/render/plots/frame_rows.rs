//! Rows of the frame plots: one per size and wait mode.

use super::draw::axes::Axes;
use super::draw::palette::MUTED;
use super::draw::svg::{SvgWriter, TextAnchor, TextStyle};
use super::series::{ModeSamples, PlotData, mode};
use crate::result::Cell;
use bench_model::Workload;
use bench_model::units::size_name;

/// Height of a row.
pub(crate) const ROW: f64 = 19.0;
/// Space between sizes.
const BETWEEN: f64 = 9.0;

/// Successful frames by cell, in ascending order of size.
pub(crate) fn series<'a>(data: &PlotData<'a>) -> Vec<ModeSamples<'a>> {
    data.cells(Workload::Frame).filter_map(|cell| data.series(cell)).collect()
}

/// The offset of each row, and the total height.
pub(crate) fn rows(cells: &[&Cell]) -> (Vec<f64>, f64) {
    let mut y = 4.0;
    let mut starts = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 && cells[at - 1].size_bytes != cell.size_bytes {
            y += BETWEEN;
        }
        starts.push(y);
        y += ROW;
    }
    (starts, y + 4.0)
}

/// Labels the rows left of the panel: size and wait mode.
pub(crate) fn label_rows(svg: &mut SvgWriter, axes: &Axes, cells: &[&Cell], starts: &[f64]) {
    for (at, (cell, start)) in cells.iter().zip(starts).enumerate() {
        let y = axes.area.1 + start + ROW / 2.0 + 3.5;
        let mode: String = mode(cell);
        let how = TextStyle::new(11.5).anchor(TextAnchor::End);
        svg.text((axes.area.0 - 8.0, y), &mode, how.color(MUTED));
        if at == 0 || cells[at - 1].size_bytes != cell.size_bytes {
            svg.text(
                (super::draw::chart::MARGIN.max(axes.area.0 - LABELS_WIDTH), y),
                &size_name(cell.size_bytes),
                TextStyle::new(12.0).bold(),
            );
        }
    }
}

/// Width of the row labels.
pub(crate) const LABELS_WIDTH: f64 = 132.0;
