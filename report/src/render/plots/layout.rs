//! Where panels stand, and what legends say, where plots have these in common.

use super::canvas::Area;
use super::data::{Question, mode};
use super::figure::{Entry, MARGIN, Sign, WIDTH};
use super::palette::look;
use super::panel::LEFT;
use crate::result::Cell;

/// Areas of equal width beside each other, each with room for an axis on its left.
pub(crate) fn side_by_side(top: f64, high: f64, count: usize) -> Vec<Area> {
    let each = (WIDTH - 2.0 * MARGIN) / count.max(1) as f64;
    let area = |position: usize| {
        let left = MARGIN + each * position as f64 + LEFT - 8.0;
        let right = MARGIN + each * (position + 1) as f64 - if position + 1 < count { 14.0 } else { 0.0 };
        (left, top, right - left, high)
    };
    (0..count).map(area).collect()
}

/// An entry per way to wait.
pub(crate) fn mode_entries(questions: &[Question<'_>]) -> Vec<Entry> {
    entries_of(questions.iter().flat_map(|question| &question.series).map(|series| series.cell))
}

/// An entry per way to wait among these cells, in the order of the palette.
pub(crate) fn entries_of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Entry> {
    let mut seen: Vec<&Cell> = Vec::new();
    for cell in cells {
        if !seen.iter().any(|one| (one.host_wait, one.guest_wait) == (cell.host_wait, cell.guest_wait)) {
            seen.push(cell);
        }
    }
    let is_mixed = |cell: &&Cell| cell.host_wait != cell.guest_wait;
    seen.sort_by_key(|cell| (is_mixed(cell), cell.host_wait, cell.guest_wait));
    let mixed = if seen.iter().any(is_mixed) { " (host/guest)" } else { "" };
    let entry = |(position, cell): (usize, &&Cell)| {
        let is_first_mixed = is_mixed(cell) && !seen[..position].iter().any(is_mixed);
        let note = if is_first_mixed { mixed } else { "" };
        Entry { sign: Sign::Mode(look(cell.host_wait, cell.guest_wait)), label: format!("{}{note}", mode(cell)) }
    };
    seen.iter().enumerate().map(entry).collect()
}
