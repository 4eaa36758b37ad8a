//! `latency_over_time`: operations in the order in which they were measured, block after block, so that drift,
//! bursts and differences between blocks can be seen. Thinned without losing an extreme.

use super::canvas::{Place, Stroke};
use super::data::{Data, Question, Series, Stretch, mode, position};
use super::figure::{Entry, Figure, MARGIN, Sign, WIDTH};
use super::palette::{MUTED, SHADE};
use super::panel::{ABOVE, Axis, BELOW, LEFT, Panel};
use super::percentiles::told_counts;
use super::scale::{Scale, Unit};
use super::{Plot, layout};
use crate::stats::Percentile;
use bench_model::units::duration;

const HIGH: f64 = 230.0;
/// Pixels for which a least, a middle and a largest sample stand.
const COLUMN: f64 = 1.5;
/// So many operations have room enough for dots that are seen one by one.
const FEW: usize = 300;

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let questions = data.latencies();
    if questions.is_empty() {
        return None;
    }
    let mut figure = Figure::new("latency_over_time", "Latency over time");
    let mut entries = layout::mode_entries(&questions);
    entries.push(Entry { sign: Sign::Line(Stroke::new(MUTED, 2.4)), label: "p50 of the block".into() });
    entries.push(Entry { sign: Sign::Line(Stroke::new(MUTED, 1.3).dash("5 3")), label: "p99 of all blocks".into() });
    figure.legend(entries);
    for question in &questions {
        panel(&mut figure, question);
    }
    let caption = format!(
        "Alternating shades mark blocks. Each pixel column shows minimum, median and maximum. {}.",
        told_counts(&questions)
    );
    let alt = questions.iter().map(in_words).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

fn panel(figure: &mut Figure, question: &Question<'_>) {
    let mut blocks: Vec<(&Series<'_>, &Stretch)> =
        question.series.iter().flat_map(|series| series.blocks.iter().map(move |block| (series, block))).collect();
    blocks.sort_by_key(|(_, block)| block.index);
    let total: usize = blocks.iter().map(|(_, block)| block.samples.len()).sum();
    let extremes = question.series.iter().flat_map(|series| [series.sorted.first(), series.sorted.last()]).flatten();
    let panel = Panel {
        area: (MARGIN + LEFT - 8.0, figure.y + ABOVE, WIDTH - 2.0 * MARGIN - LEFT + 8.0, HIGH),
        heading: question.title(),
        x: Axis::new(
            Scale::Linear { low: 0.0, high: total.max(1) as f64 },
            Unit::Count,
            "operation, in the order of measurement",
        ),
        y: Axis::new(Scale::log(extremes.map(|&ns| ns as f64), 1.0), Unit::Time, "latency"),
    };
    let mut from = 0;
    let mut starts = Vec::new();
    for (at, (_, block)) in blocks.iter().enumerate() {
        let (left, right) = (panel.px(from as f64), panel.px((from + block.samples.len()) as f64));
        if at % 2 == 1 {
            figure.canvas.rect((left, panel.area.1, right - left, HIGH), SHADE, 1.0, "");
        }
        starts.push(from);
        from += block.samples.len();
    }
    panel.frame(&mut figure.canvas);
    for ((series, block), start) in blocks.iter().zip(&starts) {
        let left = panel.px(*start as f64);
        let right = panel.px((start + block.samples.len()) as f64);
        let columns = position(((right - left) / COLUMN).max(1.0));
        let dots: Vec<Place> = thinned(&block.samples, columns)
            .into_iter()
            .map(|(at, ns)| panel.place((start + at) as f64 + 0.5, ns as f64))
            .collect();
        let (wide, opacity) = if total <= FEW { (5.0, 0.9) } else { (2.0, 0.5) };
        figure.canvas.dots(&dots, wide, series.look.color, opacity);
    }
    for series in &question.series {
        if let Some(p99) = Percentile::P99.of(&series.sorted) {
            let y = panel.py(p99 as f64);
            let stroke = Stroke::new(series.look.color, 1.3).dash("5 3");
            figure.canvas.line((panel.area.0, y), (panel.right(), y), stroke);
        }
    }
    for ((series, block), start) in blocks.iter().zip(&starts) {
        let mut sorted = block.samples.clone();
        sorted.sort_unstable();
        if let Some(p50) = Percentile::P50.of(&sorted) {
            let from = panel.place(*start as f64, p50 as f64);
            let to = panel.place((start + sorted.len()) as f64, p50 as f64);
            figure.canvas.line(from, to, Stroke::new(series.look.color, 2.6));
        }
    }
    figure.y += ABOVE + HIGH + BELOW;
}

/// Samples with their positions: of each of so many columns the least, the middle and the largest one.
fn thinned(samples: &[u64], columns: usize) -> Vec<(usize, u64)> {
    let each = samples.len().div_ceil(columns.max(1)).max(1);
    let mut kept = Vec::new();
    for (column, chunk) in samples.chunks(each).enumerate() {
        let mut order: Vec<usize> = (0..chunk.len()).collect();
        order.sort_by_key(|&at| chunk[at]);
        let mut chosen = vec![order[0], order[order.len() / 2], order[order.len() - 1]];
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().map(|at| (column * each + at, chunk[at])));
    }
    kept
}

fn in_words(question: &Question<'_>) -> String {
    let one = |series: &Series<'_>| {
        let medians = series.blocks.iter().filter_map(|block| {
            let mut sorted = block.samples.clone();
            sorted.sort_unstable();
            Percentile::P50.of(&sorted)
        });
        let (low, high) = medians.fold((u64::MAX, 0), |(low, high), p50| (low.min(p50), high.max(p50)));
        let range = format!("{} to {}", duration(low as f64), duration(high as f64));
        format!("{} {range} over {} blocks", mode(series.cell), series.blocks.len())
    };
    let all: Vec<String> = question.series.iter().map(one).collect();
    format!("{}, medians block by block: {}.", question.title(), all.join("; "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn thinning_keeps_the_extremes_and_their_places(
            samples in prop::collection::vec(any::<u64>(), 1..3_000),
            columns in 1_usize..400,
        ) {
            let kept = thinned(&samples, columns);
            prop_assert!(kept.len() <= 3 * columns);
            prop_assert!(kept.iter().all(|(at, ns)| samples[*at] == *ns));
            prop_assert!(kept.is_sorted_by(|one, other| one.0 < other.0));
            prop_assert_eq!(kept.iter().map(|(_, ns)| *ns).max(), samples.iter().copied().max());
            prop_assert_eq!(kept.iter().map(|(_, ns)| *ns).min(), samples.iter().copied().min());
        }
    }
}
