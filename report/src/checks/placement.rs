//! Whether the threads stayed where the plan had put them.

use crate::checks::{judge, not_applicable};
use crate::measured::{PlacementSeen, ThreadSeen};
use crate::pinning::ThreadName;
use crate::result::SelfCheck;
use crate::run::{Run, RunBlock};
use crate::units::counted;

/// 12: after each block every thread that the plan pins may run on that CPU and no other, and last ran there.
#[must_use]
pub fn stayed(run: &Run) -> SelfCheck {
    const NAME: &str = "threads stayed on their CPUs";
    let looked_at = |block: &RunBlock<'_>| block.measured.placement.as_ref().is_some_and(|seen| !seen.wanted.is_none());
    let blocks: Vec<RunBlock<'_>> = run.blocks().filter(looked_at).collect();
    let Some(first) = blocks.first().and_then(|block| block.measured.placement.as_ref()) else {
        return not_applicable(12, NAME, "no thread was pinned");
    };
    let faults: Vec<String> = blocks.iter().flat_map(faults).collect();
    let seen = format!("{} in each of {}", first.wanted, counted(blocks.len() as u64, "block"));
    judge(12, NAME, &faults, seen)
}

fn faults(block: &RunBlock<'_>) -> Vec<String> {
    let Some(placement) = &block.measured.placement else { return Vec::new() };
    let fault = |(name, wanted)| {
        let seen = fault(thread(placement, name), wanted)?;
        Some(format!("{}: {name} was to stay on CPU {wanted}, but {seen}", block.name()))
    };
    placement.wanted.threads().filter_map(fault).collect()
}

fn thread(placement: &PlacementSeen, name: ThreadName) -> Option<&ThreadSeen> {
    match name {
        ThreadName::Host => placement.host.as_ref(),
        ThreadName::Vcpu(index) => placement.vcpus.get(index)?.as_ref(),
        ThreadName::MainLoop => placement.main_loop.as_ref(),
    }
}

fn fault(seen: Option<&ThreadSeen>, wanted: usize) -> Option<String> {
    let Some(ThreadSeen { allowed, last_cpu, .. }) = seen else { return Some("it could not be seen".to_owned()) };
    match last_cpu {
        Some(cpu) if *cpu != wanted => return Some(format!("it ran on CPU {cpu}")),
        _ => {}
    }
    let elsewhere: Vec<String> = allowed.iter().filter(|cpu| **cpu != wanted).map(ToString::to_string).collect();
    (!elsewhere.is_empty()).then(|| format!("it may run on CPU {} too", elsewhere.join(", ")))
}
