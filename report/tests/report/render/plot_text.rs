//! What is written in a plot: where every text lies, that none is cut off and each point has its name.

use std::sync::Arc;

use bench_model::{Conditions, WaitMode, Workload};
use resvg::usvg::{Group, Node, Options, Rect, TextChunk, Tree, fontdb};

use crate::render::plots::{WAITS, drawn, everything, named, parsed, under};
use crate::synthetic::Synthetic;

/// Where every text of a plot really is, as it is set.
fn texts(svg: &str) -> (Vec<(String, Rect)>, f32) {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    let tree = Tree::from_str(svg, &Options { fontdb: Arc::new(fonts), ..Options::default() }).expect("an SVG");
    let mut all = Vec::new();
    collect(tree.root(), &mut all);
    (all, tree.size().height())
}

fn collect(group: &Group, all: &mut Vec<(String, Rect)>) {
    for node in group.children() {
        match node {
            Node::Group(inner) => collect(inner, all),
            Node::Text(text) => {
                let said = text.chunks().iter().map(TextChunk::text).collect();
                all.push((said, text.abs_bounding_box()));
            }
            _ => {}
        }
    }
}

fn touch(one: &Rect, other: &Rect) -> bool {
    one.left() < other.right() && other.left() < one.right() && one.top() < other.bottom() && other.top() < one.bottom()
}

/// Of every cell of messages the last operation takes a thousand times as long.
fn with_a_far_tail(mut run: Synthetic) -> Synthetic {
    let last: Vec<usize> = (0..run.rows.len())
        .filter(|&at| run.rows.get(at + 1).is_none_or(|next| next.block != run.rows[at].block))
        .collect();
    for at in last {
        let row = &mut run.rows[at];
        (row.rtt_ns, row.corrected_ns) = (row.rtt_ns.map(|ns| ns * 1_000), row.corrected_ns.map(|ns| ns * 1_000));
    }
    run
}

#[test]
fn what_is_said_of_the_tail_stands_above_the_bars() {
    let plots = drawn(with_a_far_tail(everything()));
    let svg = &named(&plots, "latency_histogram").svg;
    let (all, _) = texts(svg);
    let notes: Vec<Rect> = all.iter().filter(|(said, _)| said.contains("% beyond")).map(|(_, place)| *place).collect();
    assert_eq!(notes.len(), 18, "one in each panel");
    let document = parsed(svg);
    let bars: Vec<Rect> = document
        .descendants()
        .filter(|node| node.has_tag_name("rect") && node.has_children())
        .map(|bar| {
            let [x, y, wide, high] = ["x", "y", "width", "height"].map(|name| bar.attribute(name)?.parse::<f32>().ok());
            let [x, y, wide, high] = [x, y, wide, high].map(|value| value.expect("a number"));
            Rect::from_xywh(x, y, wide, high).expect("a bar")
        })
        .collect();
    assert!(bars.len() > 18);
    for note in notes {
        assert!(bars.iter().all(|bar| !touch(bar, &note)), "{note:?}");
    }
}

#[test]
fn one_operation_is_one_bar_and_counted_as_one() {
    let mut run = Synthetic::empty().with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 1);
    run.rows[0].rtt_ns = Some(10_000);
    let plots = drawn(run);
    let bars = parsed(&named(&plots, "latency_histogram").svg)
        .descendants()
        .filter(|node| node.has_tag_name("rect") && node.has_children())
        .count();
    assert_eq!(bars, 1);
    assert!(!named(&plots, "latency_over_time").svg.contains(">0.1</text>"));
}

#[test]
fn every_point_of_nine_ways_has_its_name() {
    let plots = drawn(everything());
    let svg = &named(&plots, "latency_against_cpu").svg;
    for host in WAITS {
        for guest in WAITS {
            let mode = if host == guest { host.to_string() } else { format!("{host}/{guest}") };
            assert!(svg.contains(&format!(">{mode}, paced</text>")), "{mode}, paced");
            let legend = if mode == "poll/irq" { 1 } else { 2 };
            assert_eq!(
                svg.matches(&format!(">{mode}</text>")).count(),
                legend,
                "{mode}: in the legend and at its point"
            );
        }
    }
}

#[test]
fn a_caption_of_many_lines_still_says_where_it_was_measured() {
    for plot in drawn(everything()) {
        let document = parsed(&plot.svg);
        let foot = document.descendants().find(|node| node.attribute("class") == Some("caption")).expect("a caption");
        let last = foot.descendants().filter(|node| node.has_tag_name("text")).filter_map(|t| t.text()).next_back();
        assert!(last.is_some_and(|line| line.ends_with("(TCG).")), "{}: {last:?}", plot.name);
    }
}

#[test]
fn no_heading_beside_busy_threads_is_cut() {
    let mut run = Synthetic::empty();
    for threads in [0, 3] {
        let beside = Conditions { busy_threads: Some(threads), gap_ns: Some(2_000_000), ..Conditions::default() };
        run = under(run.with(Workload::Contention, WaitMode::Irq, WaitMode::Irq, 64, 8), beside);
    }
    for row in &mut run.rows {
        row.corrected_ns = row.rtt_ns;
    }
    for plot in drawn(run) {
        assert!(!plot.svg.contains("…</text>"), "{}", plot.name);
    }
}

#[test]
fn no_text_lies_on_another_or_beyond_the_edge() {
    let clash = r#"<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99" font-family="DejaVu Sans">
        <text x="9" y="20" font-size="12">one</text><text x="20" y="24" font-size="12">two</text></svg>"#;
    let (both, _) = texts(clash);
    assert!(touch(&both[0].1, &both[1].1), "what touches is seen");

    let runs = [Synthetic::both_modes(), everything(), with_a_far_tail(everything())];
    for plot in runs.into_iter().flat_map(drawn) {
        let (all, height) = texts(&plot.svg);
        assert!(all.len() > 5, "{}", plot.name);
        for (at, (said, place)) in all.iter().enumerate() {
            let inside =
                place.left() >= 0.0 && place.right() <= 1_000.0 && place.top() >= 0.0 && place.bottom() <= height;
            assert!(inside, "{}: {said} at {place:?}", plot.name);
            for (other, there) in &all[at + 1..] {
                assert!(!touch(place, there), "{}: {said} and {other}, {place:?} {there:?}", plot.name);
            }
        }
    }
}
