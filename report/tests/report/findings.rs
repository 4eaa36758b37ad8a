//! What follows from several cells together.

use report::plan::{Arrivals, Conditions, Wait, Workload};
use report::stats::Word;

use crate::synthetic::Synthetic;

/// Adds a block under these conditions.
fn under(run: Synthetic, workload: Workload, wait: Wait, conditions: Conditions) -> Synthetic {
    let mut run = run.with(workload, wait, wait, 64, 1_000);
    run.measured.blocks.last_mut().expect("just added").block.conditions = conditions;
    run
}

#[test]
fn blocking_is_cheaper_below_the_rate_at_which_it_costs_as_much_as_spinning() {
    let run = Synthetic::both_modes().with(Workload::Idle, Wait::Poll, Wait::Poll, 64, 0).with(
        Workload::Idle,
        Wait::Irq,
        Wait::Irq,
        64,
        0,
    );
    let mut run = run;
    for (index, busy) in [(4, 1_000_000), (5, 10_000)] {
        let block = run.block(index);
        block.wall_ns = 1_000_000;
        (block.cpu.host_ns, block.cpu.vcpu_ns) = (busy, Some(busy));
    }
    let result = run.result();
    let known = &result.findings.break_even[0];
    // Two cores spin, and blocking takes 50 µs of CPU time per operation beside 0.02 cores.
    assert_eq!((known.polling_cores, known.idle_cores, known.us_per_op), (2.0, 0.02, 50.0));
    assert!((known.rate_per_s - 1.98e6 / 50.0).abs() < 1.0, "{known:?}");
    assert!(known.is_always_cheaper(), "it carries no more than {:.0}", known.fastest_per_s);
}

#[test]
fn polling_and_blocking_are_set_side_by_side_under_the_same_contention() {
    let busy = Conditions { busy_threads: Some(2), ..Conditions::default() };
    let alone = Conditions { busy_threads: Some(0), ..Conditions::default() };
    let mut run = Synthetic::empty();
    for conditions in [alone, busy] {
        run = under(run, Workload::Contention, Wait::Poll, conditions);
        run = under(run, Workload::Contention, Wait::Irq, conditions);
    }
    for row in run.rows.iter_mut().filter(|row| row.block == 2) {
        row.rtt_ns = Some(8_000_000);
    }
    let found = run.result().findings.contention;
    let wins: Vec<(u32, bool)> = found.iter().map(|one| (one.busy_threads, one.irq_is_lower())).collect();
    assert_eq!(wins, [(0, false), (2, true)]);
}

#[test]
fn the_highest_rate_is_that_whose_corrected_p99_keeps_below_the_limit() {
    let rate = |rate_per_s| Conditions {
        rate_per_s: Some(rate_per_s),
        arrivals: Some(Arrivals::Fixed),
        ..Conditions::default()
    };
    let mut run = Synthetic::empty();
    for (rate_per_s, corrected) in [(100, 400_000), (200, 500_000), (400, 2_000_000)] {
        let index = u32::try_from(run.measured.blocks.len()).expect("few");
        run = under(run, Workload::Openloop, Wait::Irq, rate(rate_per_s));
        run.block(index as usize).wall_ns = 1_000_000_000_000 / rate_per_s;
        for row in run.rows.iter_mut().filter(|row| row.block == index) {
            row.corrected_ns = Some(corrected);
        }
    }
    let found = run.clone().result().findings.capacity;
    assert_eq!((found[0].rate_per_s, found[0].offered_per_s), (Some(200), 400));
    // A rate of which only half was answered was not carried, however quick the answers were.
    run.block(1).wall_ns *= 2;
    assert_eq!(run.result().findings.capacity[0].rate_per_s, Some(100));
}

#[test]
fn equal_things_measured_twice_show_no_difference() {
    let again = Conditions { again: true, ..Conditions::default() };
    let mut run = Synthetic::empty();
    for conditions in [Conditions::default(), again].into_iter().cycle().take(8) {
        run = under(run, Workload::Pingpong, Wait::Poll, conditions);
    }
    let result = run.result();
    let comparison = &result.comparisons[0];
    assert!(comparison.conditions.again);
    assert_eq!((comparison.p50_ratio, comparison.word), (Some(1.0), Word::NoDifferenceSeen));
}
