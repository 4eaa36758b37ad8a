//! The page as a browser and a reader's tools take it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use bench_model::{WaitMode, Workload};
use report::io::run::Run;
use report::render::html::page;
use report::render::plots::plots;
use report::render::report_doc::{Document, Folder};

use crate::render::html_parser::tags;
use crate::run::{folder, rendered};
use crate::synthetic::Synthetic;

/// Elements that have no end.
const VOID: [&str; 7] = ["!DOCTYPE", "meta", "input", "br", "link", "hr", "img"];

/// Without a folder, so that no plot has to become pixels.
fn page_of(run: &Synthetic) -> String {
    let result = run.clone().result();
    let run = Run::new(run.measured.clone(), run.rows.clone());
    let folder = Folder::default();
    page(&Document::of(&result, &run, &folder), &plots(&result, &run), &folder).into_string()
}

/// The pages of [`runs`], made once.
static PAGES: LazyLock<Vec<String>> = LazyLock::new(|| runs().iter().map(page_of).collect());

fn runs() -> Vec<Synthetic> {
    let mut cut_off = Synthetic::both_modes();
    cut_off.measured.blocks.pop();
    cut_off.measured.aborted = Some("stopped".to_owned());
    vec![
        Synthetic::both_modes().with_storm(100).with_stream(64, 10),
        Synthetic::empty(),
        Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Poll, 64, 1),
        cut_off,
    ]
}

#[test]
fn elements_are_closed_in_the_order_in_which_they_were_opened() {
    for page in PAGES.iter() {
        let mut open = Vec::new();
        for tag in tags(page) {
            match tag.name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "{:?}", tag.attributes),
                None if VOID.contains(&tag.name) || tag.attributes.ends_with('/') => {}
                // What they hold is no markup, and is passed over up to their end.
                None if matches!(tag.name, "style" | "script") => {}
                None => open.push(tag.name),
            }
        }
        assert!(open.is_empty(), "left open: {open:?}");
    }
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    for page in PAGES.iter() {
        let without_names = page.replace("http://www.w3.org/2000/svg", "");
        for word in ["http:", "https:", " src=", "@import", "url(", "<link", "<iframe", "<object", " onclick"] {
            assert!(!without_names.contains(word), "{word}");
        }
        assert!(
            page.contains("Content-Security-Policy")
                && (page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"))
        );
        let targets = tags(page).iter().filter_map(|tag| tag.attribute("href").map(str::to_owned)).collect::<Vec<_>>();
        assert!(targets.iter().all(|href| href.starts_with('#') || href.starts_with("./")), "{targets:?}");
    }
}

#[test]
fn headings_go_down_one_level_at_a_time_below_a_single_first_one() {
    for page in PAGES.iter() {
        let names: Vec<&str> = tags(page).iter().map(|tag| tag.name).collect();
        let levels: Vec<u32> =
            names.iter().filter_map(|name| name.strip_prefix('h')).filter_map(|level| level.parse().ok()).collect();
        assert_eq!(levels.iter().filter(|&&level| level == 1).count(), 1);
        assert_eq!(levels[0], 1);
        assert!(levels.windows(2).all(|two| two[1] <= two[0] + 1), "{levels:?}");
    }
}

#[test]
fn tables_have_captions_and_their_heads_say_of_what() {
    let page = &PAGES[0];
    let all = tags(page);
    let count = |name: &str| all.iter().filter(|tag| tag.name == name).count();
    assert!(count("table") > 8);
    assert_eq!(count("table"), count("caption"));
    assert!(all.iter().filter(|tag| tag.name == "th").all(|tag| tag.attribute("scope").is_some()));
}

#[test]
fn every_link_and_label_has_its_target_and_no_name_stands_twice() {
    for page in PAGES.iter() {
        let all = tags(page);
        let ids: Vec<&str> = all.iter().filter_map(|tag| tag.attribute("id")).collect();
        let known: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), known.len(), "{ids:?}");
        for tag in &all {
            for target in [tag.attribute("href"), tag.attribute("aria-labelledby")].into_iter().flatten() {
                let target = target.strip_prefix('#').unwrap_or(target);
                assert!(target.starts_with("./") || known.contains(target), "{target}");
            }
        }
    }
}

#[test]
fn only_files_that_are_there_are_linked() {
    let dir = folder(&Synthetic::both_modes());
    fs::write(dir.path().join("qemu.log"), "").expect("written");
    rendered(dir.path()).expect("rendered");
    let page = fs::read_to_string(dir.path().join("report.html")).expect("written");
    assert!(!page.contains(&dir.path().display().to_string()), "no path of the machine that renders");
    let linked: Vec<&str> = page.split("href=\"./").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
    assert!(linked.contains(&"result.json") && linked.contains(&"qemu.log"), "{linked:?}");
    assert!(linked.iter().all(|name| dir.path().join(name).is_file()), "{linked:?}");
}

#[test]
fn the_answer_comes_first_and_each_mode_can_be_hidden() {
    let page = &PAGES[0];
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not there"));
    assert!(at("Round-trip p50: poll 248 ns, irq 60.0 µs.") < at("<table"));
    for id in ["show-mode-poll", "show-mode-irq"] {
        assert!(at(&format!("id=\"{id}\"")) > at(&format!("#{id}:not(:checked)")), "box and rule: {id}");
    }
    let alone = page_of(&Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 1));
    assert!(!alone.contains("id=\"show-mode-irq\""), "a single mode is not to be hidden");
}

#[test]
fn navigation_leads_to_results_and_plots_by_their_headings() {
    let page = &PAGES[0];
    let (_, nav) = page.split_once("<nav").expect("a navigation");
    let (nav, _) = nav.split_once("</nav>").expect("which ends");
    for (id, name) in [("results", "Results"), ("plots", "Plots"), ("files", "Files")] {
        let is_there = page.contains(&format!("<h2 id=\"{id}\">{name}</h2>"));
        assert_eq!(is_there, nav.contains(&format!("<a href=\"#{id}\">{name}</a>")), "{nav}");
        assert_eq!(is_there, id != "files", "a page without a folder lists no files");
    }
}

#[test]
fn warnings_stand_next_to_the_headline() {
    let page = &PAGES[0];
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not there"));
    assert!(at("class=\"badge warned\" href=\"#warnings\"") < at("id=\"answer\""));
    assert!(at("class=\"warned\"") < at("<nav") && at("the guest ran under emulation") < at("<nav"));
    let mut quiet = Synthetic::both_modes().result();
    quiet.warnings.clear();
    let run = Synthetic::both_modes();
    let run = Run::new(run.measured, run.rows);
    let document = Document::of(&quiet, &run, &Folder::default());
    assert!(!page_text(&document).contains("class=\"warned\""));
}

fn page_text(document: &Document) -> String {
    page(document, &[], &Folder::default()).into_string()
}

#[test]
fn inconclusive_results_share_one_line_per_reason() {
    let page = &PAGES[0];
    assert_eq!(page.matches("<p class=\"inconclusive\">").count(), 1, "one block of each mode: one reason for all");
    let (_, line) = page.split_once("<p class=\"inconclusive\">").expect("a line");
    let (line, _) = line.split_once("</p>").expect("which ends");
    assert!(line.starts_with("Inconclusive: 64 B messages, back to back; 1080p frames, verified: "), "{line}");
    assert!(line.contains("(use --full)"), "{line}");
}

#[test]
fn environment_is_shown_once_for_all_plots() {
    let page = &PAGES[0];
    let (_, rest) = page.split_once("id=\"plots\"").expect("plots");
    let (plots, _) = rest.split_once("</section>").expect("which end");
    let (before, figures) = plots.split_once("<figure").expect("figures");
    assert!(before.contains("under emulation (TCG)"), "{before}");
    assert!(!figures.contains("under emulation (TCG)"), "captions do not repeat it");
}
