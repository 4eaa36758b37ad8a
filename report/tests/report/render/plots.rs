//! Plots of synthetic runs: which are drawn, their values, and their robustness against untrusted input.

use std::fs;

use bench_model::raw::Traffic;
use bench_model::samples::Status;
use bench_model::units::{FRAME_4K, FRAME_1080P};
use bench_model::{Arrivals, Conditions, WaitMode, Workload};
use proptest::prelude::*;
use report::RunResult;
use report::evaluate::evaluate;
use report::io::run::Run;
use report::render::plots::{PALETTE, Plot, plots, png, themed, write_into};
use report::result::environment::Environment;
use resvg::usvg::roxmltree;

use crate::synthetic::Synthetic;

pub(crate) const WAITS: [WaitMode; 3] = [WaitMode::Poll, WaitMode::Irq, WaitMode::Hybrid];

fn result_and_run(synthetic: Synthetic, environment: Environment) -> (RunResult, Run) {
    let run = Run::new(synthetic.measured, synthetic.rows);
    (evaluate(environment, serde_json::json!({}), &run, None), run)
}

pub(crate) fn drawn(synthetic: Synthetic) -> Vec<Plot> {
    let environment = Environment { accel: "tcg".into(), ..Environment::default() };
    let (result, run) = result_and_run(synthetic, environment);
    plots(&result, &run)
}

fn names(plots: &[Plot]) -> Vec<&'static str> {
    plots.iter().map(|plot| plot.name).collect()
}

pub(crate) fn named<'a>(plots: &'a [Plot], name: &str) -> &'a Plot {
    plots.iter().find(|plot| plot.name == name).expect("the plot is there")
}

/// Sets the conditions of the last block.
pub(crate) fn under(mut synthetic: Synthetic, conditions: Conditions) -> Synthetic {
    synthetic.measured.blocks.last_mut().expect("a block").block.conditions = conditions;
    synthetic
}

/// A run with every workload and all nine pairs of wait modes.
pub(crate) fn everything() -> Synthetic {
    let mut run = Synthetic::empty();
    let paced = Conditions { gap_ns: Some(2_000_000), ..Conditions::default() };
    for host in WAITS {
        for guest in WAITS {
            run = run.with(Workload::Pingpong, host, guest, 64, 30);
            run = under(run.with(Workload::Paced, host, guest, 64, 12), paced);
            run =
                run.with(Workload::Frame, host, guest, FRAME_1080P, 3).with(Workload::Frame, host, guest, FRAME_4K, 3);
            for arrivals in [Arrivals::Fixed, Arrivals::Poisson] {
                for rate in [1_000, 100_000] {
                    let open = Conditions { rate_per_s: Some(rate), arrivals: Some(arrivals), ..Conditions::default() };
                    run = under(run.with(Workload::Openloop, host, guest, 64, 4), open);
                }
            }
            for (threads, gap_ns) in [(0, None), (3, None), (0, Some(2_000_000)), (3, Some(2_000_000))] {
                let contended = Conditions { busy_threads: Some(threads), gap_ns, ..Conditions::default() };
                run = under(run.with(Workload::Contention, host, guest, 64, 8), contended);
            }
        }
    }
    for row in &mut run.rows {
        row.corrected_ns = row.rtt_ns.map(|ns| ns + 500);
    }
    for (rings, rate_per_s) in [(500, Some(1_000)), (20_000, None)] {
        run = under(run.with_storm(rings), Conditions { rate_per_s, ..Conditions::default() });
    }
    for size in [64, 4_096, 1 << 20] {
        let ring = |always_ring| Conditions { slots: Some(16), always_ring, ..Conditions::default() };
        run = under(run.with_stream(size, 10_000), ring(false));
        run = under(run.with_stream(size, 9_000), ring(true));
    }
    run
}

/// Parses the SVG and checks that it contains only drawing elements.
pub(crate) fn parsed(svg: &str) -> roxmltree::Document<'_> {
    let document = roxmltree::Document::parse(svg).expect("well-formed");
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        let known = ["svg", "title", "desc", "g", "path", "rect", "circle", "text"];
        assert!(known.contains(&name), "{name}");
        let mut attributes = node.attributes().map(|attribute| attribute.name());
        assert!(attributes.all(|name| name != "id" && !name.starts_with("on") && name != "href"));
    }
    document
}

#[test]
fn draws_only_plots_with_data() {
    assert_eq!(
        names(&drawn(everything())),
        [
            "latency_percentiles",
            "latency_histogram",
            "latency_over_time",
            "legs",
            "latency_against_cpu",
            "latency_against_rate",
            "contention",
            "bandwidth_analysis",
            "frame_phases",
            "storm",
            "stream",
        ]
    );
    let frames = Synthetic::empty().with(Workload::Frame, WaitMode::Irq, WaitMode::Irq, FRAME_1080P, 5);
    let of_latencies = ["latency_percentiles", "latency_histogram", "latency_over_time"];
    assert_eq!(names(&drawn(frames)), [&of_latencies[..], &["bandwidth_analysis", "frame_phases"]].concat());
    let rate = |rate_per_s| Conditions {
        rate_per_s: Some(rate_per_s),
        arrivals: Some(Arrivals::Fixed),
        ..Conditions::default()
    };
    let mut open = Synthetic::empty();
    for rate_per_s in [1_000, 5_000, 50_000] {
        for wait in [WaitMode::Poll, WaitMode::Irq] {
            open = under(open.with(Workload::Openloop, wait, wait, 64, 20), rate(rate_per_s));
        }
    }
    for row in &mut open.rows {
        row.corrected_ns = Some(if row.block < 4 { 7_000_000 } else { 9_000_000_000 });
        // Sent on time, or all scheduled before the first one.
        row.due_ns = if row.block < 4 { row.h2_ns } else { Some(0) };
    }
    let open = drawn(open);
    assert_eq!(names(&open), [&of_latencies[..], &["latency_against_rate"]].concat());
    // The highest sustained rate, by corrected latency.
    let text = "offered 5,000/s fixed, corrected latency: poll p50 7.00 ms";
    assert!(named(&open, "latency_percentiles").alt.contains(text), "{}", named(&open, "latency_percentiles").alt);
    assert_eq!(names(&drawn(Synthetic::empty().with_stream(64, 1_000))), ["stream"]);
    assert_eq!(names(&drawn(Synthetic::empty())), [""; 0]);
    assert_eq!(
        names(&drawn(Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 0))),
        [""; 0]
    );
}

#[test]
fn plots_show_the_values_of_the_result() {
    let all = drawn(Synthetic::both_modes());
    let percentiles = named(&all, "latency_percentiles");
    for text in ["poll p50: 248 ns", "irq p50: 60.0 µs", "irq, slowest of 40: 60.1 µs"] {
        assert!(percentiles.svg.contains(&format!("<title>{text}</title>")), "{text}");
    }
    assert!(!percentiles.svg.contains("p99:"), "40 samples have no p99");
    assert!(percentiles.alt.contains("irq p50 60.0 µs"), "{}", percentiles.alt);
    for plot in &all {
        assert!(
            plot.caption.contains("n\u{a0}=") && plot.environment.contains("under emulation (TCG)"),
            "{}",
            plot.caption
        );
        let document = parsed(&plot.svg);
        let foot = document.descendants().find(|node| node.attribute("class") == Some("caption")).expect("a caption");
        let lines: Vec<&str> =
            foot.descendants().filter(|node| node.has_tag_name("text")).filter_map(|t| t.text()).collect();
        let whole = format!("{} {}.", plot.caption, plot.environment);
        assert_eq!(lines.join(" "), whole, "the picture names its environment");
    }
    let legs = named(&all, "legs");
    assert!(legs.alt.contains("irq, total 60.0 µs: ring 50 ns, inject 30.0 µs, wake 4 ns"), "{}", legs.alt);
    let frames = &named(&all, "bandwidth_analysis").svg;
    assert!(frames.contains("all 10 ok"));
    assert!(frames.matches(">1080p</text>").count() >= 3, "a label of the size at its line ends");
    let phases = named(&all, "frame_phases");
    assert!(phases.alt.contains("1080p poll: write 500 µs"), "{}", phases.alt);
    // Twice 6,220,800 bytes at 17 GB/s.
    assert!(phases.alt.contains("copies at peak bandwidth 732 µs"), "{}", phases.alt);
}

#[test]
fn excludes_failed_operations_and_special_cells() {
    let plain = drawn(Synthetic::both_modes());
    let mut run = Synthetic::both_modes();
    for (block, conditions) in [
        (1, Conditions { aa_repeat: true, ..Conditions::default() }),
        (3, Conditions { cold: true, ..Conditions::default() }),
    ] {
        run.block(block).block.conditions = conditions;
    }
    let others = drawn(run);
    assert!(named(&plain, "latency_percentiles").svg.contains(">irq p50"));
    assert!(!named(&others, "latency_percentiles").svg.contains(">irq p50"));
    assert!(!named(&others, "bandwidth_analysis").alt.contains("irq"));

    let mut run = Synthetic::both_modes();
    let row = run.first_row(2);
    (row.status, row.end_to_end_ns) = (Status::HashMismatch, Some(9_000_000_000));
    let failed = drawn(run);
    let frames = named(&failed, "bandwidth_analysis");
    assert!(frames.svg.contains("9 of 10 ok: 1 hash_mismatch"), "the failure is shown");
    let slowest = |plots: &[Plot]| named(plots, "bandwidth_analysis").svg.contains("9 s");
    assert!(!slowest(&failed), "its duration is excluded");
}

#[test]
fn same_run_gives_same_bytes() {
    let (first, again) = (drawn(Synthetic::both_modes()), drawn(Synthetic::both_modes()));
    assert_eq!(first, again);
    let picture = |plots: &[Plot]| png(&named(plots, "latency_percentiles").svg).expect("drawn");
    let pixels = picture(&first);
    assert_eq!(pixels, picture(&again));
    assert_eq!(&pixels[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(pixels[16..20], 2_000_u32.to_be_bytes(), "two pixels for each of 1,000");
}

#[test]
fn png_rejects_invalid_svg() {
    assert!(png("<html/>").expect_err("invalid").to_string().contains("not valid SVG"));
    assert!(png("").is_err());
}

#[test]
fn plots_escape_untrusted_strings() {
    let hostile = "</text></svg><script>alert(1)</script>\"'&#0072b2;#0072b2 \u{1b}[2J\u{202e}\u{0}\u{ffff}";
    let mut run = Synthetic::both_modes();
    run.measured.guest.driver = hostile.into();
    let environment = Environment {
        accel: hostile.into(),
        cpu_model: Some(hostile.repeat(10_000)),
        driver: Some(hostile.into()),
        ..Environment::default()
    };
    let (mut result, run) = result_and_run(run, environment);
    for cell in &mut result.cells {
        cell.mode = hostile.repeat(1_000);
    }
    let all = plots(&result, &run);
    assert_eq!(all.len(), 7);
    for plot in &all {
        assert!(plot.svg.len() < 300_000, "{}: {}", plot.name, plot.svg.len());
        for svg in [plot.svg.clone(), themed(&plot.svg)] {
            let document = parsed(&svg);
            let texts = document.descendants().filter(|node| node.has_tag_name("text"));
            assert!(texts.filter_map(|text| text.text()).all(|text| !text.contains("var(")), "{}", plot.name);
        }
    }
}

#[test]
fn themed_plot_uses_css_colours_without_title() {
    for plot in drawn(everything()) {
        let svg = themed(&plot.svg);
        let document = parsed(&svg);
        let root = document.root_element();
        assert_eq!((root.attribute("role"), root.attribute("width")), (Some("img"), None));
        assert!(document.descendants().any(|node| node.has_tag_name("title") && node.text() == Some(&plot.title)));
        assert!(document.descendants().all(|node| node.attribute("class") != Some("caption")));
        assert!(!plot.svg.contains("var("), "the static SVG uses no CSS properties");
        for color in PALETTE {
            let bare = svg.matches(color.light).count();
            let fallback = svg.matches(&format!("var({},{})", color.property, color.light)).count();
            assert_eq!(bare, fallback, "{} in {}", color.property, plot.name);
        }
        assert!(svg.contains("var(--ink,") && svg.contains("var(--paper,"));
        let styles = document.descendants().filter_map(|node| node.attribute("style"));
        assert!(styles.filter(|style| style.contains('#')).all(|style| style.contains("var(--")), "{}", plot.name);
    }
}

#[test]
fn plot_size_is_bounded() {
    let mut run = Synthetic::empty();
    for _ in 0..10 {
        run = run.with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 2_000);
        run = run.with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 2_000);
    }
    run.first_row(11).rtt_ns = Some(77_700_000);
    let all = drawn(run);
    for plot in &all {
        assert!(plot.svg.len() < 200_000, "{}: {}", plot.name, plot.svg.len());
    }
    assert!(named(&all, "latency_percentiles").svg.contains("irq, slowest of 20,000: 77.7 ms"), "the slowest is drawn");
}

#[test]
fn writes_svg_and_png_and_removes_stale_plots() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let folder = dir.path().join("plots");
    fs::create_dir(&folder).expect("created");
    for name in ["storm.svg", "latency_ecdf.png"] {
        fs::write(folder.join(name), "old").expect("written");
    }
    fs::write(folder.join("mine.svg"), "foreign").expect("written");
    let all = drawn(Synthetic::empty().with_stream(64, 1_000));
    write_into(dir.path(), &all).expect("written");
    let mut left: Vec<_> =
        fs::read_dir(&folder).expect("a directory").map(|entry| entry.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["mine.svg", "stream.png", "stream.svg"]);
    assert_eq!(fs::read_to_string(folder.join("stream.svg")).expect("written"), all[0].svg);
    assert_eq!(fs::read(folder.join("stream.png")).expect("written"), png(&all[0].svg).expect("drawn"));

    let nowhere = dir.path().join("a file");
    fs::write(&nowhere, "").expect("written");
    let error = write_into(&nowhere, &all).expect_err("not a directory").to_string();
    assert!(error.starts_with("cannot write"), "{error}");
}

fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(i64::MAX as u64), 1_u64..1_000_000_000, Just(500)]
}

prop_compose! {
    fn any_block()(
        workload in prop::sample::select(Workload::ALL.to_vec()),
        waits in (prop::sample::select(WAITS.to_vec()), prop::sample::select(WAITS.to_vec())),
        size_bytes in prop_oneof![Just(0), Just(64), Just(FRAME_4K), Just(u64::MAX)],
        count in 0_u64..6,
        times in prop::collection::vec(any_time(), 1..6),
        conditions in (prop::option::of(any::<u32>()), any::<bool>(), prop::option::of(any_time()), prop::option::of(any_time())),
        stable in any::<bool>(),
    ) -> (Workload, (WaitMode, WaitMode), u64, u64, Vec<u64>, Conditions, bool) {
        let (busy_threads, shared_core, gap_ns, rate_per_s) = conditions;
        let arrivals = (workload == Workload::Openloop).then_some(Arrivals::Poisson);
        let slots = busy_threads.filter(|_| workload == Workload::Stream);
        let conditions = Conditions { busy_threads, shared_core, gap_ns, rate_per_s, arrivals, slots, ..Conditions::default() };
        (workload, waits, size_bytes, count, times, conditions, stable)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn plots_of_any_run_are_valid(blocks in prop::collection::vec(any_block(), 0..8)) {
        let mut synthetic = Synthetic::empty();
        for (workload, (host, guest), size, count, times, conditions, stable) in blocks {
            let from = synthetic.rows.len();
            // The times of the rows are replaced, so the payload size does not matter to them.
            synthetic = under(synthetic.with(workload, host, guest, size.min(FRAME_4K), count), conditions);
            let time = |at: usize| times[at % times.len()];
            for (at, row) in synthetic.rows[from..].iter_mut().enumerate() {
                let leg = i64::try_from(time(at + 1)).unwrap_or(i64::MIN);
                (row.rtt_ns, row.end_to_end_ns, row.corrected_ns) = (Some(time(at)), Some(time(at)), Some(time(at + 2)));
                (row.notify_ns, row.answer_ns, row.inject_ns) = (Some(leg), Some(leg), Some(leg));
                (row.write_ns, row.ring_ns, row.g5_ns) = (Some(time(at)), Some(time(at + 1)), Some(time(at + 3)));
            }
            let block = synthetic.measured.blocks.last_mut().expect("just added");
            block.block.size_bytes = size;
            (block.wall_ns, block.counters.rings, block.counters.interrupts) = (time(0), time(1), Some(time(2)));
            (block.cpu.host_ns, block.clock.after_ns) = (time(3), if stable { 1_000.0 } else { 1e18 });
            block.traffic = Some(Traffic { sent: time(0), seen: time(1), last_seen: true, span_ns: time(2), full: 0 });
        }
        for ceiling in &mut synthetic.measured.ceilings {
            (ceiling.host.heap_to_region, ceiling.guest.region_to_heap) = (f64::NAN, 0.0);
        }
        for plot in drawn(synthetic) {
            prop_assert!(plot.svg.len() < 300_000, "{}: {}", plot.name, plot.svg.len());
            parsed(&plot.svg);
            prop_assert!(!plot.svg.contains("NaN") && !plot.svg.contains("inf\""), "{}", plot.name);
        }
    }
}
