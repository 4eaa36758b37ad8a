//! The results, question by question: which wait mode is faster, by how much, at which CPU cost, and up to which rate.

use crate::evaluate::findings;
use crate::result::comparison::{Basis, Comparison};
use crate::result::findings::{BreakEven, Capacity, ContentionResult};
use crate::result::metric::Metric;
use crate::result::{Cell, RunResult};
use crate::stats::{Change, Interval};
use bench_model::units::size_name;
use bench_model::units::{duration, factor, factor_within, plural, sig3, speed, thousands};
use bench_model::{Arrivals, WaitMode, Workload};

use super::case;
use super::comparison::{briefly, lower_mean};
use super::value::Value;

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Point {
    /// The question.
    pub question: String,
    /// The wait mode that wins. `None`: neither, or inconclusive.
    pub winner: Option<String>,
    /// The answer in a few words.
    pub verdict: String,
    /// The figures behind it, a sentence each.
    pub evidence: Vec<String>,
    /// The same figures as a table, where there are several of a kind.
    pub table: Option<PointTable>,
    /// Why the question has no answer.
    pub inconclusive: Option<String>,
}

/// A small table of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointTable {
    /// Its content.
    pub caption: String,
    /// The heads of its columns.
    pub head: Vec<&'static str>,
    /// Its rows; the first value is the key.
    pub rows: Vec<Vec<String>>,
}

/// The results of the run, the most asked first.
#[must_use]
pub fn points(result: &RunResult) -> Vec<Point> {
    let of = |wanted: fn(&Comparison) -> bool| {
        result
            .comparisons
            .iter()
            .filter(move |one| wanted(one) && !one.conditions.aa_repeat && !one.conditions.full_stamps)
    };
    let plain = of(|one| matches!(one.workload, Workload::Pingpong | Workload::Paced));
    let frames = of(|one| one.workload == Workload::Frame && !one.conditions.cold);
    let crowded = of(|one| one.workload == Workload::Contention && one.conditions.shared_core);
    let mut points: Vec<Point> = plain.filter_map(|one| compared(result, one)).collect();
    points.extend(result.findings.break_even.iter().map(break_even));
    points.extend(contention(result));
    points.extend(crowded.filter_map(|one| compared(result, one)));
    points.extend(frames.filter_map(|one| compared(result, one)));
    points.extend(fastest_stream(result));
    points.extend(result.findings.capacity.iter().map(capacity));
    points
}

/// The questions without an answer, a line per reason.
#[must_use]
pub fn inconclusive(points: &[Point]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for point in points {
        let Some(because) = &point.inconclusive else { continue };
        match reasons.iter_mut().find(|(known, _)| known == because) {
            Some((_, questions)) => questions.push(&point.question),
            None => reasons.push((because, vec![&point.question])),
        }
    }
    reasons.into_iter().map(|(because, questions)| format!("{}: {because}", questions.join("; "))).collect()
}

fn question(one: &Comparison) -> String {
    let size = size_name(one.size_bytes);
    let gap =
        one.conditions.gap_ns.map_or_else(|| "back to back".to_owned(), |ns| format!("every {}", duration(ns as f64)));
    match one.workload {
        Workload::Frame => format!("{size} frames, verified"),
        Workload::Contention => format!("both sides on one core, {gap}"),
        _ => format!("{size} messages, {gap}"),
    }
}

fn ends(interval: Option<Interval<f64>>) -> Option<(f64, f64)> {
    interval.map(|Interval { low, high }| (low, high))
}

/// For instance `; noise floor 1.17×`.
fn noise(floor: Option<f64>) -> String {
    floor.map_or(String::new(), |floor| format!("; noise floor {}", factor(floor, None)))
}

/// For instance `irq/poll 122× (95 % interval 119–130; noise floor 1.17×)`.
fn ratio_in_words(this: &str, base: &str, basis: &Basis) -> String {
    let told = factor_within(basis.ratio, ends(basis.interval));
    let mean = if basis.is_mean { " by the mean" } else { "" };
    let told = match told.split_once(" (") {
        Some((ratio, interval)) => {
            let interval = interval.trim_end_matches(')');
            format!("{ratio} (95 % interval {interval}{})", noise(basis.noise_floor))
        }
        None => told + &noise(basis.noise_floor),
    };
    format!("{this}/{base}{mean}: {told}.")
}

fn compared(result: &RunResult, one: &Comparison) -> Option<Point> {
    let (this, base) = one.cells(&result.cells)?;
    let basis = one.basis()?;
    let by_mean = if basis.is_mean { " on average" } else { "" };
    let inverse = ends(basis.interval).map(|(low, high)| (1.0 / high, 1.0 / low));
    let (winner, verdict) = match basis.word {
        Change::Slower => {
            let by = factor_within(basis.ratio, ends(basis.interval));
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
    let metric = one.figure.words(one.workload);
    let p50 = |cell: &Cell| {
        let all = cell.latencies_by(one.figure);
        let p50 = Value::ns(all.and_then(|all| all.ns.p50)).within_ns(all.and_then(|all| all.p50_interval_ns));
        format!("{} {}", cell.mode, p50.line())
    };
    let mean = |cell: &Cell| {
        format!("{} {}", cell.mode, Value::mean_ns(cell.latencies_by(one.figure).map(|all| all.ns.mean)).text)
    };
    let mut evidence = if basis.is_mean {
        let bimodal = format!("The latencies are bimodal; p50: {}, {}.", p50(base), p50(this));
        vec![format!("Mean {metric}: {}, {}.", mean(base), mean(this)), bimodal]
    } else {
        vec![format!("p50 {metric}: {}, {}.", p50(base), p50(this))]
    };
    evidence.push(ratio_in_words(&this.mode, &base.mode, &basis));
    if let Some((this_us, base_us)) = this.cpu.total_us_per_op().zip(base.cpu.total_us_per_op()) {
        let cpu = |us: f64| duration(us * 1e3);
        let (base_us, this_us) = (cpu(base_us), cpu(this_us));
        evidence.push(format!("CPU time per operation: {} {base_us}, {} {this_us}.", base.mode, this.mode));
    }
    if let Some((this_cores, base_cores)) = this.cpu.cores.zip(base.cpu.cores) {
        let [base_cores, this_cores] = [base_cores, this_cores].map(sig3);
        evidence.push(format!("CPU in use: {} {base_cores} cores, {} {this_cores} cores.", base.mode, this.mode));
    }
    let inconclusive = basis.because.map(|because| briefly(because).to_owned());
    Some(Point { question: question(one), winner, verdict, evidence, inconclusive, table: None })
}

/// Messages per second.
fn rate(per_second: f64) -> String {
    format!("{} msg/s", Value::per_second(per_second).text.trim_end_matches("/s"))
}

fn break_even(known: &BreakEven) -> Point {
    let mode = &known.mode;
    let [even, fastest] = [known.rate_per_s, known.fastest_per_s].map(rate);
    let (winner, verdict, end) = if known.is_always_cheaper() {
        (
            Some(mode.clone()),
            format!("{mode} uses less CPU at every rate it can sustain (≤ {fastest})"),
            format!("CPU break-even: {even}, above {mode}'s maximum of {fastest} back to back."),
        )
    } else {
        // Each wins on its side of the rate.
        let verdict = format!("{mode} uses less CPU below {even}, poll above");
        (None, verdict, format!("Maximum rate of {mode}, back to back: {fastest}."))
    };
    Point {
        question: format!("CPU time, {mode} or poll"),
        winner,
        verdict,
        evidence: vec![
            format!(
                "CPU in use while idle: poll {} cores, {mode} {} cores.",
                sig3(known.polling_cores),
                sig3(known.idle_cores)
            ),
            format!("CPU time per operation of {mode}, back to back: {}.", duration(known.us_per_op * 1e3)),
            end,
        ],
        ..Point::default()
    }
}

/// From how many busy threads on scheduled messages have the lower mean latency in irq mode.
fn contention(result: &RunResult) -> Option<Point> {
    let all = &result.findings.contention;
    let mut paced: Vec<&ContentionResult> = all.iter().filter(|one| one.gap_ns.is_some() && !one.shared_core).collect();
    paced.sort_by_key(|one| one.busy_threads);
    let most = paced.last()?;
    let rows: Vec<Vec<String>> = paced
        .iter()
        .filter_map(|one| {
            let [poll, irq] = [one.poll_mean_ns?, one.irq_mean_ns?].map(|ns| duration(ns as f64));
            Some(vec![thousands(one.busy_threads.into()), poll, irq, lower_mean(result, one)])
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let crossed = paced.iter().rev().take_while(|one| one.lower_mean() == Some(WaitMode::Irq)).last();
    let busy = plural(most.busy_threads.into(), "busy thread");
    let (winner, verdict) = match (crossed, most.lower_mean()) {
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
    let gap = duration(most.gap_ns? as f64);
    let metric = Metric::CorrectedLatency.words(Workload::Contention);
    Some(Point {
        question: format!("messages every {gap}, with busy threads"),
        winner: winner.map(str::to_owned),
        verdict,
        table: Some(PointTable {
            caption: format!("Mean {metric}"),
            head: vec!["busy threads", "poll", "irq", "lower"],
            rows,
        }),
        ..Point::default()
    })
}

/// The fastest ring of slots, and whether its mode is significantly faster there. The comparison of the modes with the same
/// slots and size decides: the highest of many rates was selected for being high.
fn fastest_stream(result: &RunResult) -> Option<Point> {
    let best = findings::fastest_per_mode(case::of(result, Workload::Stream));
    let (fastest, rate) = best.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let told = best.iter().map(|(cell, rate)| format!("{} {} ({})", cell.mode, speed(*rate), case::name(cell)));
    let mut evidence = vec![format!("Fastest of each mode: {}.", told.collect::<Vec<_>>().join("; "))];
    let is_alike = |one: &&Comparison| {
        one.workload == Workload::Stream && (one.size_bytes, one.conditions) == (fastest.size_bytes, fastest.conditions)
    };
    let compared: Vec<&Comparison> = result.comparisons.iter().filter(is_alike).collect();
    for one in &compared {
        let Some(basis) = one.basis() else { continue };
        let ratio = ratio_in_words(&one.mode, &one.baseline, &basis);
        let verdict = super::comparison::verdict(basis.word, basis.because);
        evidence.push(format!("Time per message, {ratio} CheckOutcome: {verdict}."));
    }
    let alike = case::of(result, Workload::Stream)
        .filter(|cell| (cell.size_bytes, cell.conditions) == (fastest.size_bytes, fastest.conditions));
    let cpu: Vec<String> = alike
        .filter_map(|cell| Some(format!("{} {}", cell.mode, duration(cell.cpu.total_us_per_op()? * 1e3))))
        .collect();
    if !cpu.is_empty() {
        evidence.push(format!("CPU time per message, {}: {}.", case::name(fastest), cpu.join(", ")));
    }
    let others = best.len() - 1;
    let beaten = compared.iter().filter(|one| beats(&fastest.mode, one)).count();
    let winner = (others > 0 && beaten == others).then(|| fastest.mode.clone());
    let significance = match (&winner, others) {
        (Some(_), _) => ", significantly faster there",
        (None, 0) => "",
        (None, _) => ", difference not significant",
    };
    Some(Point {
        question: "Bandwidth of a stream through a ring".to_owned(),
        winner,
        verdict: format!("up to {} with {}{significance}", speed(*rate), fastest.mode),
        evidence,
        ..Point::default()
    })
}

/// Whether this mode is significantly faster than the other one of a comparison.
fn beats(mode: &str, one: &Comparison) -> bool {
    (one.word == Change::Faster && one.mode == mode) || (one.word == Change::Slower && one.baseline == mode)
}

fn capacity(known: &Capacity) -> Point {
    let arrivals = match known.arrivals {
        Arrivals::Fixed => "fixed intervals",
        Arrivals::Poisson => "random intervals",
    };
    let limit = duration(known.p99_limit_ns as f64);
    let too_few = "too few messages for p99";
    let (verdict, inconclusive) = match known.rate_per_s {
        Some(sustained) if sustained == known.offered_per_s => {
            (format!("at least {}, the highest offered", rate(sustained as f64)), None)
        }
        Some(sustained) => (rate(sustained as f64), None),
        None if known.not_judged_per_s.is_empty() => ("none of the offered rates".to_owned(), None),
        None => (format!("inconclusive: {too_few}"), Some(too_few.to_owned())),
    };
    let mut evidence = vec![
        "By corrected latency (from the scheduled send time).".to_owned(),
        format!("Offered: up to {}.", rate(known.offered_per_s as f64)),
    ];
    if !known.not_judged_per_s.is_empty() {
        let rates: Vec<String> = known.not_judged_per_s.iter().map(|rate| thousands(*rate)).collect();
        evidence.push(format!("Fewer than the 1,000 messages that p99 needs at {} msg/s.", rates.join(", ")));
    }
    Point {
        question: format!("Highest rate with p99 below {limit}, {}, {arrivals}", known.mode),
        verdict,
        evidence,
        inconclusive,
        ..Point::default()
    }
}
