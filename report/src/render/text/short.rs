//! `performance_report.txt`: the report to paste into a mail, of at most 120 lines of 100 columns.

use std::collections::BTreeSet;

use crate::render::report_doc::{Document, comparison, value::Value};
use crate::render::terminal::findings::short_remarks;
use crate::render::terminal::table::{aligned, or_dash, time, what};
use crate::render::terminal::text::{elided, wrapped};
use crate::render::terminal::{LINES_EACH, has_row, legend};
use crate::result::{Cell, CheckOutcome, RunResult};
use crate::stats::Interval;
use bench_model::raw::PeakBandwidth;
use bench_model::units::size_name;
use bench_model::units::{duration, sig3, speed, thousands};

use super::{FILE_NAME, heading, item, paragraph};
use crate::io::file_names::HTML_FILE;

/// Lines of the report.
pub(super) const MAX_LINES: usize = 120;

/// Rows of the table of latencies.
const MIN_CELLS: usize = 8;
const MAX_CELLS: usize = 30;

/// Lines of the section of latencies without these rows, of a few warnings, and of the last section.
const AROUND_CELLS: usize = 9 + 9 + 5;

/// Lines of a section of prose.
const MAX_LINES_EACH: usize = 10;

/// Failed checks up to which each has several lines.
const FEW_FAILED: usize = 4;

/// Rows of the table of contention.
const MAX_CONTENDED: usize = 12;

/// Sizes in the table of peak bandwidths.
const MAX_SIZES: usize = 4;

/// Lines of one item.
const LINES_OF_ITEM: usize = 3;

/// The report, line by line.
pub(super) fn lines(result: &RunResult, document: &Document) -> Vec<String> {
    let mut lines = wrapped(&document.title, LINES_EACH);
    lines.push("=".repeat(lines.iter().map(|line| line.chars().count()).max().unwrap_or(0)));
    lines.extend(paragraph(&document.answer).into_iter().take(LINES_OF_ITEM + 2));
    lines.extend(wrapped(&document.label, 1));
    section(&mut lines, "Missing", document.missing.iter().flat_map(|one| short_item(one)).take(MAX_LINES_EACH));
    let environment =
        document.environment.iter().flat_map(|(name, text)| wrapped(&format!("{name:<6}{text}"), LINES_EACH));
    section(&mut lines, "Environment", environment);
    let mut rest = Vec::new();
    section(&mut rest, "Results", results(result));
    section(&mut rest, "Contention", contention(result));
    section(&mut rest, "Peak bandwidth", peaks(result));
    section(&mut rest, "Self-checks", checks(result, document));
    // The table of latencies takes the lines that the others and a few warnings leave.
    let left = MAX_LINES.saturating_sub(lines.len() + rest.len() + AROUND_CELLS);
    section(&mut lines, "Latency", latency(result, left.clamp(MIN_CELLS, MAX_CELLS)));
    lines.extend(rest);
    let left = MAX_LINES.saturating_sub(lines.len() + 8);
    section(&mut lines, "Warnings", warnings(result, left));
    section(&mut lines, "More", more());
    lines
}

fn section(lines: &mut Vec<String>, title: &str, content: impl IntoIterator<Item = String>) {
    let mut content = content.into_iter().peekable();
    heading(lines, title, content.peek().is_some());
    lines.extend(content);
}

fn short_item(text: &str) -> Vec<String> {
    wrapped(&format!("  {text}"), LINES_OF_ITEM)
}

/// The rows of the terminal summary, with the interval of the median.
fn latency(result: &RunResult, most: usize) -> Vec<String> {
    const HEADER: [&str; 12] =
        ["workload", "size", "mode", "n", "p50", "95 % interval", "p90", "p99", "max", "irqs", "CPU/op", "cores"];
    let cells: Vec<&Cell> = result.cells.iter().filter(|cell| has_row(cell)).collect();
    if cells.is_empty() {
        return Vec::new();
    }
    let row = |cell: &&Cell| {
        let all = cell.latencies();
        let of = |ns: Option<u64>| time(ns.map(|ns| ns as f64));
        let p50_interval = all.and_then(|all| all.p50_interval_ns.or(all.ns.intervals.p50));
        vec![
            cell.workload.to_string(),
            what(cell),
            cell.mode.clone(),
            cell.n.to_string(),
            of(all.and_then(|all| all.ns.p50)),
            or_dash(p50_interval.map(interval)),
            of(all.and_then(|all| all.ns.p90)),
            of(all.and_then(|all| all.ns.p99)),
            of(all.map(|all| all.ns.max)),
            or_dash(cell.counters.interrupts.map(|count| count.to_string())),
            time(cell.cpu.total_us_per_op().map(|us| us * 1e3)),
            or_dash(cell.cpu.cores.map(sig3)),
        ]
    };
    let mut lines = aligned(&HEADER, cells.iter().take(most).map(row), 3);
    if cells.len() > most {
        lines.push(format!("and {} more in {}", thousands((cells.len() - most) as u64), HTML_FILE));
    }
    lines.extend(legend(result));
    let failed = result.cells.iter().filter(|cell| cell.failed() > 0);
    let failed: Vec<String> =
        failed.map(|cell| format!("{} {} {}: {}", cell.workload, what(cell), cell.mode, cell.failed())).collect();
    if !failed.is_empty() {
        lines.extend(wrapped(&format!("failed operations: {}", failed.join("; ")), LINES_EACH));
    }
    lines
}

/// Both ends in the unit of the upper one where they share it, for instance `58.1–60.0µs`.
fn interval(interval: Interval<u64>) -> String {
    let [low, high] = [interval.low, interval.high].map(|ns| duration(ns as f64));
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((low, unit)), Some((high, other))) if unit == other => format!("{low}–{high}{unit}"),
        _ => format!("{}–{}", low.replace(' ', ""), high.replace(' ', "")),
    }
}

fn results(result: &RunResult) -> Vec<String> {
    short_remarks(result).iter().flat_map(|text| wrapped(text, LINES_EACH)).take(MAX_LINES_EACH).collect()
}

fn contention(result: &RunResult) -> Vec<String> {
    const HEADER: [&str; 8] =
        ["threads", "gap", "poll mean", "irq mean", "poll p50", "irq p50", "lower p50", "lower mean"];
    let all = &result.findings.contention;
    if all.is_empty() {
        return Vec::new();
    }
    let rows = all.iter().take(MAX_CONTENDED).map(|one| {
        let mean = |ns: Option<u64>| time(ns.map(|ns| ns as f64));
        vec![
            if one.shared_core { "one core".to_owned() } else { one.busy_threads.to_string() },
            one.gap_ns.map_or_else(|| "none".to_owned(), |ns| Value::ns(ns).text.replace(' ', "")),
            mean(one.poll_mean_ns),
            mean(one.irq_mean_ns),
            mean(Some(one.poll_p50_ns)),
            mean(Some(one.irq_p50_ns)),
            brief(&comparison::lower_p50(result, one)),
            brief(&comparison::lower_mean(result, one)),
        ]
    });
    let mut lines = aligned(&HEADER, rows, 2);
    if all.len() > MAX_CONTENDED {
        lines.push(format!("and {} more in {}", all.len() - MAX_CONTENDED, HTML_FILE));
    }
    let reasons: BTreeSet<String> = all
        .iter()
        .flat_map(|one| [comparison::lower_p50(result, one), comparison::lower_mean(result, one)])
        .filter(|verdict| verdict.contains(": "))
        .map(|verdict| format!(" {verdict}."))
        .collect();
    let note = format!(
        "With a gap: corrected latency. one core: both sides share a core. lower: only if significant. bimodal: compare \
         the means.{}",
        reasons.into_iter().collect::<String>()
    );
    lines.extend(wrapped(&note, LINES_EACH));
    lines
}

/// A verdict without its reason, which stands below the table.
fn brief(verdict: &str) -> String {
    verdict.split(": ").next().unwrap_or(verdict).to_owned()
}

fn peaks(result: &RunResult) -> Vec<String> {
    const HEADER: [&str; 8] = ["size", "side", "copy", "to region", "from region", "read", "read region", "SHA-256"];
    let mut sizes: Vec<_> = result.ceilings.iter().collect();
    sizes.sort_by_key(|both| both.size_bytes);
    let skipped = sizes.len().saturating_sub(MAX_SIZES);
    let row = |size: u64, side: &str, ceiling: &PeakBandwidth| {
        let known = |value: f64| if value > 0.0 { speed(value).replace(' ', "") } else { "-".to_owned() };
        let PeakBandwidth { heap_to_heap, heap_to_region, region_to_heap, heap_read, region_read, sha256, .. } =
            *ceiling;
        let figures = [heap_to_heap, heap_to_region, region_to_heap, heap_read, region_read, sha256].map(known);
        [size_name(size), side.to_owned()].into_iter().chain(figures).collect::<Vec<_>>()
    };
    let rows = sizes
        .iter()
        .skip(skipped)
        .flat_map(|both| [row(both.size_bytes, "host", &both.host), row(both.size_bytes, "guest", &both.guest)]);
    let mut lines = if sizes.is_empty() { Vec::new() } else { aligned(&HEADER, rows, 2) };
    if let Some(overhead) = &result.overhead {
        lines.push(format!("Instrument overhead: {} per round trip.", duration(overhead.empty_operation_ns)));
    }
    lines
}

/// The failed ones in full, and how many there are.
fn checks(result: &RunResult, document: &Document) -> Vec<String> {
    let failed: Vec<_> = result.self_checks.iter().filter(|check| check.pass == CheckOutcome::Fail).collect();
    let (most, characters) = if failed.len() > FEW_FAILED { (1, 95_usize) } else { (LINES_OF_ITEM, 240) };
    let mut lines = wrapped(&document.checked, 1);
    lines.extend(failed.iter().flat_map(|check| {
        let head = format!("FAILED {} {}: ", check.id, check.name);
        let detail = elided(&check.detail, characters.saturating_sub(head.chars().count()));
        wrapped(&format!("  {head}{detail}"), most)
    }));
    lines
}

/// As many as fit; none is cut before its hint.
fn warnings(result: &RunResult, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (position, warning) in result.warnings.iter().enumerate() {
        let next = item(&format!("{}. Hint: {}.", warning.message, warning.hint));
        let left = result.warnings.len() - position;
        if lines.len() + next.len() + usize::from(left > 1) > most.max(1) {
            lines.push(format!("  {} more in {}", thousands(left as u64), HTML_FILE));
            break;
        }
        lines.extend(next);
    }
    lines
}

fn more() -> Vec<String> {
    [
        format!("{} has the plots and all tables, result.json every figure, samples.csv every operation.", HTML_FILE),
        format!("`cargo xtask report DIR --text-full` prints the long form of {FILE_NAME}."),
    ]
    .into()
}
