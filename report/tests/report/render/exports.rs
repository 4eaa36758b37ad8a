//! The content of the files for other programs, line by line.

use std::path::Path;

use bench_model::{Arrivals, Conditions, WaitMode, Workload};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use crate::run::{folder, lines, rendered};
use crate::synthetic::Synthetic;

/// Tag, start in seconds, and the histogram of each line of a log.
fn log(dir: &Path) -> Vec<(String, f64, Histogram<u64>)> {
    let text = std::fs::read(dir.join("run.hlog")).expect("written");
    let entry = |entry| match entry {
        LogEntry::Interval(interval) => {
            let encoded = interval.encoded_histogram();
            let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).expect("base64");
            let histogram = Deserializer::new().deserialize(&mut &bytes[..]).expect("a histogram");
            let tag = interval.tag().expect("a tag").as_str().to_owned();
            Some((tag, interval.start_timestamp().as_secs_f64(), histogram))
        }
        _ => None,
    };
    IntervalLogIterator::new(&text).map(|line| line.expect("a line of a log")).filter_map(entry).collect()
}

#[test]
fn log_has_one_tagged_histogram_per_block_in_time_order() {
    let dir = folder(&Synthetic::both_modes().with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 30));
    rendered(dir.path()).expect("rendered");
    let histograms: Vec<(String, f64, u64)> =
        log(dir.path()).into_iter().map(|(t, start, h)| (t, start, h.len())).collect();
    let expected = [
        ("pingpong-64B-poll", 0.0, 40),
        ("pingpong-64B-irq", 1.0, 40),
        ("frame-1080p-poll", 2.0, 10),
        ("frame-1080p-irq", 3.0, 10),
        ("pingpong-64B-poll", 4.0, 30),
    ];
    assert_eq!(histograms, expected.map(|(tag, start, n)| (tag.to_owned(), start, n)));

    let text = lines(dir.path(), "run.hlog");
    assert_eq!(text[0], "#[Histogram log format version 1.3]");
    // 2026-08-01T09:00:00Z.
    assert!(text.contains(&"#[StartTime: 1785574800.000 (seconds since epoch)]".to_owned()), "{:?}", &text[..5]);
    assert!(text.contains(&"#[BaseTime: 1785574800.000 (seconds since epoch)]".to_owned()));
    assert!(text.iter().any(|line| line.starts_with("\"StartTimestamp\",")));
    let first = text.iter().find(|line| line.starts_with("Tag=pingpong-64B-poll,0.000,")).expect("the first block");
    assert_eq!(first.split(',').count(), 5, "{first}");
}

#[test]
fn values_beyond_the_range_are_counted_in_the_log() {
    let mut run = Synthetic::both_modes();
    run.first_row(1).rtt_ns = Some(u64::MAX);
    let dir = folder(&run);
    rendered(dir.path()).expect("rendered");
    let counts: Vec<u64> = log(dir.path()).iter().map(|(_, _, histogram)| histogram.len()).collect();
    assert_eq!(counts, [40, 39, 10, 10]);
    let text = lines(dir.path(), "run.hlog");
    assert!(text.contains(&"#[pingpong-64B-irq: 1 values beyond the range are left out]".to_owned()));
    let hgrm = lines(dir.path(), "pingpong-64B-irq.hgrm");
    assert!(hgrm.iter().any(|line| line.ends_with("Beyond range   =            1]")), "{hgrm:?}");
}

#[test]
fn scheduled_messages_also_have_a_corrected_histogram() {
    let mut run = Synthetic::empty().with(Workload::Openloop, WaitMode::Irq, WaitMode::Irq, 64, 20);
    run.block(0).block.conditions =
        Conditions { rate_per_s: Some(1_000), arrivals: Some(Arrivals::Poisson), ..Conditions::default() };
    run.rows.iter_mut().for_each(|row| row.corrected_ns = Some(7_000_000));
    let dir = folder(&run);
    rendered(dir.path()).expect("rendered");
    let tags: Vec<String> = log(dir.path()).into_iter().map(|(tag, ..)| tag).collect();
    assert_eq!(tags, ["openloop-64B-irq-1000per-s-poisson-corrected", "openloop-64B-irq-1000per-s-poisson"]);
    let corrected = lines(dir.path(), "openloop-64B-irq-1000per-s-poisson-corrected.hgrm");
    assert!(corrected[2].trim_start().starts_with("7000.063 "), "{}", corrected[2]);
}

#[test]
fn cpu_csv_has_a_line_per_block_and_empty_unknowns() {
    let mut run = Synthetic::both_modes();
    run.block(1).cpu.main_loop_ns = None;
    run.block(2).cpu.vcpus_ns = vec![1, 2];
    let dir = folder(&run);
    rendered(dir.path()).expect("rendered");
    let table = lines(dir.path(), "cpu.csv");
    assert_eq!(table.len(), 5);
    let header: Vec<&str> = table[0].split(',').collect();
    let field = |line: usize, name: &str| {
        let place = header.iter().position(|column| *column == name).unwrap_or_else(|| panic!("{name} is a column"));
        let fields: Vec<&str> = table[line].split(',').collect();
        assert_eq!(fields.len(), header.len());
        fields[place].to_owned()
    };
    assert_eq!(field(1, "workload") + &field(1, "mode") + &field(1, "block"), "pingpongpoll0");
    assert_eq!(field(1, "host_cpu_ns"), "4000000");
    assert_eq!((field(1, "cores"), field(1, "cpu_ns_per_op")), ("2".to_owned(), "200000".to_owned()));
    assert_eq!((field(2, "main_loop_cpu_ns"), field(2, "cores")), (String::new(), String::new()));
    assert_eq!((field(2, "wakeups"), field(2, "interrupts")), ("84".to_owned(), "42".to_owned()));
    assert_eq!((field(1, "vcpu1_cpu_ns"), field(3, "vcpu1_cpu_ns")), (String::new(), "2".to_owned()));
    assert_eq!(field(1, "host_cycles"), "");
    assert_eq!(field(2, "guest_waits"), "42");
    assert_eq!(field(2, "vcpus_voluntary_switches"), "40");
}

#[test]
fn tables_of_a_run_without_blocks_have_their_header() {
    let dir = folder(&Synthetic::empty());
    rendered(dir.path()).expect("rendered");
    for name in ["cpu.csv", "latency_results.csv", "bandwidth_results.csv"] {
        assert_eq!(lines(dir.path(), name).len(), 1, "{name}");
    }
    assert!(log(dir.path()).is_empty());
}
