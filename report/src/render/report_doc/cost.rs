//! CPU time by thread, context switches and event counters.

use crate::result::ThreadCounts;
use crate::result::{Cell, RunResult};
use bench_model::units::size_name;

use super::table::{Part, Row, Table, columns};
use super::value::Value;

/// The keys of a row: workload, case, mode.
fn keys(cell: &Cell) -> Vec<Value> {
    let conditions = cell.conditions.to_string();
    let case = if conditions.is_empty() { size_name(cell.size_bytes) } else { super::case::name(cell) };
    [cell.workload.name().to_owned(), case, cell.mode.clone()].map(Value::word).into()
}

fn keyed(id: &str, caption: &str, named: &[(&'static str, &'static str)], rows: Vec<Row>, detail: bool) -> Table {
    let keys = [("workload", ""), ("case", ""), ("mode", "")];
    let named: Vec<_> = keys.into_iter().chain(named.iter().copied()).collect();
    Table { id: id.to_owned(), caption: caption.to_owned(), keys: 3, columns: columns(&named), rows, detail }
}

fn table(
    id: &str,
    caption: &str,
    named: &[(&'static str, &'static str)],
    rows: Vec<Row>,
    detail: bool,
) -> Option<Part> {
    keyed(id, caption, named, rows, detail).without_unknown_columns().part()
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
        ("cores", "CPU time over wall time"),
        ("host switches", "voluntary context switches per operation"),
        ("vCPU switches", "voluntary context switches per operation"),
        ("loop switches", "voluntary context switches per operation"),
        ("wake-ups", "blocking waits of both sides, per operation"),
    ];
    let rows = result.cells.iter().map(row).collect();
    let caption = "CPU time per operation by thread, cores in use, voluntary context switches per operation";
    let mut parts: Vec<Part> = table("table-cpu", caption, &named, rows, false).into_iter().collect();
    parts.extend(each_vcpu(result));
    parts.extend(hardware(result));
    if let (false, Some(missing)) = (parts.is_empty(), &result.environment.perf_missing) {
        parts.push(Part::Text(format!("Hardware counters that are not available: {missing}")));
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
        ("counted", "share of the time in which the counters ran; below 100 % the counts are scaled"),
    ];
    table("table-hardware", "Hardware counters per operation", &named, rows, true)
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
        ("rings", "doorbells rung by the host"),
        ("interrupts", "of the device, from the guest's /proc/interrupts"),
        ("events", "reported by the guest's driver"),
        ("coalesced", "rings minus interrupts"),
        ("guest rings", "doorbells rung by the guest"),
        ("host events", "read by the host from its eventfd"),
        ("guest waits", "blocking waits of the guest"),
        ("host waits", "blocking waits of the host"),
        ("guest armed", "messages found by the guest's check after arming"),
        ("host armed", "acknowledgements found by the host's check after arming"),
        ("timeouts", "waits that timed out although the message was there"),
        ("stale", "acknowledgements with a wrong sequence number"),
        ("lost", "waits whose event never arrived"),
    ];
    let rows = result.cells.iter().filter(|cell| cell.counters.has_events()).map(row).collect();
    let caption =
        "Events of each case, warm-up and corrupted frames included; cases and columns with zeros only are left out";
    let table = keyed("table-counters", caption, &named, rows, false);
    let total = table.columns.len();
    let all: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let table = table.without_zero_columns();
    let left: Vec<&str> =
        all.into_iter().filter(|name| table.columns.iter().all(|column| column.name != *name)).collect();
    let mut parts: Vec<Part> = Vec::new();
    let has_zeros = table.columns.len() < total;
    parts.extend(table.part());
    if has_zeros && !parts.is_empty() {
        parts.push(Part::Text(format!("Zero or unknown in every case: {}.", left.join(", "))));
    }
    parts
}
