//! The files in a run's directory, and the number of planned blocks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::io::read::read_document;

/// The name of the plan in a run's directory.
const PLAN_FILE: &str = "plan.json";

/// The files that the report links, and their content.
const FILES: [(&str, &str); 15] = [
    ("result.json", "all metrics, the environment and the self-checks, for programs"),
    ("performance_report.txt", "short text report, for a mail"),
    ("samples.csv", "a row per measured operation with all timestamps and legs in nanoseconds"),
    ("latency_results.csv", "a row per round trip"),
    ("bandwidth_results.csv", "a row per frame"),
    ("cpu.csv", "CPU time by thread and block"),
    ("run.hlog", "latency histograms over time (HdrHistogram log)"),
    ("measured.json", "counters of the initiator, block by block"),
    ("measured.jsonl", "the same, one line per block, written when the block was finished"),
    ("plan.json", "the planned blocks"),
    ("commands.sh", "commands that repeat the run by hand"),
    ("console.log", "console of the guest"),
    ("qemu.log", "log of QEMU"),
    ("server.log", "log of the server"),
    ("host-peer.log", "log of the initiator"),
];

/// The files of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFiles {
    /// File names relative to the directory, and their content.
    pub files: Vec<(String, &'static str)>,
    /// Number of planned blocks. `None` without a readable plan.
    pub planned_blocks: Option<usize>,
}

/// The needed part of a plan; the rest may be of another version.
#[derive(Deserialize)]
struct PlannedBlocks {
    blocks: Vec<serde::de::IgnoredAny>,
}

impl RunFiles {
    /// Scans the directory. Unreadable files are omitted.
    #[must_use]
    pub fn scan(dir: &Path) -> Self {
        let plan = read_document(&dir.join(PLAN_FILE)).ok();
        let plan = plan.and_then(|text| serde_json::from_slice::<PlannedBlocks>(&text).ok());
        let present = FILES.into_iter().filter(|(name, _)| dir.join(name).is_file());
        let mut files: Vec<(String, &'static str)> = present.map(|(name, about)| (name.to_owned(), about)).collect();
        files.extend(names(dir, "", ".hgrm").into_iter().map(|name| (name, "percentiles (HdrHistogram)")));
        for kind in [".svg", ".png"] {
            files.extend(names(&dir.join("plots"), "plots/", kind).into_iter().map(|name| (name, "plot")));
        }
        Self { files, planned_blocks: plan.map(|plan| plan.blocks.len()) }
    }
}

/// Sorted: the report must not depend on the directory order.
fn names(dir: &Path, prefix: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.ends_with(ending)).map(|name| format!("{prefix}{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_known_files_only() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["samples.csv", "diary.txt", "b.hgrm", "a.hgrm"] {
            fs::write(dir.path().join(name), "").expect("written");
        }
        fs::write(dir.path().join(PLAN_FILE), r#"{"blocks": [{}, {}], "more": 1}"#).expect("written");
        let files = RunFiles::scan(dir.path());
        let names: Vec<&str> = files.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["samples.csv", "plan.json", "a.hgrm", "b.hgrm"]);
        assert_eq!(files.planned_blocks, Some(2));
    }

    #[test]
    fn ignores_an_invalid_plan() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join(PLAN_FILE), "{").expect("written");
        assert_eq!(RunFiles::scan(dir.path()).planned_blocks, None);
        assert_eq!(RunFiles::scan(&dir.path().join("nowhere")), RunFiles::default());
    }
}
