//! Checks that the threads stayed on their planned CPUs.

use super::{Outcome, not_applicable, outcome_of_blocks};
use crate::io::run::{Run, RunBlock};
use bench_model::pinning::{Pinning, ThreadName};
use bench_model::raw::{BlockPlacement, ThreadAffinity};
use bench_model::units::plural;

/// After each block, every pinned thread is allowed on its planned CPU only, and last ran there.
pub(super) fn affinity(run: &Run) -> Outcome {
    let is_pinned =
        |block: &RunBlock<'_>| block.measured.placement.as_ref().is_some_and(|placement| !placement.wanted.is_none());
    let blocks: Vec<RunBlock<'_>> = run.blocks().filter(is_pinned).collect();
    if blocks.is_empty() {
        return not_applicable("no thread was pinned");
    }
    let detail = pinnings(&blocks);
    outcome_of_blocks(blocks, faults, detail)
}

/// Every pinning of the run with its number of blocks, the most frequent first. Blocks that put both sides on one core
/// have a different pinning.
fn pinnings(blocks: &[RunBlock<'_>]) -> String {
    let mut all: Vec<(&Pinning, u64)> = Vec::new();
    for wanted in blocks.iter().filter_map(|block| Some(&block.measured.placement.as_ref()?.wanted)) {
        match all.iter_mut().find(|(pinning, _)| *pinning == wanted) {
            Some((_, count)) => *count += 1,
            None => all.push((wanted, 1)),
        }
    }
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match &all[..] {
        [(only, count)] => format!("{only} in each of {}", plural(*count, "block")),
        _ => all
            .iter()
            .map(|(pinning, count)| format!("{pinning} in {}", plural(*count, "block")))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

fn faults(block: &RunBlock<'_>) -> Vec<String> {
    let Some(placement) = &block.measured.placement else { return Vec::new() };
    let fault = |(name, wanted)| {
        let fault = fault_of_thread(thread(placement, name), wanted)?;
        Some(format!("{name} should stay on CPU {wanted}, but {fault}"))
    };
    placement.wanted.threads().filter_map(fault).collect()
}

fn thread(placement: &BlockPlacement, name: ThreadName) -> Option<&ThreadAffinity> {
    match name {
        ThreadName::Host => placement.host.as_ref(),
        ThreadName::Vcpu(index) => placement.vcpus.get(index)?.as_ref(),
        ThreadName::MainLoop => placement.main_loop.as_ref(),
    }
}

fn fault_of_thread(affinity: Option<&ThreadAffinity>, wanted: usize) -> Option<String> {
    let Some(ThreadAffinity { allowed, last_cpu, .. }) = affinity else {
        return Some("its affinity could not be read".to_owned());
    };
    match last_cpu {
        Some(cpu) if *cpu != wanted => return Some(format!("it ran on CPU {cpu}")),
        _ => {}
    }
    let elsewhere: Vec<String> = allowed.iter().filter(|cpu| **cpu != wanted).map(ToString::to_string).collect();
    (!elsewhere.is_empty()).then(|| format!("it may run on CPU {} too", elsewhere.join(", ")))
}
