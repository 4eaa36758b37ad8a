//! The headline: the result of the run in one or two sentences.

use super::verdict::without_explanation;
use crate::evaluate::checks::COMPLETENESS;
use crate::evaluate::findings;
use crate::result::comparison::Comparison;
use crate::result::metric::Metric;
use crate::result::{Cell, CheckOutcome, RunResult};
use bench_model::units::{duration, plural, size_name, speed};
use bench_model::{WaitMode, Workload};
use statistics::Change;

/// The headline, for instance `Round-trip p50: poll 110 ns, irq 59.2 µs. CPU in use: poll 2.0 cores, irq 0.9 cores.`
pub(super) fn headline(result: &RunResult) -> String {
    let failed = result.self_checks.iter().filter(|check| check.pass == CheckOutcome::Fail).count() as u64;
    let prefix = match failed {
        0 => String::new(),
        _ => format!("Not trustworthy: {} failed. ", plural(failed, "self-check")),
    };
    // A storm has one latency per block, which is too few.
    let comparisons = || result.comparisons.iter().filter(|comparison| comparison.workload != Workload::Storm);
    let compared = comparisons()
        .find(|comparison| comparison.mode == WaitMode::Irq.to_string() && comparison.baseline != comparison.mode)
        .or(comparisons().next())
        .and_then(|comparison| compared(result, comparison));
    let text = compared
        .or_else(|| result.cells.iter().filter(|cell| cell.workload != Workload::Storm).find_map(headline_single))
        .or_else(|| headline_stream(result))
        .or_else(|| headline_storm(result))
        .or_else(|| headline_idle(result))
        .or_else(|| headline_baseline(result));
    text.map_or_else(|| no_results(result), |text| prefix + &text)
}

/// Why there are no results: the detail of the completeness check if it failed, which names the cause of an early end;
/// otherwise of the first failed check.
fn no_results(result: &RunResult) -> String {
    let mut failed = result.self_checks.iter().filter(|check| check.pass == CheckOutcome::Fail);
    let reason = failed.clone().find(|check| check.id == COMPLETENESS).or_else(|| failed.next());
    let reason = reason.map_or("no operation succeeded", |check| check.detail.as_str());
    format!("No results: {}.", reason.trim_end_matches('.'))
}

fn compared(result: &RunResult, comparison: &Comparison) -> Option<String> {
    let (this, base) = comparison.cells(&result.cells)?;
    let basis = comparison.basis()?;
    let value = |cell: &Cell| {
        let latency = cell.latencies_by(comparison.figure)?.ns;
        Some(duration(if basis.is_mean { latency.mean } else { latency.p50? as f64 }))
    };
    let again = if comparison.conditions.aa_repeat { " again" } else { "" };
    let (base_name, this_name) = (&base.mode, format!("{}{again}", this.mode));
    let metric = metric(this, comparison.figure, basis.is_mean);
    let latency = format!("{metric}: {base_name} {}, {this_name} {}.", value(base)?, value(this)?);
    let cores = this.cpu.cores.zip(base.cpu.cores).map(|(this_cores, base_cores)| {
        format!("CPU in use: {base_name} {base_cores:.1} cores, {this_name} {this_cores:.1} cores.")
    });
    let verdict = match basis.word {
        Change::Faster | Change::Slower => None,
        Change::NotSignificant => Some("The difference is not significant.".to_owned()),
        Change::Inconclusive => {
            let because = basis.because.unwrap_or("too few samples (use --full)");
            Some(format!("Inconclusive: {}.", without_explanation(because)))
        }
    };
    Some([Some(latency), cores, verdict].into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// The name of a cell's metric, for instance `Round-trip p50` or `1080p frame p50, end to end`.
fn metric(cell: &Cell, figure: Metric, is_mean: bool) -> String {
    let [by, before] = if is_mean { ["", "Mean "] } else { [" p50", ""] };
    let name = match (cell.workload, figure, is_mean) {
        (Workload::Frame, ..) => return format!("{before}{} frame{by}, end to end", size_name(cell.size_bytes)),
        (_, Metric::CorrectedLatency, false) => "Corrected latency",
        (_, Metric::CorrectedLatency, true) => "corrected latency",
        (_, _, false) => "Round-trip",
        (_, _, true) => "round trip",
    };
    let conditions = bench_model::Conditions { aa_repeat: false, ..cell.conditions }.to_string();
    let conditions = if conditions.is_empty() { conditions } else { format!(" ({conditions})") };
    format!("{before}{name}{by}{conditions}")
}

/// A run of nothing but streams, which have no latency: the fastest of each mode.
fn headline_stream(result: &RunResult) -> Option<String> {
    let cells = findings::fastest_per_mode(result.cells_of(Workload::Stream));
    let rates: Vec<String> = cells.iter().map(|(cell, rate)| format!("{} {}", cell.mode, speed(*rate))).collect();
    (!rates.is_empty()).then(|| format!("Peak stream bandwidth: {}.", rates.join(", ")))
}

/// A run of nothing but storms: the one with the most coalescing.
fn headline_storm(result: &RunResult) -> Option<String> {
    let storms = result.cells_of(Workload::Storm);
    let (cell, interrupts) = storms
        .filter_map(|cell| Some((cell, cell.counters.interrupts.filter(|count| *count > 0)?)))
        .max_by_key(|(cell, interrupts)| cell.counters.rings / interrupts)?;
    let was = if cell.traffic.as_ref()?.last_seen { "was" } else { "was not" };
    Some(format!("{}. The last message {was} seen.", cell.counters.coalescing(interrupts)))
}

/// A run of nothing but idling.
fn headline_idle(result: &RunResult) -> Option<String> {
    let idle = result.cells_of(Workload::Idle);
    let cores: Vec<String> =
        idle.filter_map(|cell| Some(format!("{} {:.2} cores", cell.mode, cell.cpu.cores?))).collect();
    (!cores.is_empty()).then(|| format!("CPU in use while idle: {}.", cores.join(", ")))
}

/// A run that measured peak bandwidths only.
fn headline_baseline(result: &RunResult) -> Option<String> {
    let is_only_baseline =
        result.cells.is_empty() && result.self_checks.iter().all(|check| check.pass != CheckOutcome::Fail);
    let largest = result.ceilings.iter().max_by_key(|peak| peak.size_bytes).filter(|_| is_only_baseline)?;
    let [host, guest] = [largest.host, largest.guest].map(|side| speed(side.heap_to_heap));
    Some(format!("Peak copy bandwidth: host {host}, guest {guest}. No messages were measured."))
}

/// A cell without a comparison.
fn headline_single(cell: &Cell) -> Option<String> {
    let p50 = duration(cell.latencies()?.ns.p50? as f64);
    let metric = metric(cell, cell.metric(), false);
    Some(format!("{metric}: {} {p50} ({}).", cell.mode, plural(cell.n, "operation")))
}
