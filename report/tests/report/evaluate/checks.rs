//! Each self-check passes on a correct run, fails on a run with the one defect that it must catch, and is inapplicable
//! without data.

use bench_model::raw::{ClockFit, CorruptAnswer};
use bench_model::samples::Status;
use bench_model::{WaitMode, Workload};
use report::result::environment::Environment;
use report::result::{CheckOutcome, SelfCheck};

use crate::synthetic::Synthetic;

/// A run with every kind of operation: blocks 0 to 5.
fn everything() -> Synthetic {
    Synthetic::both_modes().with_storm(400).with_stream(4096, 1_000)
}

/// Injects a defect and expects one check to fail with this detail.
fn fails(id: u32, words: &str, spoil: impl FnOnce(&mut Synthetic)) {
    let mut run = everything();
    spoil(&mut run);
    let SelfCheck { pass, detail, .. } = run.check(id);
    assert_eq!(pass, CheckOutcome::Fail, "check {id}: {detail}");
    assert!(detail.contains(words), "check {id}: {detail}");
}

#[test]
fn correct_run_passes_all_checks() {
    let result = everything().result();
    for check in &result.self_checks {
        assert_eq!(check.pass, CheckOutcome::Pass, "{check:?}");
    }
    let ids: Vec<u32> = result.self_checks.iter().map(|check| check.id).collect();
    assert_eq!(ids, (1..=15).collect::<Vec<u32>>());
    assert!(result.passed());
    assert!(
        matches!(&result.warnings[..], [only] if only.message.contains("under emulation")),
        "{:?}",
        result.warnings
    );
}

#[test]
fn run_without_blocks_fails_only_completeness() {
    let mut run = Synthetic::empty();
    run.measured.ceilings.clear();
    let result = run.result();
    for check in &result.self_checks {
        let expected = match check.id {
            // The monitor's report does not depend on blocks.
            11 => CheckOutcome::Pass,
            15 => CheckOutcome::Fail,
            _ => CheckOutcome::NotApplicable,
        };
        assert_eq!(check.pass, expected, "{check:?}");
    }
    assert!(!result.passed());
}

#[test]
fn inapplicable_checks_do_not_fail_a_poll_only_run() {
    let result = Synthetic::empty().with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 5).result();
    let verdicts: Vec<(u32, CheckOutcome)> = result.self_checks.iter().map(|check| (check.id, check.pass)).collect();
    for id in [2, 4, 6] {
        assert!(verdicts.contains(&(id, CheckOutcome::NotApplicable)), "{verdicts:?}");
    }
    assert!(result.passed());
}

#[test]
fn unverified_bytes_fail() {
    fails(2, "62,208,000 bytes in frames that ended ok, but 62,207,999 verified", |run| {
        run.block(2).bytes_verified -= 1;
    });
}

#[test]
fn frame_with_wrong_hash_fails() {
    fails(2, "1 frame did not match the hash", |run| run.first_row(3).status = Status::HashMismatch);
}

#[test]
fn guest_that_does_not_verify_frames_fails() {
    fails(2, "does not verify", |run| run.block(2).corrupt_answer = Some(CorruptAnswer::Accepted));
    fails(2, "not acknowledged with ERROR", |run| run.block(2).corrupt_answer = Some(CorruptAnswer::Other));
    fails(2, "never sent", |run| run.block(2).corrupt_answer = None);
}

#[test]
fn stale_acknowledgement_fails() {
    fails(3, "block 1 (pingpong 64 B irq): 3 stale acknowledgements", |run| run.block(1).counters.stale_acks = 3);
}

#[test]
fn lost_doorbell_fails() {
    fails(4, "42 rings, 41 interrupts, 41 events", |run| {
        run.block(1).counters.interrupts = Some(41);
        run.block(1).counters.uio_events = Some(41);
    });
}

#[test]
fn lost_event_fails_without_an_interrupt_count() {
    fails(4, "42 rings, no count of interrupts, 41 events", |run| {
        run.block(1).counters.interrupts = None;
        run.block(1).counters.uio_events = Some(41);
    });
}

#[test]
fn lost_doorbell_to_the_host_fails() {
    fails(4, "42 rings by the guest, 41 events on the host", |run| run.block(1).counters.host_events = 41);
}

#[test]
fn irq_without_any_interrupt_fails() {
    fails(4, "neither an interrupt nor an event", |run| {
        run.block(1).counters.interrupts = None;
        run.block(1).counters.uio_events = None;
    });
    fails(4, "neither an interrupt nor an event", |run| {
        run.block(1).counters.rings = 0;
        run.block(1).counters.interrupts = Some(0);
        run.block(1).counters.uio_events = Some(0);
    });
}

#[test]
fn lost_wake_up_fails() {
    fails(6, "1 lost wake-up", |run| run.block(3).counters.guest_lost_wakeups = 1);
}

#[test]
fn polling_that_blocks_or_is_interrupted_fails() {
    fails(7, "the guest should poll, but it blocked 1 time", |run| run.block(0).counters.guest_waits = 1);
    fails(7, "took 1 interrupt", |run| run.block(0).counters.interrupts = Some(1));
    fails(7, "and 1 event", |run| run.block(0).counters.uio_events = Some(1));
    fails(7, "the host should poll, but it blocked 1 time", |run| run.block(0).counters.host_waits = 1);
}

#[test]
fn irq_that_does_not_block_fails() {
    fails(7, "the guest blocked 41 times and found 0 messages after arming, in 42 operations", |run| {
        run.block(1).counters.guest_waits = 41;
    });
    fails(7, "the host blocked 0 times", |run| {
        run.block(1).counters.host_waits = 0;
        run.block(1).counters.host_found_armed = 42;
    });
}

#[test]
fn only_rare_messages_may_be_found_after_arming() {
    let mut run = Synthetic::both_modes();
    run.block(1).counters.guest_waits = 41;
    run.block(1).counters.guest_found_armed = 1;
    assert!(run.result().passed());
    fails(7, "the guest blocked 40 times and found 2 messages", |run| {
        run.block(1).counters.guest_waits = 40;
        run.block(1).counters.guest_found_armed = 2;
    });
}

#[test]
fn injection_and_wake_up_not_summing_to_notify_fail() {
    fails(8, "1 operation wrong", |run| run.first_row(1).wake_ns = Some(900_000));
}

#[test]
fn uncached_memory_has_a_warning_with_a_hint() {
    let mut run = Synthetic::both_modes();
    run.measured.guest.bar2_ns_per_load = Some(155.0);
    run.measured.guest.bar2_cached = Some(false);
    let under = |accel: &str| {
        let environment = Environment { accel: accel.into(), ..Environment::default() };
        let warnings = run.clone().result_on(environment).warnings;
        warnings.iter().any(|w| w.message.contains("155 ns per load") && w.hint.contains("--bar2-map wb"))
    };
    assert!(under("kvm"));
    assert!(!under("tcg"), "emulation has no memory types");
}

#[test]
fn legs_that_do_not_sum_fail() {
    fails(8, "1 operation wrong, first seq 2000", |run| run.first_row(2).verify_ns = Some(170_000_000));
}

#[test]
fn round_trip_with_a_wrong_answer_leg_fails() {
    fails(8, "1 operation wrong, first seq 0: legs of", |run| run.first_row(0).answer_ns = Some(150));
}

#[test]
fn stamps_out_of_order_fail() {
    fails(8, "out of order", |run| {
        let row = run.first_row(2);
        std::mem::swap(&mut row.g1_ns, &mut row.g2_ns);
    });
}

#[test]
fn time_outside_all_legs_fails() {
    fails(8, "lie in no leg", |run| {
        for row in run.rows.iter_mut().filter(|row| row.block == 2) {
            let late = |ns: Option<u64>| ns.map(|ns| ns + 10_000_000);
            (row.h2_ns, row.h4_ns) = (late(row.h2_ns), late(row.h4_ns));
            for stamp in [&mut row.g1_ns, &mut row.g2_ns, &mut row.g3_ns, &mut row.g4_ns, &mut row.g5_ns] {
                *stamp = late(*stamp);
            }
            row.h5_ns = late(row.h5_ns);
            row.end_to_end_ns = late(row.end_to_end_ns);
        }
    });
}

/// Moves H4 of the first frame to `ns` nanoseconds after G1.
fn moved(run: &mut Synthetic, ns: i64) {
    let row = run.first_row(2);
    row.h4_ns = row.g1_ns.and_then(|known| known.checked_add_signed(ns));
}

#[test]
fn negative_one_way_time_fails() {
    fails(8, "something arrived after -300 ns, with stamps known to ± 280 ns", |run| moved(run, -300));
    fails(8, "something arrived after -400 ns", |run| {
        let row = run.first_row(1);
        row.g1_ns = row.h2_ns.map(|published| published - 400);
        row.notify_ns = Some(-400);
    });
}

#[test]
fn tolerance_for_guest_stamps_is_larger_under_emulation() {
    let check_8 = |accel: &str, ns: i64| {
        let mut run = Synthetic::both_modes();
        moved(&mut run, ns);
        let environment = Environment { accel: accel.into(), ..Environment::default() };
        run.result_on(environment).self_checks.into_iter().find(|check| check.id == 8).expect("every run has it").pass
    };
    assert_eq!(check_8("tcg", -200), CheckOutcome::Pass);
    assert_eq!(check_8("kvm", -200), CheckOutcome::Fail);
    assert_eq!(check_8("tcg", -300), CheckOutcome::Fail);
}

#[test]
fn negative_time_within_the_clock_bound_passes() {
    let mut run = Synthetic::both_modes();
    moved(&mut run, -30);
    assert_eq!(run.check(8).pass, CheckOutcome::Pass);
}

#[test]
fn late_g5_of_one_polling_operation_passes() {
    let mut run = Synthetic::both_modes();
    // The guest was preempted between its acknowledgement and its stamp.
    let row = run.first_row(0);
    row.g5_ns = row.h5_ns.map(|ended| ended + 4_000_000);
    row.answer_ns = Some(-4_000_000);
    assert_eq!(run.check(8).pass, CheckOutcome::Pass);
}

#[test]
fn forged_guest_stamps_do_not_overflow() {
    fails(8, "wrong", |run| {
        let row = run.first_row(2);
        row.g1_ns = Some(u64::MAX);
        row.g2_ns = Some(0);
        row.notify_ns = Some(i64::MAX);
        row.answer_ns = Some(i64::MAX);
    });
}

#[test]
fn moved_clock_warns_and_omits_one_way_latencies() {
    let mut run = Synthetic::both_modes();
    run.block(1).clock = ClockFit { before_ns: 0.0, after_ns: 400.0, bound_ns: 25.0 };
    // With a stable clock offset, this leg would be an error.
    run.first_row(1).notify_ns = Some(-400);
    let result = run.result();
    assert!(result.passed(), "{:?}", result.self_checks);
    let stable = result.self_checks.iter().find(|check| check.id == 10).expect("it is there");
    assert_eq!(stable.pass, CheckOutcome::NotApplicable);
    assert!(stable.detail.contains("1 of 4 blocks"), "{}", stable.detail);
    assert!(
        result.warnings[0].message.contains("the clock offset between host and guest moved in 1 block"),
        "{:?}",
        result.warnings
    );
    let legs = &result.cells[1].legs_ns;
    assert!(legs.notify.is_none() && legs.ack.is_none() && legs.answer.is_none());
    assert!(legs.ring.is_some(), "legs on one side's clock remain");
}

#[test]
fn clock_check_fails_only_if_most_blocks_are_unstable() {
    let verdict = |moved_ns: f64, blocks: usize| {
        let mut run = Synthetic::both_modes();
        for index in 0..blocks {
            run.block(index).clock = ClockFit { before_ns: 0.0, after_ns: moved_ns, bound_ns: 25.0 };
        }
        run.check(10).pass
    };
    assert_eq!(verdict(50.0, 4), CheckOutcome::Pass, "a change within the error bound");
    assert_eq!(verdict(50.1, 2), CheckOutcome::NotApplicable);
    assert_eq!(verdict(50.1, 3), CheckOutcome::Fail);
}

#[test]
fn failed_operation_fails_the_check() {
    fails(14, "1 of 101 operations ended with timeout", |run| run.first_row(0).status = Status::Timeout);
}

#[test]
fn aborted_run_fails() {
    fails(15, "the guest went silent", |run| {
        run.measured.aborted = Some("the guest went silent".to_owned());
    });
}

#[test]
fn missing_or_foreign_rows_fail() {
    fails(15, "40 operations asked for, 40 measured, 39 recorded", |run| {
        run.rows.remove(0);
    });
    fails(15, "40 operations asked for, 30 measured", |run| run.block(0).operations = 30);
    fails(15, "1 row of another kind", |run| run.first_row(0).size_bytes = 65);
    fails(15, "1 operation without the guest's stamps", |run| run.first_row(0).g5_ns = None);
    fails(15, "1 row of an unfinished block", |run| run.first_row(0).block = 9);
}

#[test]
fn copy_faster_than_the_peak_bandwidth_fails() {
    fails(1, "the guest reads", |run| {
        for row in run.rows.iter_mut().filter(|row| row.block == 2) {
            row.read_ns = Some(200_000);
        }
    });
    fails(1, "the host writes", |run| {
        for row in run.rows.iter_mut().filter(|row| row.block == 3) {
            row.write_ns = Some(0);
        }
    });
    fails(1, "the stream runs at", |run| {
        run.block(5).traffic.as_mut().expect("a stream").span_ns = 1_000;
    });
}

#[test]
fn single_fast_frame_passes() {
    let mut run = everything();
    run.first_row(2).read_ns = Some(1);
    assert_eq!(run.check(1).pass, CheckOutcome::Pass);
}

#[test]
fn storm_with_wrong_interrupts_or_lost_last_message_fails() {
    fails(5, "400 rings, 0 interrupts", |run| run.block(4).counters.interrupts = Some(0));
    fails(5, "400 rings, 401 interrupts", |run| run.block(4).counters.interrupts = Some(401));
    fails(5, "did not see the last message", |run| {
        run.block(4).traffic.as_mut().expect("a storm").last_seen = false;
    });
}

#[test]
fn polling_that_sleeps_fails() {
    fails(7, "the guest should poll, but it gave its CPU up 42 times in 42 operations", |run| {
        run.block(0).counters.guest_yields = 42;
    });
    fails(7, "the host should poll, but it gave its CPU up 42 times in 42 operations", |run| {
        run.block(0).cpu.switches.host = Some(bench_model::thread_usage::Switches { voluntary: 42, involuntary: 0 });
    });
}

#[test]
fn lost_wake_up_is_not_also_reported_as_a_lost_doorbell() {
    let mut run = everything();
    run.block(1).counters.guest_lost_wakeups = 1;
    run.block(1).counters.interrupts = Some(41);
    run.block(1).counters.uio_events = Some(41);
    let result = run.result();
    let failed: Vec<u32> = result.self_checks.iter().filter(|c| c.pass == CheckOutcome::Fail).map(|c| c.id).collect();
    assert_eq!(failed, [6]);
}

#[test]
fn acknowledgements_seen_long_before_g5_fail() {
    fails(8, "acknowledgements arrived 1.00 ms before their stamp", |run| {
        for row in run.rows.iter_mut().filter(|row| row.block == 0) {
            row.answer_ns = Some(-1_000_000);
        }
    });
}

#[test]
fn verification_faster_than_hashing_fails() {
    fails(9, "verified at", |run| {
        for row in run.rows.iter_mut().filter(|row| row.block == 2) {
            row.verify_ns = Some(1_000_000);
        }
    });
}

#[test]
fn large_instrument_overhead_warns_and_then_fails() {
    let mut run = everything();
    run.measured.overhead.as_mut().expect("measured").empty_operation_ns = 30.0;
    let result = run.result();
    assert!(result.passed());
    assert!(
        result.warnings.iter().any(|warning| warning.message.contains("instrument overhead")),
        "{:?}",
        result.warnings
    );
    fails(13, "of the p50 of the fastest block", |run| {
        run.measured.overhead.as_mut().expect("measured").empty_operation_ns = 200.0;
    });
}

#[test]
fn stream_with_corrupt_or_lost_messages_fails() {
    fails(2, "of 1,000 messages, 1,000 were seen and 1 were not intact", |run| run.block(5).counters.mismatches = 1);
    fails(2, "of 1,000 messages, 999 were seen", |run| {
        if let Some(traffic) = &mut run.block(5).traffic {
            traffic.seen -= 1;
        }
    });
}

#[test]
fn time_limited_block_may_have_fewer_operations() {
    let mut run = Synthetic::empty().with(Workload::Contention, WaitMode::Irq, WaitMode::Irq, 64, 20);
    run.block(0).block.count = 1_000;
    assert_eq!(run.clone().check(15).pass, CheckOutcome::Fail);
    run.block(0).block.limit_ms = Some(300);
    assert_eq!(run.check(15).pass, CheckOutcome::Pass);
}

#[test]
fn irq_with_polling_peer_may_find_messages_after_arming() {
    let mut run = Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Poll, 64, 40);
    run.block(0).counters.host_waits = 20;
    run.block(0).counters.host_found_armed = 22;
    assert_eq!(run.clone().check(7).pass, CheckOutcome::Pass);
    run.block(0).counters.host_found_armed = 21;
    assert_eq!(run.clone().check(7).pass, CheckOutcome::Fail);
    (run.block(0).counters.host_waits, run.block(0).counters.host_found_armed) = (0, 42);
    assert_eq!(run.check(7).pass, CheckOutcome::Fail, "nothing blocked at all");
}

#[test]
fn late_g5_fails_if_stamped_before_the_acknowledgement() {
    let late = |run: &mut Synthetic, block: u32| {
        let row = run.first_row(block);
        row.g5_ns = row.h5_ns.map(|h5| h5 + 400);
        row.answer_ns = Some(-400);
    };
    fails(8, "something arrived after -400 ns", |run| late(run, 1));
    // A guest that polls back to back stamps after its acknowledgement, and may be delayed in between.
    let mut run = everything();
    late(&mut run, 0);
    assert_eq!(run.check(8).pass, CheckOutcome::Pass);
}

#[test]
fn run_without_results_has_a_one_line_reason() {
    let mut run = Synthetic::empty();
    run.measured.ceilings.clear();
    assert_eq!(run.clone().check(15).detail, "no block was finished");
    run.measured.aborted = Some("QEMU was killed by signal 9 (SIGKILL)\nthe guest's console is empty".into());
    assert_eq!(run.check(15).detail, "QEMU was killed by signal 9 (SIGKILL)");
    let mut refused = Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 10);
    refused.rows.iter_mut().for_each(|row| row.status = Status::Timeout);
    assert_eq!(refused.check(14).detail, "10 of 10 operations ended with timeout");
}
