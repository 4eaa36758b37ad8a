//! What it costs: CPU time by thread, going to sleep and being woken, and the events behind it.

use crate::cost::ThreadCounts;
use crate::frame_size::size_name;
use crate::result::{Cell, RunResult};

use super::table::{Part, Row, Table, columns};
use super::value::Value;

/// The keys of a row: workload, case, mode.
fn keys(cell: &Cell) -> Vec<Value> {
    let conditions = cell.conditions.to_string();
    let case = if conditions.is_empty() { size_name(cell.size_bytes) } else { super::case::name(cell) };
    [cell.workload.name().to_owned(), case, cell.mode.clone()].map(Value::word).into()
}

fn table(
    id: &str,
    caption: &str,
    named: &[(&'static str, &'static str)],
    rows: Vec<Row>,
    detail: bool,
) -> Option<Part> {
    let keys = [("workload", ""), ("case", ""), ("mode", "")];
    let named: Vec<_> = keys.into_iter().chain(named.iter().copied()).collect();
    let columns = columns(&named);
    let table = Table { id: id.to_owned(), caption: caption.to_owned(), keys: 3, columns, rows, detail };
    table.without_unknown_columns().part()
}

pub(super) fn parts(result: &RunResult) -> Vec<Part> {
    let row = |cell: &Cell| {
        let cpu = &cell.cpu;
        let switches = &cpu.switches_per_op;
        let mut values = keys(cell);
        values.extend([cpu.host_us_per_op, cpu.vcpu_us_per_op, cpu.main_loop_us_per_op].map(Value::cpu_us));
        values.push(Value::cpu_us(cpu.total_us_per_op()));
        values.push(Value::number(cpu.cores));
        values.extend([switches.host, switches.vcpu, switches.main_loop, cpu.wakeups_per_op].map(Value::number));
        Row { mode: Some(cell.mode.clone()), values }
    };
    let named = [
        ("host", "the initiator's thread, per operation"),
        ("vCPUs", "all virtual CPUs, per operation"),
        ("main loop", "QEMU's main loop, per operation"),
        ("all", "all threads, per operation"),
        ("cores", "kept busy: CPU time over wall time"),
        ("host sleeps", "voluntary context switches per operation"),
        ("vCPU sleeps", "voluntary context switches per operation"),
        ("loop sleeps", "voluntary context switches per operation"),
        ("wake-ups", "times a side blocked and was woken, per operation"),
    ];
    let rows = result.cells.iter().map(row).collect();
    let caption = "CPU time per operation by thread, cores in use, and how often a thread went to sleep";
    let mut parts: Vec<Part> = table("table-cpu", caption, &named, rows, false).into_iter().collect();
    parts.extend(each_vcpu(result));
    parts.extend(hardware(result));
    if let (false, Some(missing)) = (parts.is_empty(), &result.environment.perf_missing) {
        parts.push(Part::Text(format!("Processor counters that could not be had: {missing}")));
    }
    parts
}

/// Only where there are several virtual CPUs: of one, the sum is all there is.
fn each_vcpu(result: &RunResult) -> Option<Part> {
    let mut rows = Vec::new();
    for cell in result.cells.iter().filter(|cell| cell.cpu.vcpus_us_per_op.len() > 1) {
        for (index, &us) in cell.cpu.vcpus_us_per_op.iter().enumerate() {
            let mut values = keys(cell);
            values.extend([Value::word(index.to_string()), Value::cpu_us(us)]);
            rows.push(Row { mode: Some(cell.mode.clone()), values });
        }
    }
    let named = [("vCPU", ""), ("CPU time", "per operation")];
    table("table-vcpus", "CPU time per operation of each virtual CPU", &named, rows, true)
}

fn hardware(result: &RunResult) -> Option<Part> {
    let row = |cell: &Cell, thread: &str, counts: &ThreadCounts| {
        let mut values = keys(cell);
        values.push(Value::word(thread));
        values.extend(
            [
                counts.cycles,
                counts.instructions,
                counts.instructions_per_cycle,
                counts.l1d_misses,
                counts.llc_misses,
                counts.dtlb_misses,
            ]
            .map(Value::number),
        );
        values.push(Value::share(counts.counted_share));
        Row { mode: Some(cell.mode.clone()), values }
    };
    let mut rows = Vec::new();
    for cell in &result.cells {
        let Some(perf) = &cell.cpu.perf else { continue };
        rows.extend(perf.host.as_ref().map(|counts| row(cell, "host", counts)));
        rows.extend(perf.vcpu.as_ref().map(|counts| row(cell, "vCPU 0", counts)));
    }
    let named = [
        ("thread", ""),
        ("cycles", "per operation"),
        ("instructions", "per operation"),
        ("per cycle", "instructions over cycles"),
        ("L1d misses", "per operation"),
        ("LLC misses", "per operation"),
        ("dTLB misses", "per operation"),
        ("counted", "share of the time for which the counters ran; below 100 % the counts are scaled up"),
    ];
    table("table-hardware", "What the processor counted per operation", &named, rows, true)
}

pub(super) fn counters(result: &RunResult) -> Vec<Part> {
    let row = |cell: &Cell| {
        let seen = &cell.counters;
        let mut values = keys(cell);
        values.push(Value::count(seen.rings));
        values.extend([seen.interrupts, seen.uio_events, seen.coalesced].map(Value::count));
        values.extend(
            [
                seen.guest_rings,
                seen.host_events,
                seen.guest_waits,
                seen.host_waits,
                seen.guest_found_armed,
                seen.host_found_armed,
                seen.deadline_wakeups,
                seen.stale_acks,
                seen.lost_wakeups,
            ]
            .map(Value::count),
        );
        Row { mode: Some(cell.mode.clone()), values }
    };
    let named = [
        ("rings", "doorbells that the host rang"),
        ("interrupts", "of the device, from the guest's /proc/interrupts"),
        ("events", "that the guest's driver reported"),
        ("coalesced", "rings less interrupts"),
        ("guest rings", "doorbells that the guest rang"),
        ("host events", "that the host read from its eventfd"),
        ("guest waits", "times the guest blocked"),
        ("host waits", "times the host blocked"),
        ("guest armed", "messages that the guest found when it looked again after arming"),
        ("host armed", "answers that the host found when it looked again after arming"),
        ("late", "waits that the guard ended although the message was there"),
        ("stale", "acknowledgements with a wrong sequence number"),
        ("lost", "waits whose event never came"),
    ];
    let caption = "Events as they were counted, warm-up and corrupted frames included";
    let rows = result.cells.iter().map(row).collect();
    table("table-counters", caption, &named, rows, false).into_iter().collect()
}
