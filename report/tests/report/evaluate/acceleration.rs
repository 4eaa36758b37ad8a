//! Check 11 compares the acceleration that a run claims with the observed behaviour of QEMU.

use bench_model::thread_usage::Switches;
use bench_model::{WaitMode, Workload};
use report::result::environment::Environment;
use report::result::{CheckOutcome, SelfCheck};

use crate::synthetic::Synthetic;

fn claims(accel: &str, irqfd: Option<bool>, seen: Option<&str>) -> Environment {
    Environment { accel: accel.into(), irqfd, accel_seen: seen.map(str::to_owned), ..Environment::default() }
}

/// 200 doorbells in sequence. Each wakes QEMU's main loop `wakes_per_ring` times.
fn rung(wakes_per_ring: f64) -> Synthetic {
    let mut run = Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 200);
    let voluntary = if wakes_per_ring > 0.0 { (200.0 * wakes_per_ring).round() } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number above zero")]
    let switches = Switches { voluntary: voluntary as u64, involuntary: 0 };
    run.block(0).cpu.switches.main_loop = Some(switches);
    // A few microseconds of CPU time per wake-up.
    run.block(0).cpu.main_loop_ns = Some(switches.voluntary * 5_000);
    run
}

fn check(run: Synthetic, environment: Environment) -> SelfCheck {
    let checks = run.result_on(environment).self_checks;
    checks.into_iter().find(|check| check.id == 11).expect("every run has it")
}

#[test]
fn claimed_emulation_passes() {
    let SelfCheck { pass, detail, .. } = check(rung(1.0), claims("tcg", Some(false), Some("tcg")));
    assert_eq!(pass, CheckOutcome::Pass, "{detail}");
    assert_eq!(detail, "QEMU's monitor reports tcg; its main loop woke 1.00 times per doorbell");
}

#[test]
fn kvm_without_main_loop_wake_ups_passes() {
    assert_eq!(check(rung(0.01), claims("kvm", Some(true), Some("kvm"))).pass, CheckOutcome::Pass);
}

#[test]
fn claim_that_differs_from_the_monitor_fails() {
    let SelfCheck { pass, detail, .. } = check(rung(0.01), claims("kvm", Some(true), Some("tcg")));
    assert_eq!((pass, detail.as_str()), (CheckOutcome::Fail, "the run claims kvm, but QEMU's monitor reports tcg"));
}

#[test]
fn irqfd_that_wakes_the_main_loop_fails() {
    let SelfCheck { pass, detail, .. } = check(rung(1.0), claims("kvm", Some(true), Some("kvm")));
    assert_eq!(pass, CheckOutcome::Fail);
    assert!(detail.contains("irqfd is claimed, but QEMU's main loop woke 1.00 times per doorbell"), "{detail}");
}

#[test]
fn sleeping_main_loop_without_irqfd_fails() {
    let SelfCheck { pass, detail, .. } = check(rung(0.0), claims("tcg", Some(false), Some("tcg")));
    assert_eq!(pass, CheckOutcome::Fail);
    assert!(detail.contains("no irqfd is claimed, but QEMU's main loop woke only 0.00 times"), "{detail}");
}

#[test]
fn main_loop_wake_ups_with_contention_are_ignored() {
    let claim = || claims("tcg", Some(false), Some("tcg"));
    let contended = |busy_threads, shared_core| {
        let mut run = rung(0.1);
        let conditions = &mut run.block(0).block.conditions;
        (conditions.busy_threads, conditions.shared_core) = (Some(busy_threads), shared_core);
        run.block(0).cpu.main_loop_ns = Some(0);
        check(run, claim()).pass
    };
    assert_eq!(contended(1, false), CheckOutcome::Pass);
    assert_eq!(contended(0, true), CheckOutcome::Pass);
    assert_eq!(contended(0, false), CheckOutcome::Fail, "it is not kept");
}

#[test]
fn few_wake_ups_of_a_busy_main_loop_pass() {
    let mut run = rung(0.1);
    assert_eq!(
        check(run.clone(), claims("tcg", Some(false), Some("tcg"))).pass,
        CheckOutcome::Pass,
        "500 ns a doorbell"
    );
    run.block(0).cpu.main_loop_ns = Some(200 * 400);
    assert_eq!(check(run.clone(), claims("tcg", Some(false), Some("tcg"))).pass, CheckOutcome::Fail);
    run.block(0).cpu.main_loop_ns = None;
    assert_eq!(check(run, claims("tcg", Some(false), Some("tcg"))).pass, CheckOutcome::Fail, "nothing speaks for it");
}

#[test]
fn doorbells_of_hybrid_waits_are_ignored() {
    let mut run = rung(0.0);
    run.block(0).block.guest_wait = WaitMode::Hybrid;
    assert_eq!(check(run, claims("tcg", Some(false), None)).pass, CheckOutcome::NotApplicable);
}

#[test]
fn few_doorbells_do_not_check_irqfd() {
    // 40 doorbells per block are too few. Only the monitor's report remains.
    let SelfCheck { pass, detail, .. } = check(Synthetic::both_modes(), claims("kvm", Some(true), Some("kvm")));
    assert_eq!((pass, detail.as_str()), (CheckOutcome::Pass, "QEMU's monitor reports kvm"));
}

#[test]
fn unobserved_main_loop_is_not_applicable() {
    let mut run = rung(1.0);
    run.block(0).cpu.switches.main_loop = None;
    assert_eq!(check(run, claims("kvm", Some(true), None)).pass, CheckOutcome::NotApplicable);
}

#[test]
fn missing_claim_or_observation_is_not_applicable() {
    assert_eq!(check(rung(1.0), claims("", None, Some("tcg"))).pass, CheckOutcome::NotApplicable);
    assert_eq!(check(rung(1.0), claims("tcg", None, None)).pass, CheckOutcome::NotApplicable);
}
