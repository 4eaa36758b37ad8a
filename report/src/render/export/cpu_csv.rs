//! `cpu.csv`: one line per block with CPU time, context switches and counters per thread. An empty field is unknown.

use std::io::{self, Write};

use crate::io::run::Run;
use crate::result::RunResult;
use bench_model::Arrivals;
use bench_model::raw::RawBlock;
use bench_model::samples::mode_name;
use bench_model::thread_usage::{HardwareCounts, Switches};

/// A column's name and its value.
type CsvColumn = (&'static str, fn(&RawBlock) -> String);

/// The columns before and after the times of each virtual CPU.
const PLAN_AND_TIMES: [CsvColumn; 22] = [
    ("block", |raw| raw.block.index.to_string()),
    ("workload", |raw| raw.block.workload.to_string()),
    ("mode", |raw| mode_name(raw.block.host_wait, raw.block.guest_wait)),
    ("host_wait", |raw| raw.block.host_wait.to_string()),
    ("guest_wait", |raw| raw.block.guest_wait.to_string()),
    ("size_bytes", |raw| raw.block.size_bytes.to_string()),
    ("busy_threads", |raw| field(raw.block.conditions.busy_threads)),
    ("one_core", |raw| raw.block.conditions.shared_core.to_string()),
    ("gap_ns", |raw| field(raw.block.conditions.gap_ns)),
    ("rate_per_s", |raw| field(raw.block.conditions.rate_per_s)),
    ("arrivals", |raw| field(raw.block.conditions.arrivals.map(Arrivals::name))),
    ("cold", |raw| raw.block.conditions.cold.to_string()),
    ("slots", |raw| field(raw.block.conditions.slots)),
    ("always_ring", |raw| raw.block.conditions.always_ring.to_string()),
    ("stamped", |raw| raw.block.conditions.full_stamps.to_string()),
    ("again", |raw| raw.block.conditions.aa_repeat.to_string()),
    ("operations", |raw| raw.operations.to_string()),
    ("operations_with_warmup", |raw| raw.operations.saturating_add(raw.block.warmup).to_string()),
    ("wall_ns", |raw| raw.wall_ns.to_string()),
    ("host_cpu_ns", |raw| raw.cpu.host_ns.to_string()),
    ("vcpus_cpu_ns", |raw| field(raw.cpu.vcpu_ns)),
    ("main_loop_cpu_ns", |raw| field(raw.cpu.main_loop_ns)),
];

/// `host_pacing_ns` is the last column, because other programs may read the earlier ones by position.
const COUNTERS: [CsvColumn; 36] = [
    ("cores", |raw| field(cpu_over(raw, raw.wall_ns))),
    ("cpu_ns_per_op", |raw| field(cpu_over(raw, raw.operations))),
    ("host_voluntary_switches", |raw| voluntary(raw.cpu.switches.host)),
    ("host_involuntary_switches", |raw| involuntary(raw.cpu.switches.host)),
    ("vcpus_voluntary_switches", |raw| voluntary(raw.cpu.switches.vcpus)),
    ("vcpus_involuntary_switches", |raw| involuntary(raw.cpu.switches.vcpus)),
    ("main_loop_voluntary_switches", |raw| voluntary(raw.cpu.switches.main_loop)),
    ("main_loop_involuntary_switches", |raw| involuntary(raw.cpu.switches.main_loop)),
    ("wakeups", |raw| raw.counters.host_waits.saturating_add(raw.counters.guest_waits).to_string()),
    ("host_waits", |raw| raw.counters.host_waits.to_string()),
    ("guest_waits", |raw| raw.counters.guest_waits.to_string()),
    ("host_deadline_wakeups", |raw| raw.counters.host_deadline_wakeups.to_string()),
    ("guest_deadline_wakeups", |raw| raw.counters.guest_deadline_wakeups.to_string()),
    ("rings", |raw| raw.counters.rings.to_string()),
    ("guest_rings", |raw| raw.counters.guest_rings.to_string()),
    ("interrupts", |raw| field(raw.counters.interrupts)),
    ("uio_events", |raw| field(raw.counters.uio_events)),
    ("host_events", |raw| raw.counters.host_events.to_string()),
    ("host_cycles", |raw| count(raw.cpu.perf.host, |counts| counts.cycles)),
    ("host_instructions", |raw| count(raw.cpu.perf.host, |counts| counts.instructions)),
    ("host_l1d_misses", |raw| count(raw.cpu.perf.host, |counts| counts.l1d_misses)),
    ("host_llc_misses", |raw| count(raw.cpu.perf.host, |counts| counts.llc_misses)),
    ("host_dtlb_misses", |raw| count(raw.cpu.perf.host, |counts| counts.dtlb_misses)),
    ("host_counted_switches", |raw| count(raw.cpu.perf.host, |counts| counts.context_switches)),
    ("host_enabled_ns", |raw| count(raw.cpu.perf.host, |counts| Some(counts.enabled_ns))),
    ("host_running_ns", |raw| count(raw.cpu.perf.host, |counts| Some(counts.running_ns))),
    ("vcpu0_cycles", |raw| count(raw.cpu.perf.vcpu, |counts| counts.cycles)),
    ("vcpu0_instructions", |raw| count(raw.cpu.perf.vcpu, |counts| counts.instructions)),
    ("vcpu0_l1d_misses", |raw| count(raw.cpu.perf.vcpu, |counts| counts.l1d_misses)),
    ("vcpu0_llc_misses", |raw| count(raw.cpu.perf.vcpu, |counts| counts.llc_misses)),
    ("vcpu0_dtlb_misses", |raw| count(raw.cpu.perf.vcpu, |counts| counts.dtlb_misses)),
    ("vcpu0_counted_switches", |raw| count(raw.cpu.perf.vcpu, |counts| counts.context_switches)),
    ("vcpu0_enabled_ns", |raw| count(raw.cpu.perf.vcpu, |counts| Some(counts.enabled_ns))),
    ("vcpu0_running_ns", |raw| count(raw.cpu.perf.vcpu, |counts| Some(counts.running_ns))),
    ("guest_cpu_ns", |raw| raw.counters.guest_cpu_ns.to_string()),
    ("host_pacing_ns", |raw| raw.cpu.host_pacing_ns.to_string()),
];

pub(super) fn write(_result: &RunResult, run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let blocks = || run.blocks().map(|block| block.measured);
    let vcpus = blocks().map(|block| block.cpu.vcpus_ns.len()).max().unwrap_or(0);
    let names = |columns: &'static [CsvColumn]| columns.iter().map(|(name, _)| (*name).to_owned());
    let each_vcpu = (0..vcpus).map(|index| format!("vcpu{index}_cpu_ns"));
    let header: Vec<String> = names(&PLAN_AND_TIMES).chain(each_vcpu).chain(names(&COUNTERS)).collect();
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(&header)?;
    for block in blocks() {
        let fields = |columns: &'static [CsvColumn]| columns.iter().map(|(_, value)| value(block));
        let each_vcpu = (0..vcpus).map(|index| field(block.cpu.vcpus_ns.get(index)));
        writer.write_record(fields(&PLAN_AND_TIMES).chain(each_vcpu).chain(fields(&COUNTERS)))?;
    }
    writer.flush()
}

/// Empty if the value is unknown.
fn field(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn voluntary(switches: Option<Switches>) -> String {
    field(switches.map(|all| all.voluntary))
}

fn involuntary(switches: Option<Switches>) -> String {
    field(switches.map(|all| all.involuntary))
}

fn count(counts: Option<HardwareCounts>, of: fn(&HardwareCounts) -> Option<u64>) -> String {
    field(counts.as_ref().and_then(of))
}

/// CPU time of all threads per `count`.
fn cpu_over(raw: &RawBlock, count: u64) -> Option<f64> {
    let all = raw.cpu.host_ns.saturating_add(raw.cpu.vcpu_ns?).saturating_add(raw.cpu.main_loop_ns?);
    (count > 0).then(|| all as f64 / count as f64)
}

#[cfg(test)]
mod tests {
    use bench_model::Conditions;

    use super::*;

    #[test]
    fn each_condition_has_a_column() {
        // A new condition does not compile here until it is listed.
        let Conditions {
            busy_threads: _,
            shared_core: _,
            gap_ns: _,
            rate_per_s: _,
            arrivals: _,
            cold: _,
            slots: _,
            always_ring: _,
            full_stamps: _,
            aa_repeat: _,
        } = Conditions::default();
        let columns = PLAN_AND_TIMES.map(|(name, _)| name);
        let conditions = [
            "busy_threads",
            "one_core",
            "gap_ns",
            "rate_per_s",
            "arrivals",
            "cold",
            "slots",
            "always_ring",
            "stamped",
            "again",
        ];
        assert!(conditions.iter().all(|condition| columns.contains(condition)));
    }
}
