//! What follows from cells together, a line per question.

use std::collections::BTreeMap;

use crate::compare::Comparison;
use crate::figure::Figure;
use crate::findings::{BreakEven, Capacity, Contended};
use crate::frame_size::size_name;
use crate::plan::Workload;
use crate::result::{Cell, RunResult};
use crate::streams;
use crate::units::{counted, duration, grouped, speed, three_digits};

use super::LINES_EACH;
use super::text::wrapped;

/// Whether a line tells of the cell, so that the table need not.
pub(super) fn tells(cell: &Cell) -> bool {
    matches!(cell.workload, Workload::Stream | Workload::Storm | Workload::Idle | Workload::Contention)
}

/// The lines, remark by remark.
pub(super) fn remarks(result: &RunResult) -> Vec<Vec<String>> {
    let all = [ratios(result), idle(result), contention(result), storm(result), capacity(result), ceilings(result)];
    all.into_iter().flatten().chain(streams(result)).map(|line| wrapped(&line, LINES_EACH)).collect()
}

/// A line per size.
fn streams(result: &RunResult) -> Vec<String> {
    let mut by_size: BTreeMap<u64, Vec<&Cell>> = BTreeMap::new();
    for cell in result.cells.iter().filter(|cell| cell.workload == Workload::Stream) {
        by_size.entry(cell.size_bytes).or_default().push(cell);
    }
    let one = |(cell, rate): &(&Cell, f64)| format!("{} {} ({})", cell.mode, speed(*rate), cell.conditions);
    let line = |(size, cells): (u64, Vec<&Cell>)| {
        let told: Vec<String> = streams::fastest(cells).iter().map(one).collect();
        (!told.is_empty()).then(|| format!("stream {}, at most: {}", size_name(size), told.join(", ")))
    };
    by_size.into_iter().filter_map(line).collect()
}

/// How far the modes are apart, as far as that can be said.
fn ratios(result: &RunResult) -> Option<String> {
    let ratio = |comparison: &Comparison| {
        let interval = comparison.p50_ratio_interval?;
        let noise = comparison
            .noise_floor
            .map_or_else(|| ", noise not known".to_owned(), |floor| format!(", noise {}", three_digits(floor)));
        let due = if comparison.figure == Figure::FromDue { ", from due" } else { "" };
        let again = if comparison.conditions.again { " again" } else { "" };
        Some(format!(
            "{} {}{again} over {}{due} {} ({} to {}{noise}): {}",
            comparison.workload,
            comparison.mode,
            comparison.baseline,
            three_digits(comparison.p50_ratio?),
            three_digits(interval.low),
            three_digits(interval.high),
            comparison.word
        ))
    };
    let is_message = |comparison: &&Comparison| matches!(comparison.workload, Workload::Pingpong | Workload::Paced);
    let all: Vec<String> = result.comparisons.iter().filter(is_message).filter_map(ratio).take(4).collect();
    (!all.is_empty()).then(|| format!("p50 ratios: {}", all.join("; ")))
}

fn idle(result: &RunResult) -> Option<String> {
    let one = |known: &BreakEven| {
        let rate = if known.is_always_cheaper() {
            "cheaper at every rate that it carries".to_owned()
        } else {
            format!("cheaper below {}/s", grouped(whole(known.rate_per_s)))
        };
        format!("{} {} cores ({rate})", known.mode, three_digits(known.idle_cores))
    };
    let known = &result.findings.break_even;
    let polling = known.first()?.polling_cores;
    let others: Vec<String> = known.iter().map(one).collect();
    Some(format!("idle: poll keeps {} cores busy, {}", three_digits(polling), others.join(", ")))
}

fn contention(result: &RunResult) -> Option<String> {
    let all = &result.findings.contention;
    let paced: Vec<&Contended> = all.iter().filter(|one| one.gap_ns.is_some()).collect();
    let shown = if paced.is_empty() { all.iter().collect() } else { paced };
    let is_paced = shown.first()?.gap_ns.is_some();
    // Paced, a poller answers at once or when it gets its core back; a median would say which is more, and no more.
    let of = |one: &Contended| {
        if is_paced {
            Some((one.poll_mean_ns?, one.irq_mean_ns?, one.waits_less()))
        } else {
            Some((one.poll_p50_ns, one.irq_p50_ns, one.faster()))
        }
    };
    let known: Vec<(&Contended, _)> = shown.into_iter().filter_map(|one| Some((one, of(one)?))).collect();
    let told: Vec<String> = known
        .iter()
        .map(|(one, (poll, irq, winner))| {
            let place = if one.one_core { "one core".to_owned() } else { one.busy_threads.to_string() };
            let unproved = if winner.is_some() { "" } else { " ?" };
            format!("{place}: {} / {}{unproved}", duration(*poll as f64), duration(*irq as f64))
        })
        .collect();
    let since = if is_paced { "paced, mean from due" } else { "p50" };
    let mark = if known.iter().all(|(_, (.., winner))| winner.is_some()) { "" } else { " (?: not proved)" };
    (!told.is_empty()).then(|| format!("contention, {since}, poll / irq by busy threads{mark}: {}", told.join("; ")))
}

fn storm(result: &RunResult) -> Option<String> {
    let storms = || result.cells.iter().filter(|cell| cell.workload == Workload::Storm);
    let fastest = storms()
        .max_by(|a, b| a.messages_per_second.unwrap_or(0.0).total_cmp(&b.messages_per_second.unwrap_or(0.0)))?;
    let traffic = fastest.traffic.as_ref()?;
    let interrupts = fastest
        .counters
        .interrupts
        .map_or("an unknown number of interrupts".to_owned(), |count| counted(count, "interrupt"));
    Some(format!(
        "storm, {}: {} at {}/s became {interrupts}; {} of the messages were seen, the last one {}",
        fastest.mode,
        counted(fastest.counters.rings, "ring"),
        grouped(whole(fastest.messages_per_second?)),
        grouped(traffic.seen),
        if traffic.last_seen { "too" } else { "not" }
    ))
}

fn capacity(result: &RunResult) -> Option<String> {
    let one = |one: &Capacity| {
        let arrivals = format!("{:?}", one.arrivals).to_lowercase();
        let rate = match (one.rate_per_s, one.not_judged_per_s.is_empty()) {
            (Some(rate), _) => format!("{}/s", grouped(rate)),
            (None, true) => "none of those offered".to_owned(),
            (None, false) => "not judged (too few messages)".to_owned(),
        };
        format!("{} {arrivals} {rate}", one.mode)
    };
    let all = &result.findings.capacity;
    let limit = duration(all.first()?.p99_limit_ns as f64);
    let told: Vec<String> = all.iter().map(one).collect();
    Some(format!("open loop, highest rate with p99 below {limit}: {}", told.join(", ")))
}

fn ceilings(result: &RunResult) -> Option<String> {
    let largest = result.ceilings.iter().max_by_key(|ceiling| ceiling.size_bytes)?;
    let empty = result
        .overhead
        .map_or(String::new(), |overhead| format!("; empty operation {}", duration(overhead.empty_operation_ns)));
    Some(format!(
        "ceilings, {}: copies host {}, guest {} ({} times), SHA-256 {} and {}{empty}",
        size_name(largest.size_bytes),
        speed(largest.host.heap_to_heap),
        speed(largest.guest.heap_to_heap),
        result.findings.copy_host_over_guest.map_or("?".to_owned(), three_digits),
        speed(largest.host.sha256),
        speed(largest.guest.sha256),
    ))
}

/// A rate for people.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "negative rates show as none")]
fn whole(rate: f64) -> u64 {
    rate.max(0.0) as u64
}
