//! CPU time, context switches and hardware counters per operation.

use crate::io::run::RunBlock;
use crate::result::cpu::{Cpu, PerfPerOp, SwitchesPerOp, ThreadCounts};
use bench_model::raw::CpuTime;
use bench_model::thread_usage::{HardwareCounts, PerfTime, Switches};
use statistics::{sum_known, total};

/// CPU metrics of a cell's blocks.
pub(crate) fn cpu(blocks: &[RunBlock<'_>]) -> Cpu {
    let measured = || blocks.iter().map(|block| block.measured);
    let operations = total(measured().map(|block| block.operations));
    let wall_ns = total(measured().map(|block| block.wall_ns));
    let spent = |time: fn(&CpuTime) -> Option<u64>| sum_known(measured().map(|block| time(&block.cpu)));
    let host = spent(|cpu| Some(cpu.host_ns));
    let vcpu = spent(|cpu| cpu.vcpu_ns);
    let main_loop = spent(|cpu| cpu.main_loop_ns);
    let us_per_op = |ns: Option<u64>| ratio(ns? as f64 / 1e3, operations);
    let switches_per_op = |count: fn(&CpuTime) -> Option<Switches>| {
        let voluntary = sum_known(measured().map(|block| Some(count(&block.cpu)?.voluntary)))?;
        ratio(voluntary as f64, operations)
    };
    let all = || Some(host? as f64 + vcpu? as f64 + main_loop? as f64);
    Cpu {
        host_us_per_op: us_per_op(host),
        vcpu_us_per_op: us_per_op(vcpu),
        main_loop_us_per_op: us_per_op(main_loop),
        cores: all().and_then(|ns| ratio(ns, wall_ns)),
        vcpus_us_per_op: each_vcpu(blocks).into_iter().filter_map(|ns| us_per_op(Some(ns))).collect(),
        switches_per_op: SwitchesPerOp {
            host: switches_per_op(|cpu| cpu.switches.host),
            vcpu: switches_per_op(|cpu| cpu.switches.vcpus),
            main_loop: switches_per_op(|cpu| cpu.switches.main_loop),
        },
        wakeups_per_op: wakeups_per_op(blocks),
        perf: perf(blocks, operations),
    }
}

fn ratio(sum: f64, over: u64) -> Option<f64> {
    (over > 0).then(|| sum / over as f64)
}

/// Empty unless all blocks have the same vCPUs.
fn each_vcpu(blocks: &[RunBlock<'_>]) -> Vec<u64> {
    let times = || blocks.iter().map(|block| &block.measured.cpu.vcpus_ns);
    let count = times().map(Vec::len).next().unwrap_or(0);
    if times().any(|vcpus| vcpus.len() != count) {
        return Vec::new();
    }
    (0..count).map(|index| total(times().map(|vcpus| vcpus[index]))).collect()
}

/// Counters cover whole blocks, so all operations count here.
fn wakeups_per_op(blocks: &[RunBlock<'_>]) -> Option<f64> {
    let waits = total(blocks.iter().map(|block| block.measured.counters.waits()));
    ratio(waits as f64, total(blocks.iter().map(RunBlock::operations_in_all)))
}

fn perf(blocks: &[RunBlock<'_>], operations: u64) -> Option<PerfPerOp> {
    let thread = |of: fn(&PerfTime) -> Option<HardwareCounts>| {
        let counts =
            blocks.iter().map(|block| of(&block.measured.cpu.perf)).collect::<Option<Vec<HardwareCounts>>>()?;
        thread_counts(&counts, operations)
    };
    let (host, vcpu) = (thread(|perf| perf.host), thread(|perf| perf.vcpu));
    (host.is_some() || vcpu.is_some()).then_some(PerfPerOp { host, vcpu })
}

fn thread_counts(blocks: &[HardwareCounts], operations: u64) -> Option<ThreadCounts> {
    let counted_share = ratio(
        total(blocks.iter().map(|counts| counts.running_ns)) as f64,
        total(blocks.iter().map(|counts| counts.enabled_ns)),
    )?;
    let sum = |count: fn(&HardwareCounts) -> Option<u64>| {
        blocks.iter().map(|counts| Some(count(counts)? as f64 * scale(counts)?)).sum::<Option<f64>>()
    };
    let per_op = |count| ratio(sum(count)?, operations);
    let (cycles, instructions) = (sum(|counts| counts.cycles), sum(|counts| counts.instructions));
    Some(ThreadCounts {
        cycles: per_op(|counts| counts.cycles),
        instructions: per_op(|counts| counts.instructions),
        instructions_per_cycle: instructions.zip(cycles).filter(|(_, cycles)| *cycles > 0.0).map(|(i, c)| i / c),
        l1d_misses: per_op(|counts| counts.l1d_misses),
        llc_misses: per_op(|counts| counts.llc_misses),
        dtlb_misses: per_op(|counts| counts.dtlb_misses),
        context_switches: per_op(|counts| counts.context_switches),
        counted_share,
        with_kernel: blocks.iter().all(|counts| counts.with_kernel),
    })
}

/// Factor that scales a count to the whole time. `None`: the thread ran but the group never counted. A thread that did
/// not run has no counts to scale.
fn scale(counts: &HardwareCounts) -> Option<f64> {
    match counts.share() {
        None => Some(1.0),
        Some(share) => (share > 0.0).then(|| 1.0 / share),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(cycles: u64, enabled_ns: u64, running_ns: u64) -> HardwareCounts {
        HardwareCounts {
            cycles: Some(cycles),
            instructions: Some(cycles * 2),
            enabled_ns,
            running_ns,
            with_kernel: true,
            ..HardwareCounts::default()
        }
    }

    #[test]
    fn counts_of_all_blocks_are_divided_by_the_operations() {
        let counts = thread_counts(&[counts(300, 10, 10), counts(700, 10, 10)], 10).unwrap();
        assert_eq!((counts.cycles, counts.instructions_per_cycle), (Some(100.0), Some(2.0)));
        assert_eq!((counts.l1d_misses, counts.counted_share), (None, 1.0));
    }

    #[test]
    fn counts_of_a_multiplexed_group_are_scaled() {
        let counts = thread_counts(&[counts(100, 1_000, 500)], 10).unwrap();
        assert_eq!((counts.cycles, counts.counted_share), (Some(20.0), 0.5));
    }

    #[test]
    fn uncounted_block_makes_the_sum_unknown() {
        let counts = thread_counts(&[counts(100, 10, 10), counts(0, 10, 0)], 10).unwrap();
        assert_eq!((counts.cycles, counts.instructions_per_cycle), (None, None));
    }

    #[test]
    fn thread_that_never_ran_has_no_counts() {
        assert_eq!(thread_counts(&[counts(0, 0, 0)], 10), None);
        assert_eq!(thread_counts(&[], 10), None);
    }
}
