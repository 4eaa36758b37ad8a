//! The terminal summary.

use bench_model::raw::Traffic;
use bench_model::samples::Status;
use bench_model::thread_usage::{HardwareCounts, PerfTime};
use bench_model::{Arrivals, Conditions, WaitMode, Workload};
use report::result::{CheckOutcome, Warning};
use report::{styled_summary, summary, summary_within};

use crate::synthetic::Synthetic;

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

#[test]
fn starts_with_the_headline_and_ends_with_the_label() {
    let alternating = (0..16).fold(Synthetic::empty(), |run, block| {
        let wait = if matches!(block % 4, 0 | 3) { WaitMode::Poll } else { WaitMode::Irq };
        run.with(Workload::Pingpong, wait, wait, 64, 40)
    });
    let text = summary(&alternating.result());
    let first = text.lines().next().expect("a line");
    assert!(
        first.starts_with("Round-trip p50: poll 248 ns, irq 60.0 µs. CPU in use: poll 2.0 cores, irq 0.5 cores."),
        "{text}"
    );
    let text = summary(&Synthetic::both_modes().result());
    assert!(text.contains("frame 1080p, end to end: poll 33.7 MB/s, irq 33.7 MB/s"), "{text}");
    assert!(text.contains("14 of 14 self-checks passed, 1 not applicable"), "{text}");
    assert!(text.ends_with("under emulation (TCG): neither times nor ratios predict KVM\n"), "{text}");
    assert!(widest(&text) <= 100, "{text}");
}

#[test]
fn shows_a_dash_for_percentiles_of_few_samples() {
    let text = summary(&Synthetic::both_modes().result());
    let row = text.lines().find(|line| line.starts_with("pingpong 64 B")).expect("the row is there");
    let figures: Vec<&str> = row.split_whitespace().skip(4).collect();
    assert_eq!(figures, ["40", "210ns", "248ns", "280ns", "-", "288ns", "249ns", "0", "0", "100µs", "100µs", "2.00"]);
}

#[test]
fn failed_check_marks_the_headline() {
    let mut run = Synthetic::both_modes();
    run.first_row(0).status = Status::Timeout;
    let text = summary(&run.result());
    assert!(text.starts_with("Not trustworthy: 1 self-check failed. Round-trip p50: poll"), "{text}");
    assert!(text.contains("FAILED 14 every operation ended ok: 1 of 100 operations ended with timeout"), "{text}");
}

#[test]
fn headline_of_a_single_mode() {
    let text = summary(&Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 5).result());
    assert!(text.starts_with("Round-trip p50: irq 60.0 µs (5 operations).\n"), "{text}");
}

#[test]
fn failure_counts_saturate() {
    let mut result = Synthetic::both_modes().result();
    result.cells[0].failures = [(Status::Timeout, u64::MAX), (Status::BadHeader, 2)].into();
    assert_eq!(result.cells[0].failed(), u64::MAX);
    assert!(summary(&result).contains(&u64::MAX.to_string()));
}

#[test]
fn headline_of_frames_only() {
    let text =
        summary(&Synthetic::empty().with(Workload::Frame, WaitMode::Poll, WaitMode::Poll, 6_220_800, 5).result());
    assert!(text.starts_with("1080p frame p50, end to end: poll 185 ms (5 operations).\n"), "{text}");
}

#[test]
fn headline_of_storm_idle_and_baseline() {
    let first_line = |run: Synthetic| summary(&run.result()).lines().next().expect("a line").to_owned();
    let storm = Synthetic::empty().with_storm(20_000);
    assert_eq!(first_line(storm), "20,000 doorbells coalesced into 5,000 interrupts (4:1). The last message was seen.");
    let mut idle = Synthetic::empty().with(Workload::Idle, WaitMode::Poll, WaitMode::Poll, 64, 0);
    idle.block(0).wall_ns = 1_000_000;
    (idle.block(0).cpu.host_ns, idle.block(0).cpu.vcpu_ns) = (1_000_000, Some(990_000));
    assert_eq!(first_line(idle), "CPU in use while idle: poll 1.99 cores.");
    let mut ceilings = Synthetic::both_modes();
    ceilings.rows.clear();
    ceilings.measured.blocks.clear();
    assert_eq!(
        first_line(ceilings),
        "Peak copy bandwidth: host 17.0 GB/s, guest 17.0 GB/s. No messages were measured."
    );
}

#[test]
fn headline_states_why_there_are_no_results() {
    let mut run = Synthetic::empty();
    run.measured.aborted = Some("the guest\u{1b}[2J did not come".to_owned());
    let text = summary(&run.result());
    assert!(text.starts_with("No results: the guest [2J did not come"), "{text}");
    assert!(text.contains("the guest [2J did"), "control characters: {text}");
}

#[test]
fn reason_of_an_aborted_run_precedes_failed_operations() {
    let mut run = Synthetic::both_modes();
    run.measured.blocks.clear();
    run.rows.truncate(1);
    run.rows[0].status = Status::Timeout;
    run.measured.aborted = Some("the guest went silent".to_owned());
    let result = run.result();
    let failed: Vec<u32> =
        result.self_checks.iter().filter(|check| check.pass == CheckOutcome::Fail).map(|check| check.id).collect();
    assert_eq!(failed, [14, 15]);
    let text = summary(&result);
    assert!(text.starts_with("No results: the guest went silent"), "{text}");
}

#[test]
fn many_cells_checks_and_warnings_fit_40_lines() {
    let waits = [WaitMode::Poll, WaitMode::Irq];
    let mut run = Synthetic::empty();
    for size in [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384] {
        for (host, guest) in waits.into_iter().flat_map(|host| waits.map(|guest| (host, guest))) {
            run = run.with(Workload::Pingpong, host, guest, size, 3);
        }
    }
    let mut result = run.result();
    let warning = Warning { message: "something was seen ".repeat(20), hint: "something to do".to_owned() };
    result.warnings = vec![warning; 30];
    for check in &mut result.self_checks {
        check.pass = CheckOutcome::Fail;
        check.detail = "something is wrong ".repeat(20);
    }
    let text = summary(&result);
    // One of the 40 lines is for the path of the report.
    assert!(text.lines().count() <= 39, "{}:\n{text}", text.lines().count());
    assert!(text.contains("more rows in report.html") && text.contains("30 warnings in report.html"), "{text}");
}

#[test]
fn counts_a_single_omitted_cell() {
    let mut run = Synthetic::empty();
    let first_left_out = (1..100).find_map(|index| {
        run = run.clone().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64 * index, 3);
        summary(&run.clone().result()).lines().find(|line| line.contains(" more row")).map(str::to_owned)
    });
    assert_eq!(first_left_out.as_deref(), Some("and 1 more row in report.html"));
}

/// Every workload with the conditions of a full run and three wait modes.
pub(crate) fn everything() -> Synthetic {
    let mut run = Synthetic::empty();
    let mut add = |workload: Workload, size: u64, count: u64, conditions: Conditions| {
        for wait in [WaitMode::Poll, WaitMode::Irq, WaitMode::Hybrid] {
            run = run.clone().with(workload, wait, wait, size, count);
            let block = run.measured.blocks.last_mut().expect("just added");
            block.block.conditions = conditions;
            let traffic = Traffic { sent: 9, seen: 9, last_seen: true, span_ns: 77_777_777, full: 0 };
            block.traffic = matches!(workload, Workload::Stream | Workload::Storm).then_some(traffic);
            for row in run.rows.iter_mut().filter(|row| row.block == block.block.index) {
                row.rtt_ns = row.rtt_ns.map(|ns| ns * 1_937);
                row.corrected_ns = row.rtt_ns;
            }
        }
    };
    let plain = Conditions::default();
    let gap = Some(2_000_000);
    add(Workload::Pingpong, 64, 1_000, plain);
    add(Workload::Paced, 64, 1_000, Conditions { gap_ns: gap, ..plain });
    for size in [3_110_400, 5_529_600, 12_441_600] {
        add(Workload::Frame, size, 10, plain);
        add(Workload::Frame, size, 3, Conditions { cold: true, ..plain });
    }
    for rate in [1_000, 2_000, 5_000, 10_000, 20_000] {
        for arrivals in [Arrivals::Fixed, Arrivals::Poisson] {
            let open = Conditions { rate_per_s: Some(rate), arrivals: Some(arrivals), ..plain };
            add(Workload::Openloop, 64, 100, open);
        }
        add(Workload::Storm, 64, 1, Conditions { rate_per_s: Some(rate), ..plain });
    }
    for size in [64, 4_096, 65_536, 1_048_576] {
        for slots in [1, 16, 64] {
            add(Workload::Stream, size, 0, Conditions { slots: Some(slots), ..plain });
        }
    }
    for busy in 0..4 {
        for gap_ns in [None, gap] {
            add(Workload::Contention, 64, 100, Conditions { busy_threads: Some(busy), gap_ns, ..plain });
        }
    }
    add(Workload::Idle, 64, 0, plain);
    run
}

#[test]
fn full_run_fits_40_lines_of_100_columns() {
    let mut result = everything().result();
    let warning = Warning { message: "something was seen ".repeat(20), hint: "something to do".to_owned() };
    for failed in [0, 3, result.self_checks.len()] {
        result.warnings = vec![warning.clone(); failed];
        for check in result.self_checks.iter_mut().take(failed) {
            check.pass = CheckOutcome::Fail;
            check.detail = "something is wrong ".repeat(20);
        }
        let text = summary(&result);
        // One of the 40 lines is for the path of the report.
        assert!(text.lines().count() <= 39, "{}:\n{text}", text.lines().count());
        assert!(widest(&text) <= 100, "{}:\n{text}", widest(&text));
        assert!(text.contains("more notes in report.html"), "{text}");
    }
}

#[test]
fn legend_is_complete_with_all_wait_modes() {
    let text = summary(&everything().result()).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("hybrid: busy polling for a while, then block; */op: CPU time of initiator and vCPUs per"));
    assert!(text.contains("paced, openloop: corrected latency (from the scheduled send time)"), "{text}");
    assert!(!text.contains("CPU/op"), "explains columns of other tables: {text}");
}

#[test]
fn storm_explains_unread_messages() {
    let note = |run: Synthetic| summary(&run.result()).split_whitespace().collect::<Vec<_>>().join(" ");
    let few_read = note(Synthetic::empty().with_storm(400));
    assert!(
        few_read.contains("read 50 messages, including the last one (by design, newer messages overwrite unread ones)"),
        "{few_read}"
    );
    let mut all_read = Synthetic::empty().with_storm(400);
    all_read.block(0).traffic.as_mut().expect("a storm").seen = 400;
    let all_read = note(all_read);
    assert!(all_read.contains("read 400 messages, including the last one") && !all_read.contains("overwrite"));
}

#[test]
fn shows_why_hardware_counters_are_missing() {
    let mut run = Synthetic::both_modes();
    let reason = "the processor's counters are not visible in this virtual machine (ENOENT)";
    run.measured.perf_missing = Some(format!("cycles, instructions, LLC misses, L1d misses, dTLB misses: {reason}"));
    let text = summary(&run.result());
    assert!(text.lines().any(|line| line == format!("hardware counters: n/a, {reason}")), "{text}");
    assert!(widest(&text) <= 100, "{text}");
}

#[test]
fn shows_cycles_and_instructions_in_one_line() {
    let mut run = Synthetic::both_modes();
    for block in &mut run.measured.blocks {
        let counts = HardwareCounts {
            cycles: Some(block.operations * 1_500),
            instructions: Some(block.operations * 800),
            enabled_ns: 10,
            running_ns: 10,
            ..HardwareCounts::default()
        };
        block.cpu.perf = PerfTime { host: Some(counts), vcpu: Some(counts) };
    }
    let result = run.result();
    let perf = result.cells[0].cpu.perf.as_ref().expect("counted");
    assert_eq!(perf.host.as_ref().expect("counted").cycles, Some(1_500.0));
    let text = summary(&result);
    let each = "host 1.50k/800 vcpu 1.50k/800";
    assert!(text.contains(&format!("cycles/instructions per op: poll {each}; irq {each}\n")), "{text}");
}

#[test]
fn styles_do_not_change_the_text() {
    let result = Synthetic::both_modes().result();
    let styled = styled_summary(&result);
    assert!(styled.contains('\u{1b}'));
    let plain: String = styled.split('\u{1b}').enumerate().fold(String::new(), |text, (index, piece)| {
        // An escape sequence ends with its first letter.
        let visible = if index == 0 { piece } else { piece.split_once('m').map_or("", |(_, visible)| visible) };
        text + visible
    });
    assert_eq!(plain, summary(&result));
}

#[test]
fn headline_of_streams_only() {
    let text = summary(&Synthetic::empty().with_stream(4_096, 500_000).result());
    assert!(text.starts_with("Peak stream bandwidth: poll 4.10 GB/s.\n"), "{text}");
    assert!(text.contains("stream 4 KiB, fastest: poll 4.10 GB/s"), "{text}");
}

#[test]
fn headline_is_inconclusive_with_one_block_per_mode() {
    let text = summary(&Synthetic::both_modes().result());
    let first = text.split("\n\n").next().expect("a paragraph").replace("\n    ", " ");
    assert_eq!(
        first,
        "Round-trip p50: poll 248 ns, irq 60.0 µs. CPU in use: poll 2.0 cores, irq 0.5 cores. \
         Inconclusive: too few samples (use --full)."
    );
}

#[test]
fn headline_marks_differences_that_are_not_significant() {
    let mut run = Synthetic::empty();
    for wait in [WaitMode::Poll, WaitMode::Irq, WaitMode::Irq, WaitMode::Poll] {
        run = run.with(Workload::Frame, wait, wait, 6_220_800, 20);
    }
    for row in &mut run.rows {
        // Both modes take the same time, with more variation than difference.
        row.end_to_end_ns = Some(180_000_000 + row.seq % 7 * 1_000_000);
    }
    let text = summary(&run.result());
    assert!(text.contains("irq 0.5 cores. The difference is not significant."), "{text}");
}

#[test]
fn never_truncates_the_reason_of_a_failed_check() {
    let mut run = Synthetic::empty();
    let steps = "the initiator waited for the guest, ".repeat(20);
    run.measured.aborted = Some(format!("host-peer: {steps}cause: No space left on device (os error 28)"));
    let text = summary(&run.result());
    let failed = text.split("FAILED 15").nth(1).expect("the check is there");
    let failed = failed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(failed.contains("whole: host-peer"), "{text}");
    assert!(failed.contains("No space left on device (os error 28)"), "{text}");
    assert!(text.lines().count() <= 39 && widest(&text) <= 100, "{text}");
}

#[test]
fn fits_narrow_terminals() {
    let result = everything().result();
    let mut widths = Vec::new();
    for columns in [40, 60, 80, 100, 300] {
        let text = summary_within(&result, columns);
        assert!(widest(&text) <= columns.min(100), "{columns}: {}:\n{text}", widest(&text));
        assert!(text.contains("pingpong") && text.contains("self-checks"), "{text}");
        widths.push(widest(&text));
    }
    assert!(widths.is_sorted(), "{widths:?}");
    assert_eq!(summary_within(&result, 100), summary(&result));
    assert_eq!(summary_within(&result, 1), summary_within(&result, 40), "minimum width");
}
