//! Section "Contention": latency with busy threads.

use crate::render::report_doc::{Column, SectionPart, Table, Value, verdict};
use crate::result::findings::ContentionResult;
use crate::result::{Cell, RunResult};
use bench_model::{WaitMode, Workload};

use super::latency;

/// A finding and the result from which it was derived.
type Contended<'a> = (&'a RunResult, &'a ContentionResult);

fn p90((result, contention): &Contended<'_>, wait: WaitMode) -> Value {
    let is_same = |cell: &&Cell| {
        let conditions = &cell.conditions;
        (cell.host_wait, cell.guest_wait) == (wait, wait)
            && !conditions.aa_repeat
            && !conditions.full_stamps
            && (conditions.busy_threads.unwrap_or(0), conditions.shared_core, conditions.gap_ns)
                == (contention.busy_threads, contention.shared_core, contention.gap_ns)
    };
    let cell = result.cells_of(Workload::Contention).find(is_same);
    Value::ns(cell.and_then(|cell| cell.latencies()?.ns.p90))
}

pub(super) fn contention(result: &RunResult) -> Vec<SectionPart> {
    // Under contention, a poller detects the message at once or after its core is returned. Its latencies are then
    // bimodal, so the mean comes first.
    let columns: [Column<Contended<'_>>; 10] = [
        ("busy threads", "", |(_, all)| {
            Value::word(if all.shared_core { "both on one core".to_owned() } else { all.busy_threads.to_string() })
        }),
        ("gap", "between messages", |(_, all)| all.gap_ns.map_or_else(|| Value::word("none"), Value::ns)),
        ("poll mean", "", |(_, all)| Value::ns(all.poll_mean_ns)),
        ("irq mean", "", |(_, all)| Value::ns(all.irq_mean_ns)),
        ("lower mean", "only if the difference is significant", |(result, all)| {
            Value::word(verdict::lower_mean(&result.comparisons, all))
        }),
        ("poll p50", "", |(_, all)| Value::ns(all.poll_p50_ns)),
        ("irq p50", "", |(_, all)| Value::ns(all.irq_p50_ns)),
        (
            "lower p50",
            "only if the difference is significant; bimodal: the medians of equal blocks lie in different modes, compare \
             the means",
            |(result, all)| Value::word(verdict::lower_p50(&result.comparisons, all)),
        ),
        ("poll p90", "", |all| p90(all, WaitMode::Poll)),
        ("irq p90", "", |all| p90(all, WaitMode::Irq)),
    ];
    let mut all: Vec<Contended<'_>> =
        result.findings.contention.iter().map(|contention| (result, contention)).collect();
    all.sort_by_key(|(_, contention)| (contention.shared_core, contention.busy_threads, contention.gap_ns));
    let caption = "Latency with busy threads, poll and irq; with a gap: corrected latency";
    let table = Table::new("table-contention", caption, 2, &columns, &all).with_prose(&["lower mean", "lower p50"]);
    let mut parts: Vec<SectionPart> = table.without_unknown_columns().part().into_iter().collect();
    parts.extend(latency::tables(result, Workload::Contention).into_iter().map(|part| match part {
        SectionPart::Table(table) => SectionPart::Table(table.folded()),
        other => other,
    }));
    parts
}
