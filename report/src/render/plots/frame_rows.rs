//! Rows of the frame plots: one per size and wait mode.

use super::draw::{MARGIN, MUTED, Rect, SvgWriter, TextAnchor, TextStyle};
use super::series::mode;
use crate::result::Cell;
use bench_model::units::size_name;

/// Height of a row.
pub(crate) const ROW: f64 = 19.0;
/// Width of the row labels.
pub(crate) const LABELS_WIDTH: f64 = 132.0;
/// Space between sizes.
const BETWEEN: f64 = 9.0;

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
pub(crate) fn label_rows(svg: &mut SvgWriter, (left, top, ..): Rect, cells: &[&Cell], starts: &[f64]) {
    for (at, (cell, start)) in cells.iter().zip(starts).enumerate() {
        let y = top + start + ROW / 2.0 + 3.5;
        let style = TextStyle::new(11.5).anchor(TextAnchor::End).color(MUTED);
        svg.text((left - 8.0, y), &mode(cell), style);
        if at == 0 || cells[at - 1].size_bytes != cell.size_bytes {
            let x = MARGIN.max(left - LABELS_WIDTH);
            svg.text((x, y), &size_name(cell.size_bytes), TextStyle::new(12.0).bold());
        }
    }
}
