//! A stall of the machine or of a process is reported with block, duration and effect. Ordinary tails are not reported.

use bench_model::samples::Row;
use bench_model::{Conditions, WaitMode, Workload};
use report::result::Warning;

use crate::evaluate::warnings::good;
use crate::synthetic::Synthetic;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// Four blocks of 250 messages with a gap of 2 ms, each acknowledged after 1 to 5 µs.
fn paced(wait: WaitMode) -> Synthetic {
    let mut run = (0..4).fold(Synthetic::empty(), |run, _| run.with(Workload::Paced, wait, wait, 64, 250));
    for block in &mut run.measured.blocks {
        block.block.conditions.gap_ns = Some(2 * MS);
    }
    lay_out(&mut run, 2 * MS, |position| 1_000 + position * 4);
    run
}

/// Sets the stamps of a cell's operations. Each starts `gap` after the previous acknowledgement and takes
/// `span(position)`.
fn lay_out(run: &mut Synthetic, gap: u64, span: impl Fn(u64) -> u64) {
    let mut now = 0;
    for (position, row) in (0..).zip(&mut run.rows) {
        now += gap;
        let span = span(position);
        row.due_ns = (gap > 0).then_some(now);
        row.corrected_ns = row.due_ns.map(|_| span);
        (row.h0_ns, row.h2_ns, row.h5_ns) = (Some(now), Some(now), Some(now + span));
        (row.rtt_ns, row.end_to_end_ns) = (Some(span), Some(span));
        now += span;
    }
}

fn add(field: &mut Option<u64>, ns: u64) {
    *field = field.map(|value| value + ns);
}

/// Delays all stamps of these rows.
fn delay(rows: &mut [Row], ns: u64) {
    for row in rows {
        for stamp in [&mut row.due_ns, &mut row.h0_ns, &mut row.h2_ns, &mut row.h5_ns] {
            add(stamp, ns);
        }
    }
}

/// A stall between sending and acknowledgement.
fn stop_within(run: &mut Synthetic, position: usize, ns: u64) {
    let row = &mut run.rows[position];
    for field in [&mut row.h5_ns, &mut row.rtt_ns, &mut row.end_to_end_ns, &mut row.corrected_ns] {
        add(field, ns);
    }
    delay(&mut run.rows[position + 1..], ns);
}

/// A stall between the scheduled and the actual send time.
fn stop_before(run: &mut Synthetic, position: usize, ns: u64) {
    let row = &mut run.rows[position];
    for field in [&mut row.h2_ns, &mut row.h5_ns, &mut row.corrected_ns] {
        add(field, ns);
    }
    delay(&mut run.rows[position + 1..], ns);
}

fn warnings(run: Synthetic) -> Vec<Warning> {
    let all = run.result_on(good()).warnings.into_iter();
    let is_stall = |text: &str| ["stopped", "suspended"].iter().any(|word| text.contains(word));
    all.filter(|warning| is_stall(&warning.message)).collect()
}

#[track_caller]
fn only_warning(run: Synthetic) -> String {
    let all = warnings(run);
    let [warning] = &all[..] else { panic!("one warning, not {all:?}") };
    assert!(warning.hint.contains("dmesg"), "{warning:?}");
    warning.message.clone()
}

#[test]
fn stalled_operation_is_named_with_block_and_effect() {
    let mut run = paced(WaitMode::Poll);
    stop_within(&mut run, 2 * 250 + 17, 3 * SECOND);
    run.block(2).cpu.host_ns += 3 * SECOND;
    assert_eq!(
        only_warning(run),
        "block 2 (paced 64 B poll, 2.00 ms gap): 1 of 250 operations took 3.00 s (machine or process stopped); mean \
         corrected latency of the cell 3.00 ms with the stall, 3.00 µs without; CPU per operation 3.20 ms, in blocks without a \
         stall 200 µs"
    );
}

#[test]
fn initiator_stopped_before_sending_is_named() {
    let mut run = paced(WaitMode::Irq);
    stop_before(&mut run, 400, 3 * SECOND);
    let message = only_warning(run);
    let wanted = "block 1 (paced 64 B irq, 2.00 ms gap): 1 of 250 operations started late by 3.00 s";
    assert!(message.starts_with(wanted), "{message}");
    assert!(message.contains("mean corrected latency of the cell 3.00 ms with the stall"), "{message}");
}

#[test]
fn stall_between_round_trips_affects_only_cpu_time() {
    let mut run = Synthetic::empty().with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 1_000);
    lay_out(&mut run, 0, |_| 300);
    stop_before(&mut run, 500, 3 * SECOND);
    let message = only_warning(run);
    assert!(message.contains("1 of 1,000 operations started late by 3.00 s"), "{message}");
    assert!(!message.contains("mean") && message.contains("CPU per operation includes it"), "{message}");
}

#[test]
fn stalls_in_several_blocks_are_counted() {
    let mut run = paced(WaitMode::Poll);
    for (position, seconds) in [(10, 1), (11, 2), (300, 4), (600, 5), (900, 3)] {
        stop_within(&mut run, position, seconds * SECOND);
    }
    let all = warnings(run);
    assert_eq!(all.len(), 3, "{all:?}");
    let first_words: Vec<&str> = all.iter().map(|warning| &warning.message[..7]).collect();
    assert_eq!(first_words, ["block 2", "block 1", "block 3"], "the longest first");
    assert!(all[2].message.ends_with(". 1 more block stalled too, for up to 2.00 s"), "{all:?}");
    assert!(all[0].message.contains("CPU per operation includes it"), "no block is without a stall: {all:?}");
}

#[test]
fn several_stalls_of_a_block_are_one_warning() {
    let mut run = paced(WaitMode::Poll);
    stop_within(&mut run, 10, SECOND);
    stop_before(&mut run, 20, 2 * SECOND);
    let message = only_warning(run);
    assert!(message.contains("2 of 250 operations took up to 2.00 s"), "{message}");
}

/// Tails as measured under emulation with four busy processes per CPU.
#[test]
fn ordinary_tails_under_load_are_not_stalls() {
    let tail = |position: u64| match position % 1_000 {
        500 => 51 * MS,
        position if position % 100 == 0 => 12 * MS,
        position if position % 10 == 0 => 3 * MS,
        position => 138_000 + position * 90,
    };
    for wait in [WaitMode::Poll, WaitMode::Irq] {
        let mut run = paced(wait);
        lay_out(&mut run, 2 * MS, tail);
        stop_before(&mut run, 700, 20 * MS);
        assert_eq!(warnings(run), []);
        let mut run = Synthetic::empty().with(Workload::Pingpong, wait, wait, 64, 1_000);
        lay_out(&mut run, 0, tail);
        assert_eq!(warnings(run), []);
    }
}

#[test]
fn stall_must_exceed_the_absolute_bound() {
    let stopped = |ms| {
        let mut run = paced(WaitMode::Poll);
        stop_within(&mut run, 17, ms * MS);
        warnings(run).len()
    };
    assert_eq!([stopped(100), stopped(149), stopped(151), stopped(200)], [0, 0, 1, 1]);
}

#[test]
fn contention_raises_the_stall_bound() {
    let crowded = |stop| {
        let mut run = Synthetic::empty().with(Workload::Contention, WaitMode::Poll, WaitMode::Poll, 64, 400);
        run.block(0).block.conditions = Conditions { busy_threads: Some(3), ..Conditions::default() };
        // A poller that shares its CPU acknowledges immediately or after a time slice.
        lay_out(&mut run, 0, |position| if position % 5 == 0 { 12 * MS } else { 300 });
        stop_within(&mut run, 100, 900 * MS);
        stop_before(&mut run, 300, stop);
        warnings(run)
    };
    assert_eq!(crowded(900 * MS), []);
    assert_eq!(crowded(3 * SECOND).len(), 1);
}

#[test]
fn long_frames_are_not_stalls() {
    let frames = |stop| {
        let mut run = Synthetic::empty().with(Workload::Frame, WaitMode::Poll, WaitMode::Poll, 6_220_800, 7).with(
            Workload::Frame,
            WaitMode::Poll,
            WaitMode::Poll,
            6_220_800,
            7,
        );
        // The generation of a frame takes time that no metric includes.
        lay_out(&mut run, 0, |position| (120 + position * 6) * MS);
        delay(&mut run.rows[9..], 3 * SECOND);
        stop_within(&mut run, 3, 420 * MS);
        stop_within(&mut run, 12, stop);
        warnings(run)
    };
    assert_eq!(frames(0), []);
    let stopped = frames(3 * SECOND);
    assert!(stopped.len() == 1 && stopped[0].message.contains("mean latency of the cell"), "{stopped:?}");
}

#[test]
fn uniformly_slow_operations_are_not_stalls() {
    let mut run = paced(WaitMode::Irq);
    lay_out(&mut run, 2 * MS, |position| 2 * SECOND + position * MS);
    assert_eq!(warnings(run), []);
}

#[test]
fn suspended_machine_is_named() {
    let mut run = paced(WaitMode::Irq);
    run.block(3).suspended_ns = 12 * SECOND;
    let message = only_warning(run);
    assert!(message.ends_with("the machine was suspended for 12.0 s"), "{message}");
    let mut run = paced(WaitMode::Irq);
    run.block(3).suspended_ns = MS;
    assert_eq!(warnings(run), [], "preempted between two readings of a clock");
}

#[test]
fn stream_and_storm_that_take_too_long_are_named() {
    let streams = |span_ns| {
        let mut run = (0..4).fold(Synthetic::empty(), |run, _| run.with_stream(4_096, 1_000)).with_storm(500);
        run.block(1).traffic.as_mut().expect("a stream").span_ns = span_ns;
        run
    };
    assert_eq!(warnings(streams(600 * MS)), []);
    let message = only_warning(streams(3_500 * MS));
    assert!(message.contains("its messages took 3.50 s where 500 ms is usual"), "{message}");
    assert!(message.contains("underestimated 7.00 times"), "{message}");
    let mut storm = Synthetic::empty().with_storm(500).with_storm(500).with_storm(500);
    storm.block(2).traffic.as_mut().expect("a storm").span_ns = 3 * SECOND;
    assert!(only_warning(storm).starts_with("block 2 (storm"));
}

#[test]
fn polling_thread_off_its_cpu_while_idle_is_named() {
    let idle = |wait, ran_ns| {
        let mut run = Synthetic::empty().with(Workload::Idle, wait, wait, 64, 0);
        let block = run.block(0);
        block.wall_ns = 3 * SECOND;
        (block.cpu.host_ns, block.cpu.vcpus_ns) = (3 * SECOND, vec![ran_ns]);
        warnings(run)
    };
    assert_eq!(idle(WaitMode::Poll, 2_900 * MS), []);
    let stopped = idle(WaitMode::Poll, SECOND);
    assert!(
        stopped.len() == 1 && stopped[0].message.contains("the polling vCPU ran for 1.00 s of 3.00 s"),
        "{stopped:?}"
    );
    assert_eq!(idle(WaitMode::Irq, MS), [], "blocking threads are off their CPUs");
}
