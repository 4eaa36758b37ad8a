//! What the plots of frames have in common: a row per size and way to wait.

use super::canvas::{Anchor, Canvas, Type};
use super::data::{Data, Series, mode};
use super::palette::MUTED;
use super::panel::Panel;
use crate::result::Cell;
use bench_model::Workload;
use bench_model::units::size_name;

/// Height of a row.
pub(crate) const ROW: f64 = 19.0;
/// Room between sizes.
const BETWEEN: f64 = 9.0;

/// The cells of frames with all that ended ok, sizes ascending.
pub(crate) fn series<'a>(data: &Data<'a>) -> Vec<Series<'a>> {
    data.cells(Workload::Frame).filter_map(|cell| data.series(cell)).collect()
}

/// Where each row begins, counted from the first one, and how high all are together.
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

/// Names the rows at the left of a panel: the size where it begins, and the way to wait.
pub(crate) fn name_rows(canvas: &mut Canvas, panel: &Panel, cells: &[&Cell], starts: &[f64]) {
    for (at, (cell, start)) in cells.iter().zip(starts).enumerate() {
        let y = panel.area.1 + start + ROW / 2.0 + 3.5;
        let mode: String = mode(cell);
        let how = Type::new(11.5).anchor(Anchor::End);
        canvas.text((panel.area.0 - 8.0, y), &mode, how.color(MUTED));
        if at == 0 || cells[at - 1].size_bytes != cell.size_bytes {
            canvas.text(
                (super::figure::MARGIN.max(panel.area.0 - NAMES), y),
                &size_name(cell.size_bytes),
                Type::new(12.0).bold(),
            );
        }
    }
}

/// Room for the names of rows.
pub(crate) const NAMES: f64 = 132.0;
