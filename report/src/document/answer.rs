//! The answer, question by question: which way to wait wins, by how much, at which price, and from which rate on.

use crate::compare::Comparison;
use crate::findings::{BreakEven, Capacity, Contended};
use crate::frame_size::size_name;
use crate::plan::{Arrivals, Wait, Workload};
use crate::result::{Cell, RunResult};
use crate::stats::Word;
use crate::streams;
use crate::units::{counted, duration, speed, three_digits};

use super::case;
use super::table::{Part, Row, Table, columns};
use super::value::Value;

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// What is asked.
    pub question: String,
    /// The way to wait that wins. `None`: neither, or it cannot be told.
    pub winner: Option<String>,
    /// The answer in a few words.
    pub verdict: String,
    /// The figures on which it rests, a sentence each.
    pub evidence: Vec<String>,
}

/// What the run answers, most asked first.
#[must_use]
pub fn points(result: &RunResult) -> Vec<Point> {
    let of = |wanted: fn(&Comparison) -> bool| {
        result.comparisons.iter().filter(move |one| wanted(one) && !one.conditions.again && !one.conditions.stamped)
    };
    let plain = of(|one| matches!(one.workload, Workload::Pingpong | Workload::Paced));
    let frames = of(|one| one.workload == Workload::Frame && !one.conditions.cold);
    let crowded = of(|one| one.workload == Workload::Contention && one.conditions.one_core);
    let mut points: Vec<Point> = plain.filter_map(|one| compared(result, one)).collect();
    points.extend(result.findings.break_even.iter().map(break_even));
    points.extend(beside_others(&result.findings.contention));
    points.extend(crowded.filter_map(|one| compared(result, one)));
    points.extend(frames.filter_map(|one| compared(result, one)));
    points.extend(fastest_stream(result));
    points.extend(result.findings.capacity.iter().map(capacity));
    points
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

fn compared(result: &RunResult, one: &Comparison) -> Option<Point> {
    let (this, base) = one.cells(&result.cells)?;
    let ratio = one.p50_ratio?;
    let because = one.not_judged_because();
    let (winner, verdict) = match one.word {
        Word::Slower => {
            (Some(base.mode.clone()), format!("{} is {} faster than {}", base.mode, times(ratio), this.mode))
        }
        Word::Faster => {
            (Some(this.mode.clone()), format!("{} is {} faster than {}", this.mode, times(1.0 / ratio), base.mode))
        }
        Word::NoDifferenceSeen => (None, format!("no difference seen between {} and {}", base.mode, this.mode)),
        Word::Unknown => {
            let briefly = because.map_or(String::new(), |because| format!(", {}", briefly(because)));
            (None, format!("{} or {}: not judged{briefly}", base.mode, this.mode))
        }
    };
    let p50 = |cell: &Cell| {
        let all = cell.latencies_by(one.figure);
        let p50 = Value::ns(all.and_then(|all| all.ns.p50)).within_ns(all.and_then(|all| all.p50_interval_ns));
        format!("{} {}", cell.mode, p50.line())
    };
    let mut evidence = vec![format!("p50, {}: {}, {}.", one.figure.words(one.workload), p50(base), p50(this))];
    let noise =
        one.noise_floor.map_or(String::new(), |floor| format!("; equal things differ by up to {}", times(floor)));
    let ratio = Value::ratio(ratio).within(one.p50_ratio_interval.as_ref()).line();
    evidence.push(format!("{} over {}: {ratio}{noise}.", this.mode, base.mode));
    if let Some((this_us, base_us)) = this.cpu.total_us_per_op().zip(base.cpu.total_us_per_op()) {
        let cpu = |us: f64| duration(us * 1e3);
        let (base_us, this_us) = (cpu(base_us), cpu(this_us));
        evidence.push(format!("CPU time per operation: {} {base_us}, {} {this_us}.", base.mode, this.mode));
    }
    if let Some((this_cores, base_cores)) = this.cpu.cores.zip(base.cpu.cores) {
        let [base_cores, this_cores] = [base_cores, this_cores].map(three_digits);
        evidence.push(format!("Cores in use: {} {base_cores}, {} {this_cores}.", base.mode, this.mode));
    }
    evidence.extend(because.map(|because| format!("Not judged: {because}.")));
    Some(Point { question: question(one), winner, verdict, evidence })
}

/// A reason without its explanation and its cure.
fn briefly(because: &str) -> &str {
    because.split([':', ';']).next().unwrap_or(because)
}

/// A factor of at least 1, as one says it.
fn times(factor: f64) -> String {
    format!("{} times", three_digits(factor))
}

fn break_even(known: &BreakEven) -> Point {
    let mode = &known.mode;
    let rate = Value::per_second(known.rate_per_s).text;
    let fastest = Value::per_second(known.fastest_per_s).text;
    let (winner, verdict, end) = if known.is_always_cheaper() {
        let verdict = format!("{mode} takes less CPU time than poll at every rate that it carries");
        (
            Some(mode.clone()),
            verdict,
            format!("They would cost the same at {rate}, more than the {fastest} that {mode} carries back to back."),
        )
    } else {
        // Each wins on its side of the rate.
        let verdict = format!("{mode} takes less CPU time below {rate}, poll above");
        (None, verdict, format!("Back to back {mode} carries {fastest}."))
    };
    Point {
        question: format!("CPU time, {mode} or poll"),
        winner,
        verdict,
        evidence: vec![
            format!(
                "While nothing comes, poll keeps {} cores busy and {mode} {}.",
                three_digits(known.polling_cores),
                three_digits(known.idle_cores)
            ),
            format!("Back to back an operation of {mode} takes {} of CPU time.", duration(known.us_per_op * 1e3)),
            end,
        ],
    }
}

/// From how many busy threads on a message that is due at a time waits less for one that blocks.
fn beside_others(all: &[Contended]) -> Option<Point> {
    let mut paced: Vec<&Contended> = all.iter().filter(|one| one.gap_ns.is_some() && !one.one_core).collect();
    paced.sort_by_key(|one| one.busy_threads);
    let most = paced.last()?;
    let evidence: Vec<String> = paced
        .iter()
        .filter_map(|one| {
            let [poll, irq] = [one.poll_mean_ns?, one.irq_mean_ns?].map(|ns| duration(ns as f64));
            let proved = if one.waits_less().is_some() { "" } else { ", not proved to differ" };
            let beside = counted(one.busy_threads.into(), "busy thread");
            Some(format!("Mean from when it was due, beside {beside}: poll {poll}, irq {irq}{proved}."))
        })
        .collect();
    if evidence.is_empty() {
        return None;
    }
    let crossed = paced.iter().rev().take_while(|one| one.waits_less() == Some(Wait::Irq)).last();
    let (winner, verdict) = match (crossed, most.waits_less()) {
        (Some(first), _) if first.busy_threads == paced[0].busy_threads => {
            (Some("irq"), "irq waits less, on average, in all cases".to_owned())
        }
        (Some(first), _) => {
            let from = counted(first.busy_threads.into(), "busy thread");
            (None, format!("from {from} on, irq waits less on average"))
        }
        (None, Some(_)) => (Some("poll"), "poll waits less on average, also beside the most of them".to_owned()),
        (None, None) => (None, "neither is proved to wait less on average beside the most of them".to_owned()),
    };
    let gap = duration(most.gap_ns? as f64);
    let winner = winner.map(str::to_owned);
    Some(Point { question: format!("Messages every {gap} beside busy threads"), winner, verdict, evidence })
}

/// The ring of slots that carries most, and whether its mode is proved to be the one for it: by the comparison of the modes
/// with the same slots and size, for a rate that is the highest of many has been picked for being high.
fn fastest_stream(result: &RunResult) -> Option<Point> {
    let best = streams::fastest(case::of(result, Workload::Stream));
    let (fastest, rate) = best.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let told = best.iter().map(|(cell, rate)| format!("{} {} ({})", cell.mode, speed(*rate), case::name(cell)));
    let mut evidence = vec![format!("The most of each: {}.", told.collect::<Vec<_>>().join("; "))];
    let is_alike = |one: &&Comparison| {
        one.workload == Workload::Stream && (one.size_bytes, one.conditions) == (fastest.size_bytes, fastest.conditions)
    };
    let judged: Vec<&Comparison> = result.comparisons.iter().filter(is_alike).collect();
    for one in &judged {
        let ratio = Value::ratio(one.p50_ratio).within(one.p50_ratio_interval.as_ref()).line();
        let noise =
            one.noise_floor.map_or(String::new(), |floor| format!("; equal things differ by up to {}", times(floor)));
        let because = one.not_judged_because().map_or(String::new(), |because| format!(", {because}"));
        let (this, base) = (&one.mode, &one.baseline);
        evidence.push(format!("Time per message, {this} over {base}: {ratio}{noise}: {}{because}.", one.word));
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
    let beaten = judged.iter().filter(|one| beats(&fastest.mode, one)).count();
    let winner = (others > 0 && beaten == others).then(|| fastest.mode.clone());
    let proved = match (&winner, others) {
        (Some(_), _) => ", proved to be the faster there",
        (None, 0) => "",
        (None, _) => ", not proved to be the faster",
    };
    Some(Point {
        question: "Bytes per second through a ring".to_owned(),
        winner,
        verdict: format!("{} at most, by {}{proved}", speed(*rate), fastest.mode),
        evidence,
    })
}

/// Whether a comparison says that this mode is the faster of its two.
fn beats(mode: &str, one: &Comparison) -> bool {
    (one.word == Word::Faster && one.mode == mode) || (one.word == Word::Slower && one.baseline == mode)
}

fn capacity(known: &Capacity) -> Point {
    let arrivals = match known.arrivals {
        Arrivals::Fixed => "at equal intervals",
        Arrivals::Poisson => "at random",
    };
    let limit = duration(known.p99_limit_ns as f64);
    let verdict = match known.rate_per_s {
        Some(rate) if rate == known.offered_per_s => {
            format!("at least {}, the most that was offered", Value::per_second(rate as f64).text)
        }
        Some(rate) => Value::per_second(rate as f64).text,
        None if known.not_judged_per_s.is_empty() => "none of those offered".to_owned(),
        None => "not judged: too few messages for p99".to_owned(),
    };
    let mut evidence = vec![
        "Latency counts from when a message was due.".to_owned(),
        format!("Offered: up to {}.", Value::per_second(known.offered_per_s as f64).text),
    ];
    if !known.not_judged_per_s.is_empty() {
        let rates: Vec<String> =
            known.not_judged_per_s.iter().map(|rate| Value::per_second(*rate as f64).text).collect();
        evidence.push(format!("Not judged, for want of the 1,000 messages that p99 takes: {}.", rates.join(", ")));
    }
    Point {
        question: format!("Highest rate with p99 below {limit}, {}, messages {arrivals}", known.mode),
        winner: None,
        verdict,
        evidence,
    }
}

/// Every comparison that was made.
pub(super) fn comparisons(result: &RunResult) -> Vec<Part> {
    let rows = result.comparisons.iter().filter(|one| one.p50_ratio.is_some()).map(|one| {
        let (this, base) = one.cells(&result.cells).unzip();
        let cpu = |cell: Option<&Cell>| Value::cpu_us(cell.and_then(|cell| cell.cpu.total_us_per_op()));
        let case = this.map_or_else(|| size_name(one.size_bytes), case::name);
        let verdict = match one.not_judged_because() {
            Some(because) => format!("{}: {}", one.word, briefly(because)),
            None => one.word.to_string(),
        };
        Row {
            mode: Some(one.mode.clone()),
            values: vec![
                Value::word(format!("{}, {case}", one.workload)),
                Value::word(&one.mode),
                Value::word(&one.baseline),
                Value::word(one.figure.short(one.workload)),
                Value::word(verdict),
                Value::ratio(one.p50_ratio).within(one.p50_ratio_interval.as_ref()),
                Value::ratio(one.noise_floor),
                Value::signed_ns(one.p50_difference_ns),
                cpu(this),
                cpu(base),
                Value::ratio(one.cpu_per_op_ratio),
                Value::ratio(one.cores_ratio),
            ],
        }
    });
    let mut named = columns(&[
        ("case", ""),
        ("mode", "the way to wait that is compared"),
        ("against", "the one that it is compared with"),
        (
            "of",
            "the figure that is compared, by its median; where messages are due at a time, from then on; of streams, time over messages",
        ),
        ("it is", "said only where the interval excludes both 1 and the noise"),
        ("p50 ratio", "ratio of the medians, of streams of the time per message; above 1: the mode takes longer"),
        ("noise", "by what factor equal things differed"),
        ("p50 difference", ""),
        ("CPU/op", "CPU time per operation of all threads"),
        ("its", "the same of the one that it is compared with"),
        ("CPU ratio", "ratio of the CPU time per operation"),
        ("cores ratio", "ratio of the cores in use"),
    ]);
    for words in [3, 4] {
        named[words].prose = true;
    }
    let table = Table {
        id: "table-comparisons".to_owned(),
        caption: "Ratios of medians, of streams of the time per message, with 95 % intervals by a block bootstrap"
            .to_owned(),
        keys: 3,
        columns: named,
        rows: rows.collect(),
        detail: false,
    };
    let mut parts: Vec<Part> = Vec::new();
    if let Some(table) = table.part() {
        parts.push(Part::Text(
            "A mode is called faster or slower only where the whole interval of the ratio lies beyond what equal things \
             measured in the same run differ by. Where that noise is not known, for want of blocks or of operations in \
             them, it is not judged; --full measures more."
                .to_owned(),
        ));
        parts.push(table);
    }
    parts
}
