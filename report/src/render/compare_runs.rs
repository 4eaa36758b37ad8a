//! The comparison of runs for a terminal of 100 columns.

use crate::evaluate::compare_runs::cells::CellDelta;
use crate::evaluate::compare_runs::gate::{Gate, NotJudged, P50, P99};
use crate::evaluate::compare_runs::{NotRecorded, RunComparison, RunDelta, RunInfo};
use crate::render::report_doc::{Column, Table, Value, by_reason};
use crate::render::text_table::{self, compact};
use crate::render::wrap::wrapped;
use crate::result::cell_key::CellKey;
use crate::result::metric::Metric;
use bench_model::Workload;
use bench_model::units::{plural, sig3};
use statistics::{Change, Interval};

/// Maximum number of lines per remark.
const LINES_EACH: usize = 4;

/// Maximum number of listed cells that only one run has. The JSON form has all of them.
const NAMED: usize = 12;

/// The whole comparison. Every line ends with a line feed.
#[must_use]
pub fn text(across: &RunComparison) -> String {
    let mut lines = trust_warnings(across);
    lines.extend(across.runs.iter().enumerate().flat_map(|(place, head)| wrapped(&title(place, head), 2)));
    lines.push(String::new());
    lines.extend(differences(across));
    lines.extend(not_recorded(across));
    for against in &across.comparisons {
        lines.push(String::new());
        lines.extend(comparison(across, against));
    }
    if !across.comparisons.iter().all(|against| against.cells.is_empty()) {
        lines.push(String::new());
        lines.extend(legend());
    }
    if let Some(gate) = &across.gate {
        lines.push(String::new());
        lines.extend(verdict(gate));
        lines.extend(unjudged(gate));
    }
    lines.join("\n") + "\n"
}

/// Warnings that precede all metrics.
fn trust_warnings(across: &RunComparison) -> Vec<String> {
    let of_run = |head: &RunInfo| {
        let folder = head.folder.display();
        let failed = head.failed_checks.iter().map(|check| {
            format!("not trustworthy: {folder}: self-check {} failed: {}: {}", check.id, check.name, check.detail)
        });
        let warned =
            head.warnings.iter().map(|warning| format!("{folder}: {}. Hint: {}", warning.message, warning.hint));
        failed.chain(warned).flat_map(|line| wrapped(&line, LINES_EACH)).collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = across.runs.iter().flat_map(of_run).collect();
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

fn name(place: usize) -> String {
    if place == 0 { "baseline".to_owned() } else { format!("run {place}") }
}

fn title(place: usize, head: &RunInfo) -> String {
    let facts = [head.started.as_deref(), head.git_revision.as_deref(), Some(head.accel.as_str())];
    let facts: Vec<&str> = facts.into_iter().flatten().filter(|fact| !fact.is_empty()).collect();
    format!("{}: {}, {}", name(place), head.folder.display(), facts.join(", "))
}

fn differences(across: &RunComparison) -> Vec<String> {
    if across.differences.is_empty() {
        return vec!["machine, programs and settings: no relevant difference".to_owned()];
    }
    let mut lines = vec!["different machines, programs or settings:".to_owned()];
    for difference in &across.differences {
        for place in 0..across.runs.len() {
            let field = if place == 0 { difference.field.as_str() } else { "" };
            let line = format!("  {field:<22} {:<8} {}", name(place), difference.shown(place));
            // Only the values are wrapped, so the columns stay aligned.
            lines.extend(columns(&line));
        }
    }
    lines
}

/// Fields that some runs did not record cannot be compared; listed per run.
fn not_recorded(across: &RunComparison) -> Vec<String> {
    let lacks = |place: usize| {
        let lacking = across.not_recorded.iter().filter(|field| field.runs.contains(&place));
        let fields: Vec<&str> = lacking.map(|NotRecorded { field, .. }| field.as_str()).collect();
        (!fields.is_empty())
            .then(|| format!("not recorded by the {}, so not compared: {}", name(place), fields.join(", ")))
    };
    (0..across.runs.len()).filter_map(lacks).flat_map(|line| wrapped(&line, LINES_EACH)).collect()
}

/// Keeps the columns of a line that fits the width; otherwise wraps the line at spaces.
fn columns(line: &str) -> Vec<String> {
    let printable = crate::render::wrap::printable(line);
    let fits = printable.chars().count() <= crate::render::wrap::WIDTH;
    if fits { vec![printable.trim_end().to_owned()] } else { wrapped(line, LINES_EACH) }
}

fn comparison(across: &RunComparison, against: &RunDelta) -> Vec<String> {
    let mut lines = wrapped(&format!("{} compared with the baseline", across.runs[against.run].folder.display()), 2);
    if against.identical {
        lines.push("both have the same samples".to_owned());
    }
    if against.cells.is_empty() {
        lines.push("no cell in common; nothing to compare".to_owned());
    }
    for (heading, figure, frames, columns) in TABLES {
        let is_it = |cell: &&CellDelta| cell.figure == figure && (cell.name.workload == Workload::Frame) == frames;
        let table = Table::new("", heading, 1, columns, against.cells.iter().filter(is_it)).with_prose(&["verdict"]);
        if !table.rows.is_empty() {
            lines.extend([String::new(), format!("{heading}:")]);
            lines.extend(text_table::lines(&compact(table)));
        }
    }
    // With limits, the outcome of the limits lists the inconclusive metrics.
    if across.gate.is_none() {
        let unknown = against.cells.iter().filter(|cell| cell.figure != Metric::BusyCores);
        let unknown = unknown.filter_map(|cell| Some((cell.unknown_because?, cell.name)));
        lines.extend(remarks("inconclusive, ", unknown));
    }
    for (whose, cells) in [("the baseline", &against.only_in_baseline), ("this run", &against.only_in_run)] {
        if !cells.is_empty() {
            lines.extend(wrapped(&format!("only {whose} has: {}", some(cells)), LINES_EACH));
        }
    }
    lines
}

/// One remark per reason.
fn remarks<'a>(head: &str, cells: impl Iterator<Item = (&'a str, CellKey)>) -> Vec<String> {
    let remark =
        |(because, cells): (&str, Vec<CellKey>)| wrapped(&format!("{head}{because}: {}", some(&cells)), LINES_EACH + 1);
    by_reason(cells).into_iter().flat_map(remark).collect()
}

/// The names of the first cells, and the number of the others.
fn some(cells: &[CellKey]) -> String {
    let more = cells.len().saturating_sub(NAMED);
    let named: Vec<String> = cells.iter().take(NAMED).map(CellKey::short).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}

/// Heading, metric, whether it holds frames, and columns of each table.
const TABLES: [(&str, Metric, bool, &[Column<CellDelta>]); 5] = [
    ("messages, round trips", Metric::Latency, false, &MESSAGES),
    ("messages, corrected latency", Metric::CorrectedLatency, false, &MESSAGES),
    ("frames, end to end", Metric::Latency, true, &THROUGHPUT),
    ("streams, time per message", Metric::TimePerMessage, false, &THROUGHPUT),
    ("idle, CPU in use", Metric::BusyCores, false, &IDLE),
];

const CELL: Column<CellDelta> = ("cell", "", |cell| Value::word(cell.name.short()));
const RATIO: Column<CellDelta> = ("ratio", "", |cell| ratio(cell.ratio));
const NOISE: Column<CellDelta> = ("noise", "", |cell| ratio(cell.noise_floor));
const CPU: Column<CellDelta> = ("cpu/op", "", |cell| ratio(cell.cpu_per_op_ratio));

const INTERVAL: Column<CellDelta> = ("95 %", "", |cell| {
    let text = |interval: Interval<f64>| format!("{}-{}", short_ratio(interval.low), short_ratio(interval.high));
    cell.interval.map_or_else(Value::unknown, |interval| Value::word(text(interval)))
});

/// For CPU cores there is no outcome by design, so "inconclusive" would mislead.
const VERDICT: Column<CellDelta> = ("verdict", "", |cell| {
    let is_unknown = cell.word == Change::Inconclusive && cell.figure == Metric::BusyCores;
    Value::word(if is_unknown { "-".to_owned() } else { cell.word.to_string() })
});

const MESSAGES: [Column<CellDelta>; 9] = [
    CELL,
    ("base p50", "", |cell| Value::mean_ns(cell.baseline.value)),
    ("p50", "", |cell| Value::mean_ns(cell.this.value)),
    RATIO,
    INTERVAL,
    NOISE,
    ("p99", "", |cell| ratio(cell.p99.as_ref().map(|tail| tail.ratio))),
    CPU,
    VERDICT,
];

const THROUGHPUT: [Column<CellDelta>; 9] = [
    CELL,
    ("baseline", "", |cell| Value::mean_ns(cell.baseline.value)),
    ("time", "", |cell| Value::mean_ns(cell.this.value)),
    RATIO,
    INTERVAL,
    NOISE,
    ("bytes/s", "", |cell| ratio(cell.bandwidth_ratio)),
    CPU,
    VERDICT,
];

const IDLE: [Column<CellDelta>; 6] = [
    CELL,
    ("baseline", "", |cell| ratio(cell.baseline.value)),
    ("cores", "", |cell| ratio(cell.this.value)),
    RATIO,
    INTERVAL,
    VERDICT,
];

fn ratio(ratio: Option<f64>) -> Value {
    ratio.map_or_else(Value::unknown, |ratio| Value::word(short_ratio(ratio)))
}

/// Three significant digits; from a hundred thousand on in exponent form, to keep the column narrow.
fn short_ratio(value: f64) -> String {
    if value < 1e5 { sig3(value) } else { format!("{value:.0e}") }
}

fn legend() -> Vec<String> {
    [
        "ratio: this run over the baseline; below 1 is faster, of bytes/s above 1. 95 %: block bootstrap.",
        "noise: noise floor of the noisier run. A difference is significant if the interval excludes it.",
        "inconclusive: no noise floor is known. -: unknown. p99 needs 1,000 samples.",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn verdict(gate: &Gate) -> Vec<String> {
    let limit = |limit: Option<f64>, name: &str| limit.map(|limit| format!("{name} {}", percent(limit)));
    let limits = [limit(gate.limits.p50, "p50"), limit(gate.limits.p99, "p99")];
    let limits = limits.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let counts = format!("{} compared, {} inconclusive", plural(gate.judged as u64, "metric"), gate.not_judged.len());
    if gate.passed {
        let noisy = match gate.too_noisy {
            0 => String::new(),
            count => format!("; in {count} of them the noise floor exceeds the limit"),
        };
        let proved = |limit: Option<f64>, name: &str| {
            limit.map(|limit| format!("no {name} is significantly slower by more than {}", percent(limit)))
        };
        let proved = [proved(gate.limits.p50, "p50"), proved(gate.limits.p99, "p99")];
        let proved = proved.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let passed = format!("passed: {proved} ({counts}{noisy})");
        return wrapped(&passed, LINES_EACH);
    }
    let mut lines = wrapped(&format!("failed, limit {limits} ({counts}):"), LINES_EACH);
    lines.extend(gate.reasons.iter().flat_map(|reason| wrapped(&format!("  {reason}"), LINES_EACH)));
    lines
}

/// Inconclusive metrics, by reason.
fn unjudged(gate: &Gate) -> Vec<String> {
    let remarks_on = |figure: &'static str| {
        let cells = gate.not_judged.iter().filter(move |entry| entry.figure == figure);
        remarks(&format!("{figure} inconclusive, "), cells.map(|NotJudged { because, cell, .. }| (*because, *cell)))
    };
    [P50, P99].into_iter().flat_map(remarks_on).collect()
}

fn percent(share: f64) -> String {
    let percent = format!("{:.2}", share * 100.0);
    format!("{} %", percent.trim_end_matches('0').trim_end_matches('.'))
}
