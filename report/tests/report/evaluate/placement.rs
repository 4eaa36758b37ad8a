//! The self-check of CPU affinity, and the affinity in the environment.

use bench_model::raw::{BlockPlacement, ThreadAffinity};
use bench_model::thread_usage::Switches;
use bench_model::{Pinning, WaitMode, Workload};
use report::result::CheckOutcome;

use crate::synthetic::Synthetic;

/// Changes the observed affinity of one block and expects the check to fail with this detail.
fn fails(words: &str, spoil: impl FnOnce(&mut BlockPlacement)) {
    let mut run = Synthetic::both_modes();
    spoil(run.block(1).placement.as_mut().expect("affinity was observed"));
    let check = run.check(12);
    assert_eq!(check.pass, CheckOutcome::Fail, "{}", check.detail);
    let words = format!("block 1 (pingpong 64 B irq): {words}");
    assert_eq!(check.detail, words);
}

fn free() -> ThreadAffinity {
    ThreadAffinity { allowed: vec![0, 1], last_cpu: Some(0) }
}

#[test]
fn pinned_threads_pass_and_are_named() {
    let check = Synthetic::both_modes().check(12);
    assert_eq!((check.pass, check.detail.as_str()), (CheckOutcome::Pass, "host=0,vcpu0=1 in each of 4 blocks"));
}

#[test]
fn thread_on_another_cpu_fails() {
    fails("host should stay on CPU 0, but it ran on CPU 1", |placement| {
        placement.host = Some(ThreadAffinity { allowed: vec![1], last_cpu: Some(1) });
    });
    fails("vcpu0 should stay on CPU 1, but it ran on CPU 0", |placement| placement.vcpus = vec![Some(free())]);
}

#[test]
fn thread_allowed_on_another_cpu_fails() {
    fails("host should stay on CPU 0, but it may run on CPU 1 too", |placement| placement.host = Some(free()));
}

#[test]
fn unobserved_thread_fails() {
    fails("vcpu0 should stay on CPU 1, but its affinity could not be read", |placement| placement.vcpus.clear());
    fails("main should stay on CPU 1, but its affinity could not be read", |placement| {
        (placement.wanted.main_loop, placement.main_loop) = (Some(1), None);
    });
}

#[test]
fn each_block_has_its_own_pinning() {
    let mut run = Synthetic::both_modes();
    let placement = run.block(1).placement.as_mut().expect("affinity was observed");
    placement.wanted.vcpus = vec![Some(0)];
    placement.vcpus = vec![Some(ThreadAffinity { allowed: vec![0], last_cpu: Some(0) })];
    let check = run.check(12);
    assert_eq!(check.pass, CheckOutcome::Pass);
    assert_eq!(check.detail, "host=0,vcpu0=1 in 3 blocks; host=0,vcpu0=0 in 1 block");
}

#[test]
fn missing_pinning_or_observation_is_not_applicable() {
    for index in 0..2 {
        let mut run = Synthetic::both_modes();
        for block in &mut run.measured.blocks {
            match &mut block.placement {
                Some(placement) if index == 0 => placement.wanted = Pinning::default(),
                placement => *placement = None,
            }
        }
        assert_eq!(run.check(12).pass, CheckOutcome::NotApplicable);
    }
}

#[test]
fn switches_in_contention_blocks_are_excluded() {
    let switches = |run: Synthetic| run.result().environment.load.involuntary_switches;
    let mut run = Synthetic::both_modes().with(Workload::Contention, WaitMode::Irq, WaitMode::Irq, 64, 10);
    run.block(4).cpu.switches.host = Some(Switches { voluntary: 0, involuntary: 1_000 });
    assert_eq!(switches(run.clone()), switches(Synthetic::both_modes()));
    run.measured.blocks.drain(..4);
    assert_eq!(switches(run), None, "no other fault is reported");
}

#[test]
fn switches_need_counts_of_every_block() {
    let environment = Synthetic::both_modes().result().environment;
    assert_eq!(environment.load.involuntary_switches, Some(2 * (1 + 1)));
    let mut run = Synthetic::both_modes();
    run.block(2).cpu.switches.vcpus = None;
    assert_eq!(run.result().environment.load.involuntary_switches, None);
}
