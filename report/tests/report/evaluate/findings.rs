//! Findings over several cells.

use bench_model::{Arrivals, Conditions, WaitMode, Workload};
use report::render::report_doc::key_results;
use report::result::findings::BreakEven;
use report::result::metric::Metric;
use statistics::Change;

use crate::synthetic::Synthetic;

/// Adds a block under these conditions.
fn under(run: Synthetic, workload: Workload, wait: WaitMode, conditions: Conditions) -> Synthetic {
    let mut run = run.with(workload, wait, wait, 64, 1_000);
    run.measured.blocks.last_mut().expect("just added").block.conditions = conditions;
    run
}

#[test]
fn break_even_rate_equates_cpu_use_of_poll_and_irq() {
    let run = Synthetic::both_modes().with(Workload::Idle, WaitMode::Poll, WaitMode::Poll, 64, 0).with(
        Workload::Idle,
        WaitMode::Irq,
        WaitMode::Irq,
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
    // Polling uses two cores. Blocking uses 0.02 cores while idle, and 50 µs of CPU time per operation.
    assert_eq!((known.polling_cores, known.idle_cores, known.us_per_op), (2.0, 0.02, 50.0));
    assert!((known.rate_per_s - 1.98e6 / 50.0).abs() < 1.0, "{known:?}");
    assert!(known.is_always_cheaper(), "its throughput is {:.0}", known.fastest_per_s);
}

#[test]
fn break_even_rate_is_interpolated_between_measured_rates() {
    let paced = Conditions { gap_ns: Some(2_000_000), ..Conditions::default() };
    let mut run = Synthetic::both_modes();
    for (workload, wait) in [(Workload::Idle, WaitMode::Poll), (Workload::Idle, WaitMode::Irq)] {
        run = run.with(workload, wait, wait, 64, 0);
    }
    run = under(run, Workload::Paced, WaitMode::Irq, paced);
    // Polling uses two cores. Blocking uses none while idle, half a core at 1,000 per second, and three cores at
    // 10,000.
    for (index, operations, cores) in [(1, 10_000, 3.0), (4, 0, 2.0), (5, 0, 0.0), (6, 1_000, 0.5)] {
        let block = run.block(index);
        block.wall_ns = 1_000_000_000;
        block.operations = operations;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number above zero")]
        let busy = (cores * 1e9) as u64;
        (block.cpu.host_ns, block.cpu.vcpu_ns, block.cpu.main_loop_ns) = (busy, Some(0), Some(0));
    }
    let result = run.result();
    let known = &result.findings.break_even[0];
    assert!((known.rate_per_s - 6_400.0).abs() < 1e-6 && !known.is_always_cheaper(), "{known:?}");
    assert_eq!(result.findings.break_even.len(), 1, "hybrid waiting has no such rate");
}

#[test]
fn no_mode_wins_cpu_if_break_even_rate_is_reachable() {
    let point = |rate_per_s: f64| {
        let mut result = Synthetic::both_modes().result();
        result.findings.break_even = vec![BreakEven {
            mode: "irq".into(),
            polling_cores: 2.0,
            idle_cores: 0.02,
            us_per_op: 50.0,
            rate_per_s,
            fastest_per_s: 15_000.0,
        }];
        key_results(&result).into_iter().find(|point| point.question.starts_with("CPU time")).expect("a point")
    };
    let (always, below) = (point(39_600.0), point(8_000.0));
    assert_eq!((always.winner.as_deref(), always.verdict.contains("at every rate")), (Some("irq"), true));
    assert_eq!((below.winner.as_deref(), below.verdict.contains("poll above")), (None, true), "{below:?}");
}

/// Four blocks of paced messages of each mode. Polling sent late, blocking did not.
fn late() -> Synthetic {
    let gap = Conditions { gap_ns: Some(2_000_000), ..Conditions::default() };
    let mut run = Synthetic::empty();
    for block in 0..8 {
        run = under(run, Workload::Paced, if matches!(block % 4, 0 | 3) { WaitMode::Poll } else { WaitMode::Irq }, gap);
    }
    for (position, row) in run.rows.iter_mut().enumerate() {
        let rtt_ns = if row.host_wait == WaitMode::Poll { 1_000 } else { 50_000 } + position as u64 * 7_919 % 100;
        let late_ns = if row.host_wait == WaitMode::Poll { 6_000_000 } else { 100 };
        (row.rtt_ns, row.corrected_ns) = (Some(rtt_ns), Some(rtt_ns + late_ns));
    }
    run
}

#[test]
fn scheduled_messages_are_compared_by_corrected_latency() {
    let result = late().result();
    let comparison = &result.comparisons[0];
    assert_eq!((comparison.figure, comparison.word), (Metric::CorrectedLatency, Change::Faster), "{comparison:?}");
    let point = &key_results(&result)[0];
    assert_eq!(point.winner.as_deref(), Some("irq"), "{point:?}");
    assert!(point.evidence[0].starts_with("p50 corrected latency: poll 6.00 ms ("), "{point:?}");
    let summary = report::summary(&result);
    let sentence = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(sentence.contains("Corrected latency p50 (2.00 ms gap): poll 6.00 ms, irq 50.1 µs."), "{summary}");
    assert!(sentence.contains("paced corrected p50 irq/poll "), "{summary}");
    let row = summary.lines().find(|line| line.starts_with("paced") && line.contains(" poll ")).expect("a row");
    assert!(row.contains("6.00ms"), "{summary}");
    assert!(sentence.contains("paced: corrected latency (from the scheduled send time)"), "{summary}");
}

#[test]
fn missing_corrected_latency_compares_round_trips() {
    let mut silent = late();
    silent.rows.iter_mut().for_each(|row| row.corrected_ns = None);
    let result = silent.result();
    let comparison = &result.comparisons[0];
    assert_eq!((comparison.figure, comparison.word), (Metric::Latency, Change::Slower), "{comparison:?}");
}

#[test]
fn contention_names_a_faster_mode_only_if_significant() {
    let with_threads = |busy_threads| Conditions { busy_threads: Some(busy_threads), ..Conditions::default() };
    let mut run = Synthetic::empty();
    for block in 0..12 {
        let wait = if matches!(block % 4, 0 | 3) { WaitMode::Poll } else { WaitMode::Irq };
        run = under(run, Workload::Contention, wait, with_threads(block / 4 % 3));
    }
    run = run.clone().and(run);
    // With one busy thread, polling is preempted in half of its blocks: the medians differ much, but within the noise
    // floor. With two, it is preempted in all of them.
    for row in run.rows.iter_mut().filter(|row| row.host_wait == WaitMode::Poll) {
        let lost = matches!(row.block, 4 | 7) || matches!(row.block % 12, 8..);
        row.rtt_ns = row.rtt_ns.map(|ns| if lost { 8_000_000 + ns } else { ns });
    }
    let result = run.result();
    let named: Vec<(u32, Option<WaitMode>, Change)> =
        result.findings.contention.iter().map(|entry| (entry.busy_threads, entry.faster(), entry.word)).collect();
    let expected = [
        (0, Some(WaitMode::Poll), Change::Slower),
        (1, None, Change::NotSignificant),
        (2, Some(WaitMode::Irq), Change::Faster),
    ];
    assert_eq!(named, expected);
    let summary = report::summary(&result).split_whitespace().collect::<Vec<_>>().join(" ");
    let line = summary
        .split("contention, p50, poll / irq by total busy threads (?: not significant): ")
        .nth(1)
        .expect("a line")
        .split(" peak bandwidth")
        .next();
    let parts: Vec<&str> = line.expect("a line").split("; ").collect();
    let unproved: Vec<bool> = parts.iter().take(3).map(|part| part.trim_end().ends_with('?')).collect();
    assert_eq!(unproved, [false, true, false], "{parts:?}");
}

#[test]
fn bimodal_contention_is_compared_by_the_mean() {
    let paced = |busy_threads| Conditions {
        busy_threads: Some(busy_threads),
        gap_ns: Some(2_000_000),
        ..Conditions::default()
    };
    let mut run = Synthetic::empty();
    for block in 0..16 {
        let wait = if matches!(block % 4, 0 | 3) { WaitMode::Poll } else { WaitMode::Irq };
        run = under(run, Workload::Contention, wait, paced(block / 4 % 2));
    }
    // With one busy thread, slightly less or more than half of each block's messages wait for a time slice of other
    // threads. Chance decides in which mode of the distribution the median lies.
    for row in &mut run.rows {
        let late_of_20 = match (row.host_wait, row.block) {
            (WaitMode::Poll, 4 | 15) => 11,
            (WaitMode::Poll, 7 | 12) => 9,
            _ => 0,
        };
        let is_late = row.seq % 20 < late_of_20;
        row.corrected_ns = row.rtt_ns.map(|ns| if is_late { 4_000_000 + ns } else { ns });
    }
    let result = run.result();
    let [alone, contended] = &result.findings.contention[..] else { panic!("{:?}", result.findings.contention) };
    assert_eq!((alone.lower_mean(), alone.faster()), (Some(WaitMode::Poll), Some(WaitMode::Poll)), "{alone:?}");
    assert_eq!((contended.lower_mean(), contended.faster()), (Some(WaitMode::Irq), None), "{contended:?}");
    let summary = report::summary(&result).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(summary.contains("contention, mean corrected latency, poll / irq by total busy threads: 0: "), "{summary}");
    // The median and its noise floor are meaningless for bimodal latencies, so the means are compared.
    let comparison =
        result.comparisons.iter().find(|comparison| comparison.conditions.busy_threads == Some(1)).expect("compared");
    let basis = comparison.basis().expect("a ratio");
    assert!(comparison.is_bimodal() && basis.is_mean && basis.word == Change::Faster, "{comparison:?}");
    assert!(basis.noise_floor.is_some_and(|floor| floor < 10.0), "{basis:?}");
    let points = key_results(&result);
    let point = points.iter().find(|point| point.question.contains("with busy threads")).expect("a point");
    assert_eq!(
        (point.winner.as_deref(), &*point.verdict),
        (None, "irq has the lower mean latency from 1 busy thread on")
    );
}

/// Streams of both modes in eight blocks each. Times vary between blocks; `factor` scales those of irq.
fn streams(factor: u64) -> Synthetic {
    let mut run = Synthetic::empty();
    for block in 0..16 {
        run = run.with_stream(4_096, 10_000);
        let measured = run.block(block);
        let is_irq = !matches!(block % 4, 0 | 3);
        if is_irq {
            (measured.block.host_wait, measured.block.guest_wait) = (WaitMode::Irq, WaitMode::Irq);
        }
        measured.cpu.host_ns = 40_000_000;
        let traffic = measured.traffic.as_mut().expect("a stream");
        traffic.span_ns = (500_000_000 + block as u64 * 1_000_000) * if is_irq { factor } else { 1 };
    }
    run
}

#[test]
fn stream_has_a_winner_only_if_significant() {
    let compared = |factor| {
        let result = streams(factor).result();
        let comparison = result.comparisons[0].clone();
        let point = key_results(&result).into_iter().find(|point| point.question.starts_with("Bandwidth of a stream"));
        (comparison, point.expect("a point"))
    };
    let (comparison, point) = compared(3);
    assert_eq!((comparison.figure, comparison.word), (Metric::TimePerMessage, Change::Slower), "{comparison:?}");
    let (ratio, interval) = comparison.p50_ratio.zip(comparison.p50_ratio_interval).expect("both");
    assert!((ratio - 3.0).abs() < 0.05 && interval.low <= ratio && ratio <= interval.high, "{comparison:?}");
    assert!(comparison.noise_floor.is_some_and(|floor| floor < 1.1), "{comparison:?}");
    assert_eq!(point.winner.as_deref(), Some("poll"), "{point:?}");
    let evidence = point.evidence.join(" ");
    assert!(evidence.contains("CPU time per message, 4 KiB") && evidence.contains("irq/poll: 3.0"), "{point:?}");
    let (comparison, point) = compared(1);
    assert_eq!((comparison.word, point.winner), (Change::NotSignificant, None));
    assert!(point.verdict.ends_with("difference not significant"), "{}", point.verdict);
}

/// Adds a block of an open loop. Every message was sent on time, with this corrected latency.
fn offered(run: Synthetic, rate_per_s: u64, count: u64, corrected_ns: u64) -> Synthetic {
    let conditions =
        Conditions { rate_per_s: Some(rate_per_s), arrivals: Some(Arrivals::Fixed), ..Conditions::default() };
    let index = u32::try_from(run.measured.blocks.len()).expect("few");
    let mut run = run.with(Workload::Openloop, WaitMode::Irq, WaitMode::Irq, 64, count);
    let block = run.measured.blocks.last_mut().expect("just added");
    (block.block.conditions, block.wall_ns) = (conditions, count * 1_000_000_000 / rate_per_s);
    for (row, position) in run.rows.iter_mut().filter(|row| row.block == index).zip(0..) {
        let due = position * 1_000_000_000 / rate_per_s;
        (row.due_ns, row.h2_ns, row.corrected_ns) = (Some(due), Some(due + 50), Some(corrected_ns));
    }
    run
}

#[test]
fn highest_rate_keeps_corrected_p99_below_the_limit() {
    let mut run = Synthetic::empty();
    for (rate_per_s, corrected) in [(100, 400_000), (200, 500_000), (400, 2_000_000)] {
        run = offered(run, rate_per_s, 1_000, corrected);
    }
    let mut lucky = run.clone();
    for row in lucky.rows.iter_mut().filter(|row| row.block > 0) {
        row.corrected_ns = Some(if row.block == 1 { 3_000_000 } else { 400_000 });
    }
    let found = lucky.result().findings.capacity;
    assert_eq!(found[0].rate_per_s, Some(100), "below 400 there is one that did not keep the limit");
    let found = run.clone().result().findings.capacity;
    assert_eq!((found[0].rate_per_s, found[0].offered_per_s), (Some(200), 400));
    // Only half of the messages were sent before the last one was scheduled: the rate is not sustained, whatever the
    // latency.
    let dues = run.rows.iter().filter(|row| row.block == 1).filter_map(|row| row.due_ns);
    let (first, last) = dues.fold((u64::MAX, 0), |(first, last), due| (first.min(due), last.max(due)));
    for row in run.rows.iter_mut().filter(|row| row.block == 1) {
        row.due_ns = row.due_ns.map(|due| first + (due - first) / 2);
    }
    assert!(last > first);
    assert_eq!(run.result().findings.capacity[0].rate_per_s, Some(100));
}

#[test]
fn rate_with_too_few_messages_is_inconclusive() {
    let capacity = |run: Synthetic| run.result().findings.capacity.remove(0);
    let few = offered(Synthetic::empty(), 20, 40, 100_000);
    let kept = capacity(offered(few.clone(), 2_000, 1_000, 100_000));
    assert_eq!((kept.rate_per_s, &kept.not_judged_per_s[..]), (Some(2_000), &[20][..]));
    let rendered = |run: Synthetic| {
        let result = run.result();
        let point = key_results(&result).into_iter().find(|point| point.question.starts_with("Highest rate"));
        let summary = report::summary(&result).split_whitespace().collect::<Vec<_>>().join(" ");
        (point.expect("a point").verdict, summary)
    };
    let (verdict, summary) = rendered(few.clone());
    assert_eq!(verdict, "inconclusive: too few messages for p99");
    assert!(summary.contains("irq fixed inconclusive (too few messages)"), "{summary}");
    let (verdict, summary) = rendered(offered(Synthetic::empty(), 2_000, 1_000, 3_000_000));
    assert_eq!(verdict, "none of the offered rates");
    assert!(summary.contains("irq fixed none of the offered rates"), "{summary}");
}

#[test]
fn rate_with_a_longer_random_schedule_is_sustained() {
    let mut run = offered(Synthetic::empty(), 500, 1_000, 100_000);
    // 10 % more than a thousand intervals of 2 ms.
    run.block(0).wall_ns = 2_200_000_000;
    for row in &mut run.rows {
        row.due_ns = row.due_ns.map(|due| due + due / 10);
        row.h2_ns = row.due_ns.map(|due| due + 50);
    }
    assert_eq!(run.result().findings.capacity[0].rate_per_s, Some(500));
}

#[test]
fn unsent_messages_are_reported_and_exclude_their_rate() {
    let mut run = offered(Synthetic::empty(), 500, 1_000, 100_000);
    run.block(0).unsent = 1;
    let result = run.clone().result();
    assert_eq!((result.cells[0].unsent, result.findings.capacity[0].rate_per_s), (Some(1), None));
    run.block(0).unsent = 3_000;
    let result = run.result();
    assert!(result.cells[0].sent_in_time.is_some_and(|share| (share - 0.25).abs() < 1e-9), "{:?}", result.cells[0]);
    let warning = result.warnings.iter().find(|warning| warning.hint.contains("--rate")).expect("a warning");
    assert!(warning.message.starts_with("3,000 of 4,000 messages were not sent before"), "{}", warning.message);
}

#[test]
fn aa_repetition_shows_no_difference() {
    let again = Conditions { aa_repeat: true, ..Conditions::default() };
    let mut run = Synthetic::empty();
    for conditions in [Conditions::default(), again].into_iter().cycle().take(8) {
        run = under(run, Workload::Pingpong, WaitMode::Poll, conditions);
    }
    let result = run.result();
    let comparison = &result.comparisons[0];
    assert!(comparison.conditions.aa_repeat);
    assert_eq!((comparison.p50_ratio, comparison.word), (Some(1.0), Change::NotSignificant));
    let (second, first) = comparison.cells(&result.cells).expect("both are there");
    assert!(second.conditions.aa_repeat && !first.conditions.aa_repeat, "the second arm is not compared with itself");
}

#[test]
fn storm_rate_is_the_rate_of_its_rings() {
    let mut run = Synthetic::empty().with_storm(500).with_storm(500);
    for index in 0..2 {
        run.block(index).traffic.as_mut().expect("a storm").span_ns = 499_000_000;
    }
    assert_eq!(run.result().cells[0].messages_per_second, Some(1_000.0));
}
