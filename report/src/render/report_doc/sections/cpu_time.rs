//! Sections "CPU time" and "Counters".

use crate::result::ThreadCounts;
use crate::result::{Cell, RunResult};
use bench_model::units::size_name;

use crate::render::report_doc::cell_label;
use crate::render::report_doc::table::{SectionPart, Table, TableRow, columns};
use crate::render::report_doc::value::Value;

/// The key columns: workload, case and mode.
fn keys(cell: &Cell) -> Vec<Value> {
    let conditions = cell.conditions.to_string();
    let case = if conditions.is_empty() { size_name(cell.size_bytes) } else { cell_label::label(cell) };
    [cell.workload.name().to_owned(), case, cell.mode.clone()].map(Value::word).into()
}

fn keyed_table(
    id: &str,
    caption: &str,
    named: &[(&'static str, &'static str)],
    rows: Vec<TableRow>,
    detail: bool,
) -> Table {
    let keys = [("workload", ""), ("case", ""), ("mode", "")];
    let named: Vec<_> = keys.into_iter().chain(named.iter().copied()).collect();
    Table { id: id.to_owned(), caption: caption.to_owned(), keys: 3, columns: columns(&named), rows, detail }
}

fn table(
    id: &str,
    caption: &str,
    named: &[(&'static str, &'static str)],
    rows: Vec<TableRow>,
    detail: bool,
) -> Option<SectionPart> {
    keyed_table(id, caption, named, rows, detail).without_unknown_columns().part()
}

pub(super) fn cpu_time(result: &RunResult) -> Vec<SectionPart> {
    let row = |cell: &Cell| {
        let cpu = &cell.cpu;
        let switches = &cpu.switches_per_op;
        let mut values = keys(cell);
        values.extend([cpu.host_us_per_op, cpu.vcpu_us_per_op, cpu.main_loop_us_per_op].map(Value::cpu_us));
        values.push(Value::cpu_us(cpu.total_us_per_op()));
        values.push(Value::number(cpu.cores));
        values.extend([switches.host, switches.vcpu, switches.main_loop, cpu.wakeups_per_op].map(Value::number));
        TableRow { mode: Some(cell.mode.clone()), values }
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
    let mut parts: Vec<SectionPart> = table("table-cpu", caption, &named, rows, false).into_iter().collect();
    parts.extend(each_vcpu(result));
    parts.extend(hardware(result));
    if let (false, Some(missing)) = (parts.is_empty(), &result.environment.perf_missing) {
        parts.push(SectionPart::Text(format!("Hardware counters not available: {missing}")));
    }
    parts
}

/// CPU time by virtual CPU. `None` for a single one, whose time is in the main table.
fn each_vcpu(result: &RunResult) -> Option<SectionPart> {
    let mut rows = Vec::new();
    for cell in result.cells.iter().filter(|cell| cell.cpu.vcpus_us_per_op.len() > 1) {
        for (index, &us) in cell.cpu.vcpus_us_per_op.iter().enumerate() {
            let mut values = keys(cell);
            values.extend([Value::word(index.to_string()), Value::cpu_us(us)]);
            rows.push(TableRow { mode: Some(cell.mode.clone()), values });
        }
    }
    let named = [("vCPU", ""), ("CPU time", "per operation")];
    table("table-vcpus", "CPU time per operation of each virtual CPU", &named, rows, true)
}

fn hardware(result: &RunResult) -> Option<SectionPart> {
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
        TableRow { mode: Some(cell.mode.clone()), values }
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

pub(super) fn counters(result: &RunResult) -> Vec<SectionPart> {
    let row = |cell: &Cell| {
        let counters = &cell.counters;
        let mut values = keys(cell);
        values.push(Value::count(counters.rings));
        values.extend([counters.interrupts, counters.uio_events, counters.coalesced].map(Value::count));
        values.extend(
            [
                counters.guest_rings,
                counters.host_events,
                counters.guest_waits,
                counters.host_waits,
                counters.guest_found_armed,
                counters.host_found_armed,
                counters.deadline_wakeups,
                counters.stale_acks,
                counters.lost_wakeups,
            ]
            .map(Value::count),
        );
        TableRow { mode: Some(cell.mode.clone()), values }
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
    let table = keyed_table("table-counters", caption, &named, rows, false);
    let total = table.columns.len();
    let all_columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let table = table.without_zero_columns();
    let removed: Vec<&str> =
        all_columns.into_iter().filter(|name| table.columns.iter().all(|column| column.name != *name)).collect();
    let mut parts: Vec<SectionPart> = Vec::new();
    let has_zeros = table.columns.len() < total;
    parts.extend(table.part());
    if has_zeros && !parts.is_empty() {
        parts.push(SectionPart::Text(format!("Zero or unknown in every case: {}.", removed.join(", "))));
    }
    parts
}
