//! Remarks on several cells together, a line per question.

use std::collections::BTreeMap;

use crate::evaluate::findings;
use crate::result::comparison::Comparison;
use crate::result::findings::{BreakEven, Capacity, ContentionResult};
use crate::result::metric::Metric;
use crate::result::{Cell, RunResult};
use bench_model::Workload;
use bench_model::units::size_name;
use bench_model::units::{duration, factor, factor_within, sig3, speed, thousands};

use super::answer::coalesced;

/// Whether a remark covers the cell, so that the table leaves it out.
pub(crate) fn tells(cell: &Cell) -> bool {
    matches!(cell.workload, Workload::Stream | Workload::Storm | Workload::Idle | Workload::Contention)
}

/// The remarks in their order.
pub(crate) fn remarks(result: &RunResult) -> Vec<String> {
    let all = [ratios(result), idle(result), contention(result), storm(result), capacity(result), peaks(result)];
    all.into_iter().flatten().chain(streams(result)).collect()
}

/// The remarks of the short text report, which has tables of the others.
pub(crate) fn short_remarks(result: &RunResult) -> Vec<String> {
    let all = [ratios(result), idle(result), storm(result), capacity(result)];
    speeds(result).into_iter().chain(all.into_iter().flatten()).chain(streams(result)).collect()
}

/// How the guest maps the shared memory.
pub(super) fn memory(result: &RunResult) -> Option<String> {
    let environment = &result.environment;
    let (load, map) = environment.bar2_ns_per_load.zip(environment.bar2_map.as_ref())?;
    let copies = [
        ("read", environment.bar2_read_gb_per_s),
        ("streaming read", environment.bar2_streaming_read_gb_per_s),
        ("write", environment.bar2_write_gb_per_s),
    ];
    let copies = copies.into_iter().filter_map(|(name, gb)| Some(format!(", {name} {}", speed(gb? * 1e9))));
    Some(format!("BAR2, {map}: {load:.1} ns per load{}", copies.collect::<String>()))
}

/// A remark per frame size.
pub(super) fn speeds(result: &RunResult) -> Vec<String> {
    let mut by_size: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for cell in result.cells.iter().filter(|cell| cell.workload == Workload::Frame && super::has_row(cell)) {
        if let Some(bytes_per_second) = cell.bytes_per_second {
            by_size.entry(cell.size_bytes).or_default().push(format!("{} {}", cell.mode, speed(bytes_per_second)));
        }
    }
    let line =
        |(size, speeds): (u64, Vec<String>)| format!("frame {}, end to end: {}", size_name(size), speeds.join(", "));
    by_size.into_iter().map(line).collect()
}

/// A line per size.
fn streams(result: &RunResult) -> Vec<String> {
    let mut by_size: BTreeMap<u64, Vec<&Cell>> = BTreeMap::new();
    for cell in result.cells.iter().filter(|cell| cell.workload == Workload::Stream) {
        by_size.entry(cell.size_bytes).or_default().push(cell);
    }
    let one = |(cell, rate): &(&Cell, f64)| format!("{} {} ({})", cell.mode, speed(*rate), cell.conditions);
    let line = |(size, cells): (u64, Vec<&Cell>)| {
        let told: Vec<String> = findings::fastest_per_mode(cells).iter().map(one).collect();
        (!told.is_empty()).then(|| format!("stream {}, fastest: {}", size_name(size), told.join(", ")))
    };
    by_size.into_iter().filter_map(line).collect()
}

/// The ratios of the modes with their verdicts.
fn ratios(result: &RunResult) -> Option<String> {
    let ratio = |comparison: &Comparison| {
        let basis = comparison.basis()?;
        let interval = basis.interval?;
        let noise = basis.noise_floor.map_or_else(
            || "; noise floor unknown".to_owned(),
            |floor| format!("; noise floor {}", factor(floor, None)),
        );
        let corrected = if comparison.figure == Metric::CorrectedLatency { " corrected" } else { "" };
        let metric = if basis.is_mean { " mean" } else { "" };
        let again = if comparison.conditions.aa_repeat { " again" } else { "" };
        let told = factor_within(basis.ratio, Some((interval.low, interval.high)));
        Some(format!(
            "{}{corrected}{metric} {}{again}/{} {}{noise}), {}",
            comparison.workload,
            comparison.mode,
            comparison.baseline,
            told.trim_end_matches(')'),
            basis.word
        ))
    };
    let is_message = |comparison: &&Comparison| super::is_message(comparison.workload);
    let all: Vec<String> = result.comparisons.iter().filter(is_message).filter_map(ratio).take(4).collect();
    (!all.is_empty()).then(|| format!("ratios: {}", all.join("; ")))
}

fn idle(result: &RunResult) -> Option<String> {
    let one = |known: &BreakEven| {
        let [even, fastest] = [known.rate_per_s, known.fastest_per_s].map(|rate| thousands(whole(rate)));
        let cheaper = if known.is_always_cheaper() {
            format!("less CPU up to its maximum rate, {fastest} msg/s")
        } else {
            format!("less CPU below {even} msg/s")
        };
        format!("{} {} cores ({cheaper})", known.mode, sig3(known.idle_cores))
    };
    let known = &result.findings.break_even;
    let polling = known.first()?.polling_cores;
    let others: Vec<String> = known.iter().map(one).collect();
    Some(format!("CPU while idle: poll {} cores, {}", sig3(polling), others.join(", ")))
}

fn contention(result: &RunResult) -> Option<String> {
    let all = &result.findings.contention;
    let paced: Vec<&ContentionResult> = all.iter().filter(|one| one.gap_ns.is_some()).collect();
    let shown = if paced.is_empty() { all.iter().collect() } else { paced };
    let is_paced = shown.first()?.gap_ns.is_some();
    // Paced, a poller answers at once or when its core is returned: bimodal, so the mean is shown.
    let of = |one: &ContentionResult| {
        if is_paced {
            Some((one.poll_mean_ns?, one.irq_mean_ns?, one.lower_mean()))
        } else {
            Some((one.poll_p50_ns, one.irq_p50_ns, one.faster()))
        }
    };
    let known: Vec<(&ContentionResult, _)> = shown.into_iter().filter_map(|one| Some((one, of(one)?))).collect();
    let told: Vec<String> = known
        .iter()
        .map(|(one, (poll, irq, winner))| {
            let place = if one.shared_core { "one core".to_owned() } else { one.busy_threads.to_string() };
            let unproved = if winner.is_some() { "" } else { " ?" };
            format!("{place}: {} / {}{unproved}", duration(*poll as f64), duration(*irq as f64))
        })
        .collect();
    let metric = if is_paced { "mean corrected latency" } else { "p50" };
    let mark = if known.iter().all(|(_, (.., winner))| winner.is_some()) { "" } else { " (?: not significant)" };
    (!told.is_empty()).then(|| format!("contention, {metric}, poll / irq by busy threads{mark}: {}", told.join("; ")))
}

fn storm(result: &RunResult) -> Option<String> {
    let storms = || result.cells.iter().filter(|cell| cell.workload == Workload::Storm);
    let fastest = storms()
        .max_by(|a, b| a.messages_per_second.unwrap_or(0.0).total_cmp(&b.messages_per_second.unwrap_or(0.0)))?;
    let traffic = fastest.traffic.as_ref()?;
    let doorbells = fastest.counters.interrupts.map_or_else(
        || format!("{} doorbells, number of interrupts unknown", thousands(fastest.counters.rings)),
        |interrupts| coalesced(fastest, interrupts),
    );
    Some(format!(
        "storm, {}: {doorbells} at {}/s; {} messages seen, {} the last one",
        fastest.mode,
        thousands(whole(fastest.messages_per_second?)),
        thousands(traffic.seen),
        if traffic.last_seen { "including" } else { "without" }
    ))
}

fn capacity(result: &RunResult) -> Option<String> {
    let one = |one: &Capacity| {
        let arrivals = format!("{:?}", one.arrivals).to_lowercase();
        let rate = match (one.rate_per_s, one.not_judged_per_s.is_empty()) {
            (Some(rate), _) => format!("{}/s", thousands(rate)),
            (None, true) => "none of the offered rates".to_owned(),
            (None, false) => "inconclusive (too few messages)".to_owned(),
        };
        format!("{} {arrivals} {rate}", one.mode)
    };
    let all = &result.findings.capacity;
    let limit = duration(all.first()?.p99_limit_ns as f64);
    let told: Vec<String> = all.iter().map(one).collect();
    Some(format!("open loop, highest rate with p99 below {limit}: {}", told.join(", ")))
}

fn peaks(result: &RunResult) -> Option<String> {
    let largest = result.ceilings.iter().max_by_key(|ceiling| ceiling.size_bytes)?;
    let empty = result
        .overhead
        .map_or(String::new(), |overhead| format!("; instrument overhead {}", duration(overhead.empty_operation_ns)));
    Some(format!(
        "peak bandwidth, {}: copy host {}, guest {} ({}); SHA-256 host {}, guest {}{empty}",
        size_name(largest.size_bytes),
        speed(largest.host.heap_to_heap),
        speed(largest.guest.heap_to_heap),
        result.findings.copy_host_over_guest.map_or_else(|| "?".to_owned(), |ratio| factor(ratio, None)),
        speed(largest.host.sha256),
        speed(largest.guest.sha256),
    ))
}

/// A rate for people.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "negative rates show as none")]
fn whole(rate: f64) -> u64 {
    rate.max(0.0).round() as u64
}
