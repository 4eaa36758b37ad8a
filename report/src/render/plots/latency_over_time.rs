//! `latency_over_time`: latencies in the order of measurement, block after block, to show drift, bursts and differences
//! between blocks. Thinned, but extremes are kept.

use super::Texts;
use super::draw::{ABOVE, Axes, Axis, AxisUnit, Chart, LegendEntry, MUTED, Point, SHADE, Scale, Stroke, position};
use super::percentile_curve::sample_counts;
use super::series::{BlockSamples, ModeSamples, PanelGroup, PlotData, described, legend_of_groups, mode, time_scale};
use bench_model::units::duration;
use statistics::Percentile;

const HEIGHT: f64 = 230.0;
/// Width of a pixel column, which shows minimum, median and maximum.
const COLUMN: f64 = 1.5;
/// Up to this number, operations are drawn as large dots.
const MAX_LARGE_DOTS: usize = 300;

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let groups = data.latencies();
    if groups.is_empty() {
        return None;
    }
    let mut entries = legend_of_groups(&groups);
    entries.push(LegendEntry::line(Stroke::new(MUTED, 2.4), "p50 of the block"));
    entries.push(LegendEntry::line(Stroke::new(MUTED, 1.3).dash("5 3"), "p99 of all blocks"));
    chart.legend(entries);
    for group in &groups {
        panel(chart, group);
    }
    let caption = format!(
        "Alternating shades mark blocks. Each pixel column shows minimum, median and maximum. {}.",
        sample_counts(&groups)
    );
    Some(Texts { caption, alt: described(&groups, describe) })
}

fn panel(chart: &mut Chart, group: &PanelGroup<'_>) {
    let mut blocks: Vec<(&ModeSamples<'_>, &BlockSamples)> =
        group.series.iter().flat_map(|series| series.blocks.iter().map(move |block| (series, block))).collect();
    blocks.sort_by_key(|(_, block)| block.index);
    let total: usize = blocks.iter().map(|(_, block)| block.samples.len()).sum();
    let axes = Axes {
        area: chart.panel(ABOVE, HEIGHT),
        heading: group.title(),
        x: Axis::new(
            Scale::Linear { low: 0.0, high: total.max(1) as f64 },
            AxisUnit::Count,
            "operation, in the order of measurement",
        ),
        y: Axis::new(time_scale(&group.series), AxisUnit::Time, "latency"),
    };
    let mut from = 0;
    let mut starts = Vec::new();
    for (at, (_, block)) in blocks.iter().enumerate() {
        let (left, right) = (axes.x_at(from as f64), axes.x_at((from + block.samples.len()) as f64));
        if at % 2 == 1 {
            chart.svg.rect((left, axes.area.1, right - left, HEIGHT), SHADE, 1.0, "");
        }
        starts.push(from);
        from += block.samples.len();
    }
    axes.draw(&mut chart.svg);
    for ((series, block), start) in blocks.iter().zip(&starts) {
        let left = axes.x_at(*start as f64);
        let right = axes.x_at((start + block.samples.len()) as f64);
        let columns = position(((right - left) / COLUMN).max(1.0));
        let dots: Vec<Point> = thinned(&block.samples, columns)
            .into_iter()
            .map(|(at, ns)| axes.point((start + at) as f64 + 0.5, ns as f64))
            .collect();
        let (size, opacity) = if total <= MAX_LARGE_DOTS { (5.0, 0.9) } else { (2.0, 0.5) };
        chart.svg.dots(&dots, size, series.style.color, opacity);
    }
    for series in &group.series {
        if let Some(p99) = Percentile::P99.of(&series.sorted) {
            let y = axes.y_at(p99 as f64);
            let stroke = Stroke::new(series.style.color, 1.3).dash("5 3");
            chart.svg.line((axes.area.0, y), (axes.right(), y), stroke);
        }
    }
    for ((series, block), start) in blocks.iter().zip(&starts) {
        if let Some(p50) = median(block) {
            let from = axes.point(*start as f64, p50 as f64);
            let to = axes.point((start + block.samples.len()) as f64, p50 as f64);
            chart.svg.line(from, to, Stroke::new(series.style.color, 2.6));
        }
    }
}

/// Reduces samples to minimum, median and maximum of each column, with their positions.
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

fn median(block: &BlockSamples) -> Option<u64> {
    let mut sorted = block.samples.clone();
    sorted.sort_unstable();
    Percentile::P50.of(&sorted)
}

fn describe(group: &PanelGroup<'_>) -> String {
    let range = |series: &ModeSamples<'_>| {
        let medians = series.blocks.iter().filter_map(median);
        let (low, high) = medians.fold((u64::MAX, 0), |(low, high), p50| (low.min(p50), high.max(p50)));
        let medians = format!("{} to {}", duration(low as f64), duration(high as f64));
        format!("{} {medians} ({} blocks)", mode(series.cell), series.blocks.len())
    };
    let ranges: Vec<String> = group.series.iter().map(range).collect();
    format!("{}, range of block medians: {}.", group.title(), ranges.join("; "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn thinning_keeps_extremes_and_positions(
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
