//! Sections "CPU time" and "Counters".

use crate::result::ThreadCounts;
use crate::result::{Cell, RunResult};

use crate::render::report_doc::{Column, KEYS, SectionPart, Table, Value};

const CPU: [Column<Cell>; 9] = [
    ("host", "the initiator's thread, per operation", |cell| Value::cpu_us(cell.cpu.host_us_per_op)),
    ("vCPUs", "all virtual CPUs, per operation", |cell| Value::cpu_us(cell.cpu.vcpu_us_per_op)),
    ("main loop", "QEMU's main loop, per operation", |cell| Value::cpu_us(cell.cpu.main_loop_us_per_op)),
    ("all", "all threads, per operation", |cell| Value::cpu_us(cell.cpu.total_us_per_op())),
    ("cores", "CPU time over wall time", |cell| Value::number(cell.cpu.cores)),
    ("host switches", SWITCHES, |cell| Value::number(cell.cpu.switches_per_op.host)),
    ("vCPU switches", SWITCHES, |cell| Value::number(cell.cpu.switches_per_op.vcpu)),
    ("loop switches", SWITCHES, |cell| Value::number(cell.cpu.switches_per_op.main_loop)),
    ("wake-ups", "blocking waits of both sides, per operation", |cell| Value::number(cell.cpu.wakeups_per_op)),
];

const SWITCHES: &str = "voluntary context switches per operation";

/// A virtual CPU of a cell: its index, and its microseconds per operation.
type Vcpu<'a> = (&'a Cell, usize, f64);

/// The hardware counters of a thread.
type Thread<'a> = (&'a Cell, &'static str, &'a ThreadCounts);

pub(super) fn cpu_time(result: &RunResult) -> Vec<SectionPart> {
    let vcpu_columns: [Column<Vcpu<'_>>; 5] = [
        ("workload", "", |(cell, ..)| KEYS[0].2(cell)),
        ("case", "", |(cell, ..)| KEYS[1].2(cell)),
        ("mode", "", |(cell, ..)| KEYS[2].2(cell)),
        ("vCPU", "", |(_, index, _)| Value::word(index.to_string())),
        ("CPU time", "per operation", |(_, _, us)| Value::cpu_us(*us)),
    ];
    let hardware_columns: [Column<Thread<'_>>; 11] = [
        ("workload", "", |(cell, ..)| KEYS[0].2(cell)),
        ("case", "", |(cell, ..)| KEYS[1].2(cell)),
        ("mode", "", |(cell, ..)| KEYS[2].2(cell)),
        ("thread", "", |(_, thread, _)| Value::word(*thread)),
        ("cycles", "per operation", |(.., counts)| Value::number(counts.cycles)),
        ("instructions", "per operation", |(.., counts)| Value::number(counts.instructions)),
        ("per cycle", "instructions over cycles", |(.., counts)| Value::number(counts.instructions_per_cycle)),
        ("L1d misses", "per operation", |(.., counts)| Value::number(counts.l1d_misses)),
        ("LLC misses", "per operation", |(.., counts)| Value::number(counts.llc_misses)),
        ("dTLB misses", "per operation", |(.., counts)| Value::number(counts.dtlb_misses)),
        (
            "counted",
            "share of the time in which the counters ran; below 100 % the counts are scaled",
            |(.., counts)| Value::share(counts.counted_share),
        ),
    ];
    let caption = "CPU time per operation by thread, cores in use, voluntary context switches per operation";
    let cpu = Table::new("table-cpu", caption, 3, &[&KEYS[..], &CPU].concat(), &result.cells);
    // The time of a single virtual CPU is in the main table.
    let several = result.cells.iter().filter(|cell| cell.cpu.vcpus_us_per_op.len() > 1);
    let vcpus: Vec<Vcpu<'_>> = several
        .flat_map(|cell| cell.cpu.vcpus_us_per_op.iter().enumerate().map(move |(index, us)| (cell, index, *us)))
        .collect();
    let vcpus =
        Table::new("table-vcpus", "CPU time per operation of each virtual CPU", 3, &vcpu_columns, &vcpus).folded();
    let counted = result.cells.iter().filter_map(|cell| Some((cell, cell.cpu.perf.as_ref()?)));
    let threads: Vec<Thread<'_>> = counted
        .flat_map(|(cell, perf)| [(cell, "host", perf.host.as_ref()), (cell, "vCPU 0", perf.vcpu.as_ref())])
        .filter_map(|(cell, thread, counts)| Some((cell, thread, counts?)))
        .collect();
    let hardware =
        Table::new("table-hardware", "Hardware counters per operation", 3, &hardware_columns, &threads).folded();
    let tables = [cpu, vcpus, hardware].into_iter();
    let mut parts: Vec<SectionPart> = tables.filter_map(|table| table.without_unknown_columns().part()).collect();
    if let (false, Some(missing)) = (parts.is_empty(), &result.environment.perf_missing) {
        parts.push(SectionPart::Text(format!("Hardware counters not available: {missing}")));
    }
    parts
}

const COUNTERS: [Column<Cell>; 13] = [
    ("rings", "doorbells rung by the host", |cell| Value::count(cell.counters.rings)),
    ("interrupts", "of the device, from the guest's /proc/interrupts", |cell| Value::count(cell.counters.interrupts)),
    ("events", "reported by the guest's driver", |cell| Value::count(cell.counters.uio_events)),
    ("coalesced", "rings minus interrupts", |cell| Value::count(cell.counters.coalesced)),
    ("guest rings", "doorbells rung by the guest", |cell| Value::count(cell.counters.guest_rings)),
    ("host events", "read by the host from its eventfd", |cell| Value::count(cell.counters.host_events)),
    ("guest waits", "blocking waits of the guest", |cell| Value::count(cell.counters.guest_waits)),
    ("host waits", "blocking waits of the host", |cell| Value::count(cell.counters.host_waits)),
    ("guest armed", "messages found by the guest's check after arming", |cell| {
        Value::count(cell.counters.guest_found_armed)
    }),
    ("host armed", "acknowledgements found by the host's check after arming", |cell| {
        Value::count(cell.counters.host_found_armed)
    }),
    ("timeouts", "waits that timed out although the message was there", |cell| {
        Value::count(cell.counters.deadline_wakeups)
    }),
    ("stale", "acknowledgements with a wrong sequence number", |cell| Value::count(cell.counters.stale_acks)),
    ("lost", "waits whose event never arrived", |cell| Value::count(cell.counters.lost_wakeups)),
];

pub(super) fn counters(result: &RunResult) -> Vec<SectionPart> {
    let cells = result.cells.iter().filter(|cell| cell.counters.has_events());
    let caption =
        "Events of each case, warm-up and corrupted frames included; cases and columns with zeros only are left out";
    let table =
        Table::new("table-counters", caption, 3, &[&KEYS[..], &COUNTERS].concat(), cells).without_zero_columns();
    let is_removed = |name: &&str| table.columns.iter().all(|column| column.name != *name);
    let removed: Vec<&str> = COUNTERS.iter().map(|(name, ..)| *name).filter(is_removed).collect();
    let mut parts: Vec<SectionPart> = table.part().into_iter().collect();
    if !parts.is_empty() && !removed.is_empty() {
        parts.push(SectionPart::Text(format!("Zero or unknown in every case: {}.", removed.join(", "))));
    }
    parts
}
