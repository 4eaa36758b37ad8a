//! Results over several cells, one line per subject.

use std::collections::BTreeMap;

use super::has_row;
use crate::evaluate::findings;
use crate::result::comparison::Comparison;
use crate::result::findings::{BreakEven, Capacity, ContentionResult};
use crate::result::metric::Metric;
use crate::result::{Cell, RunResult, ThreadCounts};
use bench_model::Workload;
use bench_model::units::{
    duration, factor, factor_within, plural, rounded_thousands, sig3, size_name, speed, thousands,
};

/// One line of the overview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line.
    pub text: String,
    /// Its subject.
    pub kind: NoteKind,
}

/// The subject of a note, which decides where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// A result.
    Result,
    /// A result for which the report has a table.
    Tabulated,
    /// Memory type and hardware counters.
    Environment,
}

/// The notes of a run, the most important first.
pub(super) fn notes(result: &RunResult) -> Vec<Note> {
    let result_note = |text| Note { text, kind: NoteKind::Result };
    let tabulated = |text| Note { text, kind: NoteKind::Tabulated };
    let environment = |text| Note { text, kind: NoteKind::Environment };
    let mut notes: Vec<Note> = frame_bandwidths(result).into_iter().map(result_note).collect();
    notes.extend(ratios(result).into_iter().chain(idle(result)).map(result_note));
    notes.extend(contention(result).map(tabulated));
    notes.extend(storm(result).into_iter().chain(capacity(result)).map(result_note));
    notes.extend(peak_bandwidth(result).map(tabulated));
    notes.extend(streams(result).into_iter().map(result_note));
    notes.extend(memory(result).into_iter().chain(hardware_counters(result)).map(environment));
    notes
}

/// The bandwidth of each frame size.
fn frame_bandwidths(result: &RunResult) -> Vec<String> {
    let mut by_size: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for cell in result.cells_of(Workload::Frame).filter(|cell| has_row(cell)) {
        if let Some(bytes_per_second) = cell.bytes_per_second {
            by_size.entry(cell.size_bytes).or_default().push(format!("{} {}", cell.mode, speed(bytes_per_second)));
        }
    }
    let line =
        |(size, rates): (u64, Vec<String>)| format!("frame {}, end to end: {}", size_name(size), rates.join(", "));
    by_size.into_iter().map(line).collect()
}

/// The fastest stream of each message size.
fn streams(result: &RunResult) -> Vec<String> {
    let mut by_size: BTreeMap<u64, Vec<&Cell>> = BTreeMap::new();
    for cell in result.cells_of(Workload::Stream) {
        by_size.entry(cell.size_bytes).or_default().push(cell);
    }
    let rate = |(cell, rate): &(&Cell, f64)| format!("{} {} ({})", cell.mode, speed(*rate), cell.conditions);
    let line = |(size, cells): (u64, Vec<&Cell>)| {
        let rates: Vec<String> = findings::fastest_per_mode(cells).iter().map(rate).collect();
        (!rates.is_empty()).then(|| format!("stream {}, fastest: {}", size_name(size), rates.join(", ")))
    };
    by_size.into_iter().filter_map(line).collect()
}

/// The ratios of round trips with their verdicts.
fn ratios(result: &RunResult) -> Option<String> {
    let ratio = |comparison: &Comparison| {
        let basis = comparison.basis()?;
        let interval = basis.interval?;
        let noise = basis.noise_floor.map_or_else(
            || "; noise floor unknown".to_owned(),
            |floor| format!("; noise floor {}", factor(floor, None)),
        );
        let corrected = if comparison.figure == Metric::CorrectedLatency { " corrected" } else { "" };
        let metric = if basis.is_mean { "mean" } else { "p50" };
        let again = if comparison.conditions.aa_repeat { " again" } else { "" };
        let ratio = factor_within(basis.ratio, Some((interval.low, interval.high)));
        Some(format!(
            "{}{corrected} {metric} {}{again}/{} {}{noise}), {}",
            comparison.workload,
            comparison.mode,
            comparison.baseline,
            ratio.trim_end_matches(')'),
            basis.word
        ))
    };
    let is_message = |comparison: &&Comparison| matches!(comparison.workload, Workload::Pingpong | Workload::Paced);
    let ratios: Vec<String> = result.comparisons.iter().filter(is_message).filter_map(ratio).take(4).collect();
    (!ratios.is_empty()).then(|| format!("ratios: {}", ratios.join("; ")))
}

fn idle(result: &RunResult) -> Option<String> {
    let mode = |break_even: &BreakEven| {
        let [rate, fastest] = [break_even.rate_per_s, break_even.fastest_per_s].map(rounded_thousands);
        let cheaper = if break_even.is_always_cheaper() {
            format!("less CPU than poll up to the maximum rate of {}, {fastest} msg/s", break_even.mode)
        } else {
            format!("less CPU than poll below {rate} msg/s")
        };
        format!("{} {} cores ({cheaper})", break_even.mode, sig3(break_even.idle_cores))
    };
    let break_even = &result.findings.break_even;
    let polling = break_even.first()?.polling_cores;
    let modes: Vec<String> = break_even.iter().map(mode).collect();
    Some(format!("CPU while idle: poll {} cores, {}", sig3(polling), modes.join(", ")))
}

fn contention(result: &RunResult) -> Option<String> {
    let all = &result.findings.contention;
    let paced: Vec<&ContentionResult> = all.iter().filter(|contention| contention.gap_ns.is_some()).collect();
    let mut shown: Vec<&ContentionResult> = if paced.is_empty() { all.iter().collect() } else { paced };
    shown.sort_by_key(|contention| (contention.shared_core, contention.busy_threads));
    let is_paced = shown.first()?.gap_ns.is_some();
    // With a gap, a poller detects the message at once or after its core is returned. These latencies are bimodal, so
    // the mean is shown.
    let latencies = |contention: &ContentionResult| {
        if is_paced {
            Some((contention.poll_mean_ns?, contention.irq_mean_ns?, contention.lower_mean()))
        } else {
            Some((contention.poll_p50_ns, contention.irq_p50_ns, contention.faster()))
        }
    };
    let rows: Vec<(&ContentionResult, _)> =
        shown.into_iter().filter_map(|contention| Some((contention, latencies(contention)?))).collect();
    let pairs: Vec<String> = rows
        .iter()
        .map(|(contention, (poll, irq, winner))| {
            let threads = if contention.shared_core {
                "both sides on one core".to_owned()
            } else {
                contention.busy_threads.to_string()
            };
            let mark = if winner.is_some() { "" } else { " ?" };
            format!("{threads}: {} / {}{mark}", duration(*poll as f64), duration(*irq as f64))
        })
        .collect();
    let metric = if is_paced { "mean corrected latency" } else { "p50" };
    let legend = if rows.iter().all(|(_, (.., winner))| winner.is_some()) { "" } else { " (?: not significant)" };
    (!pairs.is_empty())
        .then(|| format!("contention, {metric}, poll / irq by total busy threads{legend}: {}", pairs.join("; ")))
}

/// Coalescing in the fastest storm.
fn storm(result: &RunResult) -> Option<String> {
    let rate = |cell: &Cell| cell.messages_per_second.unwrap_or(0.0);
    let storms = result.cells_of(Workload::Storm);
    let fastest = storms.max_by(|a, b| rate(a).total_cmp(&rate(b)))?;
    let traffic = fastest.traffic.as_ref()?;
    let doorbells = fastest.counters.interrupts.map_or_else(
        || format!("{} doorbells, number of interrupts unknown", thousands(fastest.counters.rings)),
        |interrupts| fastest.counters.coalescing(interrupts),
    );
    let is_overwritten = traffic.last_seen && traffic.seen < traffic.sent;
    let overwritten = if is_overwritten { " (by design, newer messages overwrite unread ones)" } else { "" };
    Some(format!(
        "storm, {}, {} messages/s: {doorbells}; the guest read {}, {} the last one{overwritten}",
        fastest.mode,
        rounded_thousands(fastest.messages_per_second?),
        plural(traffic.seen, "message"),
        if traffic.last_seen { "including" } else { "without" }
    ))
}

/// The capacity of each mode in an open loop.
fn capacity(result: &RunResult) -> Option<String> {
    let mode = |capacity: &Capacity| {
        let rate = match (capacity.rate_per_s, capacity.not_judged_per_s.is_empty()) {
            (Some(rate), _) => format!("{}/s", thousands(rate)),
            (None, true) => "none of the offered rates".to_owned(),
            (None, false) => "inconclusive (too few messages)".to_owned(),
        };
        format!("{} {} {rate}", capacity.mode, capacity.arrivals.name())
    };
    let capacity = &result.findings.capacity;
    let limit = duration(capacity.first()?.p99_limit_ns as f64);
    let modes: Vec<String> = capacity.iter().map(mode).collect();
    Some(format!("open loop, highest rate with p99 below {limit}: {}", modes.join(", ")))
}

fn peak_bandwidth(result: &RunResult) -> Option<String> {
    let largest = result.ceilings.iter().max_by_key(|peak| peak.size_bytes)?;
    let empty = result.overhead.map_or(String::new(), |overhead| {
        format!("; instrument overhead {} per operation", duration(overhead.empty_operation_ns))
    });
    Some(format!(
        "peak bandwidth, {}: memcpy (heap) host {}, guest {} ({}); SHA-256 host {}, guest {}{empty}",
        size_name(largest.size_bytes),
        speed(largest.host.heap_to_heap),
        speed(largest.guest.heap_to_heap),
        result.findings.copy_host_over_guest.map_or_else(|| "?".to_owned(), |ratio| factor(ratio, None)),
        speed(largest.host.sha256),
        speed(largest.guest.sha256),
    ))
}

/// Memory type and access rates of the shared memory in the guest.
fn memory(result: &RunResult) -> Option<String> {
    let environment = &result.environment;
    let (load, map) = environment.bar2_ns_per_load.zip(environment.bar2_map.as_ref())?;
    let copies = [
        ("read", environment.bar2_read_gb_per_s),
        ("streaming read (MOVNTDQA)", environment.bar2_streaming_read_gb_per_s),
        ("write", environment.bar2_write_gb_per_s),
    ];
    let copies = copies.into_iter().filter_map(|(name, gb)| Some(format!(", {name} {}", speed(gb? * 1e9))));
    Some(format!("BAR2, {map}: {load:.1} ns per dependent load{}", copies.collect::<String>()))
}

/// Hardware counters of round trips, or why they are missing. `None` if the run recorded neither.
fn hardware_counters(result: &RunResult) -> Option<String> {
    let cells = result.cells_of(Workload::Pingpong);
    let counts: Vec<String> = cells.filter_map(counts_of_cell).collect();
    if !counts.is_empty() {
        return Some(format!("cycles/instructions per op: {}", counts.join("; ")));
    }
    let missing = result.environment.perf_missing.as_ref()?;
    // A single reason applies to every counter, so the list of counters is omitted.
    let reason = missing.split_once(": ").filter(|_| !missing.contains("; ")).map_or(missing.as_str(), |(_, r)| r);
    Some(format!("hardware counters: n/a, {reason}"))
}

fn counts_of_cell(cell: &Cell) -> Option<String> {
    let perf = cell.cpu.perf.as_ref()?;
    let pair = |counts: &ThreadCounts| Some(format!("{}/{}", short(counts.cycles?), short(counts.instructions?)));
    let threads = [("host", &perf.host), ("vcpu", &perf.vcpu)];
    let threads: Vec<String> =
        threads.into_iter().filter_map(|(name, counts)| Some(format!("{name} {}", pair(counts.as_ref()?)?))).collect();
    (!threads.is_empty()).then(|| format!("{} {}", cell.mode, threads.join(" ")))
}

/// Three digits, with `k` or `M`.
fn short(count: f64) -> String {
    match count {
        count if count < 999.5 => format!("{count:.0}"),
        count if count < 999.5e3 => format!("{}k", sig3(count / 1e3)),
        count => format!("{}M", sig3(count / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortens_counts_of_any_size() {
        assert_eq!([0.4, 850.0, 1_234.0, 99_960.0, 2_000_000.0].map(short), ["0", "850", "1.23k", "100k", "2.00M"]);
    }
}
