//! `cpu.csv`: one line per block with CPU time, context switches and counters per thread. An empty field is unknown.

use std::io::{self, Write};

use crate::io::run::Run;
use crate::render::export::Export;
use crate::result::RunResult;
use bench_model::raw::{ClockFit, Counters, CpuTime, RawBlock};
use bench_model::samples::mode_name;
use bench_model::thread_usage::{HardwareCounts, Switches};
use bench_model::{Arrivals, Block, Conditions, WaitMode, Workload};

/// Writes the blocks' costs.
#[derive(Debug, Clone, Copy)]
pub struct CpuCsv;

/// A column's name and its field.
type Column = (String, String);

impl Export for CpuCsv {
    fn file_name(&self) -> &'static str {
        "cpu.csv"
    }

    fn write(&self, _result: &RunResult, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let blocks = || run.blocks().map(|block| block.measured);
        let vcpus = blocks().map(|block| block.cpu.vcpus_ns.len()).max().unwrap_or(0);
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(out);
        // The names do not depend on the block: a run without blocks still gets a header.
        writer.write_record(columns(&nothing(), vcpus).into_iter().map(|(name, _)| name))?;
        for block in blocks() {
            writer.write_record(columns(block, vcpus).into_iter().map(|(_, field)| field))?;
        }
        writer.flush()
    }
}

/// An empty block, for the column names.
fn nothing() -> RawBlock {
    RawBlock {
        block: Block {
            index: 0,
            workload: Workload::Idle,
            host_wait: WaitMode::Poll,
            guest_wait: WaitMode::Poll,
            size_bytes: 0,
            warmup: 0,
            count: 0,
            limit_ms: None,
            corrupt_one: false,
            conditions: Conditions::default(),
        },
        wall_ns: 0,
        operations: 0,
        counters: Counters::default(),
        cpu: CpuTime::default(),
        clock: ClockFit::default(),
        corrupt_answer: None,
        bytes_verified: 0,
        traffic: None,
        unsent: 0,
        placement: None,
        suspended_ns: 0,
    }
}

fn columns(block: &RawBlock, vcpus: usize) -> Vec<Column> {
    let guest = vec![column("guest_cpu_ns", &block.counters.guest_cpu_ns)];
    let parts =
        [plan(block), times(block, vcpus), switches(block), waits(block), counters(block), guest, pacing(block)];
    parts.concat()
}

fn column(name: impl Into<String>, field: &impl ToString) -> Column {
    (name.into(), field.to_string())
}

fn known<T: ToString>(name: impl Into<String>, field: Option<T>) -> Column {
    (name.into(), field.map_or_else(String::new, |field| field.to_string()))
}

fn plan(measured: &RawBlock) -> Vec<Column> {
    let block = &measured.block;
    let Conditions {
        busy_threads,
        shared_core,
        gap_ns,
        rate_per_s,
        arrivals,
        cold,
        slots,
        always_ring,
        full_stamps,
        aa_repeat,
    } = block.conditions;
    let arrivals = arrivals.map(|arrivals| match arrivals {
        Arrivals::Fixed => "fixed",
        Arrivals::Poisson => "poisson",
    });
    vec![
        column("block", &block.index),
        column("workload", &block.workload),
        column("mode", &mode_name(block.host_wait, block.guest_wait)),
        column("host_wait", &block.host_wait),
        column("guest_wait", &block.guest_wait),
        column("size_bytes", &block.size_bytes),
        known("busy_threads", busy_threads),
        column("one_core", &shared_core),
        known("gap_ns", gap_ns),
        known("rate_per_s", rate_per_s),
        known("arrivals", arrivals),
        column("cold", &cold),
        known("slots", slots),
        column("always_ring", &always_ring),
        column("stamped", &full_stamps),
        column("again", &aa_repeat),
        column("operations", &measured.operations),
        column("operations_with_warmup", &measured.operations.saturating_add(block.warmup)),
    ]
}

fn times(measured: &RawBlock, vcpus: usize) -> Vec<Column> {
    let cpu = &measured.cpu;
    let all =
        cpu.vcpu_ns.zip(cpu.main_loop_ns).map(|(vcpu, main)| cpu.host_ns.saturating_add(vcpu).saturating_add(main));
    let over = |ns: u64, count: u64| (count > 0).then(|| ns as f64 / count as f64);
    let mut columns = vec![
        column("wall_ns", &measured.wall_ns),
        column("host_cpu_ns", &cpu.host_ns),
        known("vcpus_cpu_ns", cpu.vcpu_ns),
        known("main_loop_cpu_ns", cpu.main_loop_ns),
    ];
    let each = |index: usize| known(format!("vcpu{index}_cpu_ns"), cpu.vcpus_ns.get(index));
    columns.extend((0..vcpus).map(each));
    columns.push(known("cores", all.and_then(|ns| over(ns, measured.wall_ns))));
    columns.push(known("cpu_ns_per_op", all.and_then(|ns| over(ns, measured.operations))));
    columns
}

fn switches(measured: &RawBlock) -> Vec<Column> {
    let seen = measured.cpu.switches;
    let of = |thread: &str, switches: Option<Switches>| {
        [
            known(format!("{thread}_voluntary_switches"), switches.map(|all| all.voluntary)),
            known(format!("{thread}_involuntary_switches"), switches.map(|all| all.involuntary)),
        ]
    };
    [of("host", seen.host), of("vcpus", seen.vcpus), of("main_loop", seen.main_loop)].concat()
}

fn waits(measured: &RawBlock) -> Vec<Column> {
    let seen = &measured.counters;
    vec![
        column("wakeups", &seen.host_waits.saturating_add(seen.guest_waits)),
        column("host_waits", &seen.host_waits),
        column("guest_waits", &seen.guest_waits),
        column("host_deadline_wakeups", &seen.host_deadline_wakeups),
        column("guest_deadline_wakeups", &seen.guest_deadline_wakeups),
        column("rings", &seen.rings),
        column("guest_rings", &seen.guest_rings),
        known("interrupts", seen.interrupts),
        known("uio_events", seen.uio_events),
        column("host_events", &seen.host_events),
    ]
}

fn counters(measured: &RawBlock) -> Vec<Column> {
    let of = |thread: &str, counts: Option<HardwareCounts>| {
        let count = |name: &str, of: fn(&HardwareCounts) -> Option<u64>| {
            known(format!("{thread}_{name}"), counts.as_ref().and_then(of))
        };
        [
            count("cycles", |seen| seen.cycles),
            count("instructions", |seen| seen.instructions),
            count("l1d_misses", |seen| seen.l1d_misses),
            count("llc_misses", |seen| seen.llc_misses),
            count("dtlb_misses", |seen| seen.dtlb_misses),
            count("counted_switches", |seen| seen.context_switches),
            count("enabled_ns", |seen| Some(seen.enabled_ns)),
            count("running_ns", |seen| Some(seen.running_ns)),
        ]
    };
    let perf = measured.cpu.perf;
    [of("host", perf.host), of("vcpu0", perf.vcpu)].concat()
}

/// The last column, because other programs may read the earlier ones by position.
fn pacing(measured: &RawBlock) -> Vec<Column> {
    vec![column("host_pacing_ns", &measured.cpu.host_pacing_ns)]
}
