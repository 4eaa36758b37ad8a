//! Key results: which wait mode is faster, by how much, at which CPU cost, and up to which rate.

use crate::evaluate::findings;
use crate::result::comparison::{Basis, Comparison};
use crate::result::findings::{BreakEven, Capacity, ContentionResult};
use crate::result::metric::Metric;
use crate::result::{Cell, RunResult};
use bench_model::units::{duration, factor, factor_within, plural, sig3, size_name, speed, thousands};
use bench_model::{Arrivals, WaitMode, Workload};
use statistics::{Change, Interval};

use super::verdict::{lower_mean, verdict, without_explanation};
use super::{Column, Table, Value, cell_label};

/// A question and its result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KeyResult {
    /// The question.
    pub question: String,
    /// The better wait mode. `None`: not significant or inconclusive.
    pub winner: Option<String>,
    /// The result.
    pub verdict: String,
    /// The values, one sentence each.
    pub evidence: Vec<String>,
    /// The values as a table.
    pub table: Option<Table>,
    /// Why it is inconclusive.
    pub inconclusive: Option<String>,
}

/// The key results of a run, the most important first.
#[must_use]
pub fn key_results(result: &RunResult) -> Vec<KeyResult> {
    let comparisons = |is_wanted: fn(&Comparison) -> bool| {
        result
            .comparisons
            .iter()
            .filter(move |other| is_wanted(other) && !other.conditions.aa_repeat && !other.conditions.full_stamps)
    };
    let round_trips = comparisons(|comparison| matches!(comparison.workload, Workload::Pingpong | Workload::Paced));
    let frames = comparisons(|comparison| comparison.workload == Workload::Frame && !comparison.conditions.cold);
    let shared_core =
        comparisons(|comparison| comparison.workload == Workload::Contention && comparison.conditions.shared_core);
    let mut results: Vec<KeyResult> = round_trips.filter_map(|comparison| compare_modes(result, comparison)).collect();
    results.extend(result.findings.break_even.iter().map(break_even));
    results.extend(contention_result(result));
    results.extend(shared_core.filter_map(|comparison| compare_modes(result, comparison)));
    results.extend(frames.filter_map(|comparison| compare_modes(result, comparison)));
    results.extend(fastest_stream(result));
    results.extend(result.findings.capacity.iter().map(capacity));
    results
}

/// The inconclusive questions, one line per reason.
pub(super) fn inconclusive(results: &[KeyResult]) -> Vec<String> {
    let all = results.iter().filter_map(|result| Some((result.inconclusive.as_deref()?, result.question.as_str())));
    by_reason(all).into_iter().map(|(reason, questions)| format!("{}: {reason}", questions.join("; "))).collect()
}

/// Groups by reason, in order of first occurrence.
pub(crate) fn by_reason<'a, T>(all: impl Iterator<Item = (&'a str, T)>) -> Vec<(&'a str, Vec<T>)> {
    let mut reasons: Vec<(&str, Vec<T>)> = Vec::new();
    for (reason, subject) in all {
        match reasons.iter_mut().find(|(listed, _)| *listed == reason) {
            Some((_, subjects)) => subjects.push(subject),
            None => reasons.push((reason, vec![subject])),
        }
    }
    reasons
}

fn question(comparison: &Comparison) -> String {
    let size = size_name(comparison.size_bytes);
    let gap = comparison
        .conditions
        .gap_ns
        .map_or_else(|| "back to back".to_owned(), |ns| format!("{} gap", duration(ns as f64)));
    match comparison.workload {
        Workload::Frame => format!("{size} frames, verified"),
        Workload::Contention => format!("both sides on one core, {gap}"),
        Workload::Pingpong
        | Workload::Paced
        | Workload::Openloop
        | Workload::Stream
        | Workload::Storm
        | Workload::Idle => format!("{size} messages, {gap}"),
    }
}

fn bounds(interval: Option<Interval<f64>>) -> Option<(f64, f64)> {
    interval.map(|Interval { low, high }| (low, high))
}

/// For instance `; noise floor 1.17×`.
fn noise(floor: Option<f64>) -> String {
    floor.map_or(String::new(), |floor| format!("; noise floor {}", factor(floor, None)))
}

/// For instance `irq/poll 122× (95 % interval 119–130; noise floor 1.17×)`.
fn ratio_with_interval(this: &str, base: &str, basis: &Basis) -> String {
    let ratio = factor_within(basis.ratio, bounds(basis.interval));
    let mean = if basis.is_mean { " by the mean" } else { "" };
    let ratio = match ratio.split_once(" (") {
        Some((ratio, interval)) => {
            let interval = interval.trim_end_matches(')');
            format!("{ratio} (95 % interval {interval}{})", noise(basis.noise_floor))
        }
        None => ratio + &noise(basis.noise_floor),
    };
    format!("{this}/{base}{mean}: {ratio}.")
}

fn compare_modes(result: &RunResult, comparison: &Comparison) -> Option<KeyResult> {
    let (this, base) = comparison.cells(&result.cells)?;
    let basis = comparison.basis()?;
    let by_mean = if basis.is_mean { " on average" } else { " at p50" };
    let inverse = bounds(basis.interval).map(|(low, high)| (1.0 / high, 1.0 / low));
    let (winner, verdict) = match basis.word {
        Change::Slower => {
            let by = factor_within(basis.ratio, bounds(basis.interval));
            (Some(base.mode.clone()), format!("{} is {by} faster than {}{by_mean}", base.mode, this.mode))
        }
        Change::Faster => {
            let by = factor_within(1.0 / basis.ratio, inverse);
            (Some(this.mode.clone()), format!("{} is {by} faster than {}{by_mean}", this.mode, base.mode))
        }
        Change::NotSignificant => {
            let of = if basis.is_mean { " of the means" } else { "" };
            (None, format!("{} and {}: difference{of} not significant", base.mode, this.mode))
        }
        Change::Inconclusive => (None, "inconclusive".to_owned()),
    };
    let metric = comparison.figure.words(comparison.workload);
    let p50 = |cell: &Cell| {
        let latencies = cell.latencies_by(comparison.figure);
        let p50 =
            Value::ns(latencies.and_then(|all| all.ns.p50)).within_ns(latencies.and_then(|all| all.p50_interval_ns));
        format!("{} {}", cell.mode, p50.line())
    };
    let mean = |cell: &Cell| {
        format!("{} {}", cell.mode, Value::mean_ns(cell.latencies_by(comparison.figure).map(|all| all.ns.mean)).text)
    };
    let mut evidence = if basis.is_mean {
        let bimodal = format!("The latencies are bimodal; p50: {}, {}.", p50(base), p50(this));
        vec![format!("Mean {metric}: {}, {}.", mean(base), mean(this)), bimodal]
    } else {
        let mut percentiles = vec![format!("p50 {metric}: {}, {}.", p50(base), p50(this))];
        // The tail may contradict the median.
        let p99 = |cell: &Cell| cell.latencies_by(comparison.figure).and_then(|all| all.ns.p99);
        if let Some((this_p99, base_p99)) = p99(this).zip(p99(base)) {
            let [base_p99, this_p99] = [base_p99, this_p99].map(|ns| Value::ns(Some(ns)).text);
            percentiles.push(format!("p99: {} {base_p99}, {} {this_p99}.", base.mode, this.mode));
        }
        percentiles
    };
    evidence.push(ratio_with_interval(&this.mode, &base.mode, &basis));
    if let Some((this_us, base_us)) = this.cpu.total_us_per_op().zip(base.cpu.total_us_per_op()) {
        let cpu = |us: f64| duration(us * 1e3);
        let (base_us, this_us) = (cpu(base_us), cpu(this_us));
        evidence
            .push(format!("CPU time per operation, all threads: {} {base_us}, {} {this_us}.", base.mode, this.mode));
    }
    if let Some((this_cores, base_cores)) = this.cpu.cores.zip(base.cpu.cores) {
        let [base_cores, this_cores] = [base_cores, this_cores].map(sig3);
        evidence.push(format!("CPU in use: {} {base_cores} cores, {} {this_cores} cores.", base.mode, this.mode));
    }
    let inconclusive = basis.because.map(|reason| without_explanation(reason).to_owned());
    Some(KeyResult { question: question(comparison), winner, verdict, evidence, inconclusive, table: None })
}

/// Messages per second.
fn rate(per_second: f64) -> String {
    format!("{} msg/s", Value::per_second(per_second).text.trim_end_matches("/s"))
}

fn break_even(break_even: &BreakEven) -> KeyResult {
    let mode = &break_even.mode;
    let [even, fastest] = [break_even.rate_per_s, break_even.fastest_per_s].map(rate);
    let (winner, verdict, end) = if break_even.is_always_cheaper() {
        (
            Some(mode.clone()),
            format!("{mode} uses less CPU at every rate it can sustain (≤ {fastest})"),
            format!("CPU break-even: {even}, above {mode}'s maximum of {fastest} back to back."),
        )
    } else {
        let verdict = format!("{mode} uses less CPU below {even}, poll above");
        (None, verdict, format!("Maximum rate of {mode}, back to back: {fastest}."))
    };
    KeyResult {
        question: format!("CPU time, {mode} or poll"),
        winner,
        verdict,
        evidence: vec![
            format!(
                "CPU in use while idle: poll {} cores, {mode} {} cores.",
                sig3(break_even.polling_cores),
                sig3(break_even.idle_cores)
            ),
            format!("CPU time per operation of {mode}, back to back: {}.", duration(break_even.us_per_op * 1e3)),
            end,
        ],
        ..KeyResult::default()
    }
}

/// Mean latency of poll and irq, the number of busy threads, and the mode with the lower mean.
const MEANS: [Column<(u64, u64, u32, String)>; 4] = [
    ("busy threads", "", |(_, _, threads, _)| Value::word(threads.to_string())),
    ("poll", "", |(poll, ..)| Value::ns(*poll)),
    ("irq", "", |(_, irq, ..)| Value::ns(*irq)),
    ("lower", "", |(.., lower)| Value::word(lower)),
];

/// The number of busy threads from which irq has the lower mean latency.
fn contention_result(result: &RunResult) -> Option<KeyResult> {
    let all = &result.findings.contention;
    let mut paced: Vec<&ContentionResult> =
        all.iter().filter(|contention| contention.gap_ns.is_some() && !contention.shared_core).collect();
    paced.sort_by_key(|contention| contention.busy_threads);
    let max = paced.last()?;
    let rows: Vec<_> = paced
        .iter()
        .filter_map(|all| {
            Some((all.poll_mean_ns?, all.irq_mean_ns?, all.busy_threads, lower_mean(&result.comparisons, all)))
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let crossed = paced.iter().rev().take_while(|contention| contention.lower_mean() == Some(WaitMode::Irq)).last();
    let busy = plural(max.busy_threads.into(), "busy thread");
    let (winner, verdict) = match (crossed, max.lower_mean()) {
        (Some(first), _) if first.busy_threads == paced[0].busy_threads => {
            (Some("irq"), "irq has the lower mean latency in all cases".to_owned())
        }
        (Some(first), _) => {
            let from = plural(first.busy_threads.into(), "busy thread");
            (None, format!("irq has the lower mean latency from {from} on"))
        }
        (None, Some(_)) => (Some("poll"), format!("poll has the lower mean latency, even with {busy}")),
        (None, None) => (None, format!("difference of the means not significant with {busy}")),
    };
    let gap = duration(max.gap_ns? as f64);
    let metric = Metric::CorrectedLatency.words(Workload::Contention);
    Some(KeyResult {
        question: format!("messages with a {gap} gap, with busy threads"),
        winner: winner.map(str::to_owned),
        verdict,
        table: Some(
            Table::new("table-results-contention", format!("Mean {metric}"), 1, &MEANS, &rows).with_prose(&["lower"]),
        ),
        ..KeyResult::default()
    })
}

/// The fastest stream, and whether its mode is significantly faster. The comparison with the same slots and size decides:
/// the maximum of many rates is biased upwards.
fn fastest_stream(result: &RunResult) -> Option<KeyResult> {
    let best = findings::fastest_per_mode(result.cells_of(Workload::Stream));
    let (fastest, rate) = best.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let fastest_rates =
        best.iter().map(|(cell, rate)| format!("{} {} ({})", cell.mode, speed(*rate), cell_label::label(cell)));
    let mut evidence = vec![format!("Fastest of each mode: {}.", fastest_rates.collect::<Vec<_>>().join("; "))];
    let same_cell = |comparison: &&Comparison| {
        comparison.workload == Workload::Stream
            && (comparison.size_bytes, comparison.conditions) == (fastest.size_bytes, fastest.conditions)
    };
    let compared: Vec<&Comparison> = result.comparisons.iter().filter(same_cell).collect();
    for comparison in &compared {
        let Some(basis) = comparison.basis() else { continue };
        let ratio = ratio_with_interval(&comparison.mode, &comparison.baseline, &basis);
        let verdict = verdict(basis.word, basis.because);
        evidence.push(format!("Time per message, {ratio} Verdict: {verdict}."));
    }
    let same_cells = result
        .cells_of(Workload::Stream)
        .filter(|cell| (cell.size_bytes, cell.conditions) == (fastest.size_bytes, fastest.conditions));
    let cpu: Vec<String> = same_cells
        .filter_map(|cell| Some(format!("{} {}", cell.mode, duration(cell.cpu.total_us_per_op()? * 1e3))))
        .collect();
    if !cpu.is_empty() {
        evidence.push(format!("CPU time per message, {}: {}.", cell_label::label(fastest), cpu.join(", ")));
    }
    let others = best.len() - 1;
    let beaten = compared.iter().filter(|comparison| beats(&fastest.mode, comparison)).count();
    let winner = (others > 0 && beaten == others).then(|| fastest.mode.clone());
    let significance = match (&winner, others) {
        (Some(_), _) => ", significantly faster there",
        (None, 0) => "",
        (None, _) => ", difference not significant",
    };
    Some(KeyResult {
        question: "Bandwidth of a stream through a ring".to_owned(),
        winner,
        verdict: format!("up to {} with {}{significance}", speed(*rate), fastest.mode),
        evidence,
        ..KeyResult::default()
    })
}

/// Whether `mode` is significantly faster than the other mode of a comparison.
fn beats(mode: &str, comparison: &Comparison) -> bool {
    (comparison.word == Change::Faster && comparison.mode == mode)
        || (comparison.word == Change::Slower && comparison.baseline == mode)
}

fn capacity(capacity: &Capacity) -> KeyResult {
    let arrivals = match capacity.arrivals {
        Arrivals::Fixed => "fixed intervals",
        Arrivals::Poisson => "random intervals",
    };
    let limit = duration(capacity.p99_limit_ns as f64);
    let too_few = "too few messages for p99";
    let (verdict, inconclusive) = match capacity.rate_per_s {
        Some(sustained) if sustained == capacity.offered_per_s => {
            (format!("at least {}, the highest offered", rate(sustained as f64)), None)
        }
        Some(sustained) => (rate(sustained as f64), None),
        None if capacity.not_judged_per_s.is_empty() => ("none of the offered rates".to_owned(), None),
        None => (format!("inconclusive: {too_few}"), Some(too_few.to_owned())),
    };
    let mut evidence = vec![
        "By corrected latency (from the scheduled send time).".to_owned(),
        format!("Offered: up to {}.", rate(capacity.offered_per_s as f64)),
    ];
    if !capacity.not_judged_per_s.is_empty() {
        let rates: Vec<String> = capacity.not_judged_per_s.iter().map(|rate| thousands(*rate)).collect();
        evidence.push(format!("Fewer than the 1,000 messages that p99 needs at {} msg/s.", rates.join(", ")));
    }
    KeyResult {
        question: format!("Highest rate with p99 below {limit}, {}, {arrivals}", capacity.mode),
        verdict,
        evidence,
        inconclusive,
        ..KeyResult::default()
    }
}
