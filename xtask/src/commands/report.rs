//! `cargo xtask report`: renders a run again from its raw data.

use std::path::{Path, PathBuf};

use clap::Args;
use report::result::Warning;
use report::{ReportError, Rerendered};

use crate::exit_status::usage;
use crate::ui;
use crate::ui::display_path;
use crate::workspace::workspace_root;

/// Renders a run again from its raw data
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  cargo xtask report                         the newest run, results/latest
  cargo xtask report results/20250101-120000-poll-irq
  cargo xtask report run1 --json | jq .findings
  cargo xtask report run1 --text-full | less    every table as text

report.html is the page, performance_report.txt a short text report (up to 120 lines) to paste into
a mail. Environment and configuration stay as result.json recorded them. An interrupted run is
rendered up to its last block, and the report lists what is missing. A damaged result.json is
written again, and the damaged one kept as result.json.damaged. The same input gives the same
files, byte by byte. The summary has up to 100 columns, or $COLUMNS.

Exit status: 0 every self-check passed, 1 one failed or the directory cannot be rendered,
2 not a run's directory.")]
pub(crate) struct ReportArgs {
    /// Directory of the run [default: results/latest]
    dir: Option<PathBuf>,
    /// result.json on stdout instead of the summary
    #[arg(long)]
    json: bool,
    /// The full text report on stdout instead of the summary: every table of the page
    #[arg(long, conflicts_with = "json")]
    text_full: bool,
}

/// Renders the run. Returns whether every self-check passed.
pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<bool> {
    let latest = || workspace_root().join("results").join("latest");
    let dir = args.dir.clone().unwrap_or_else(latest);
    let rendered = report::rerender(&dir).map_err(|error| match error {
        ReportError::NoFolder { .. } if args.dir.is_none() => {
            usage("no run yet: run `cargo xtask bench`, or specify the directory of a run")
        }
        error => explain(&dir, error),
    });
    let Rerendered { result, run, repaired } = rendered?;
    if let Some(Warning { message, hint }) = repaired {
        crate::ui::status(&format!("warning: {message}. Hint: {hint}"));
    }
    if args.text_full {
        ui::print(&report::render::text::full(&result, &run, &dir))?;
    } else {
        print(&dir, &result, args.json)?;
    }
    Ok(result.passed())
}

/// Prints the result of a run: the summary, and the report's path as the last line. With `json` only the document is on
/// stdout.
pub(crate) fn print(dir: &Path, result: &report::RunResult, json: bool) -> anyhow::Result<()> {
    let page = display_path(&dir.join(report::io::file_names::HTML_FILE));
    if json {
        ui::print_json(result)?;
        crate::ui::status(&format!("report: {page}"));
    } else {
        ui::print_styled(&report::styled_summary_within(result, columns()))?;
        ui::print(&format!("{page}\n"))?;
    }
    Ok(())
}

/// Default width of the summary.
const COLUMNS: usize = 100;

/// `$COLUMNS` if it is exported, also in a pipe.
fn columns() -> usize {
    columns_of(std::env::var("COLUMNS").ok().as_deref())
}

fn columns_of(value: Option<&str>) -> usize {
    value.and_then(|value| value.trim().parse().ok()).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// A wrong directory is wrong usage. If it contains runs, the message lists them.
fn explain(dir: &Path, error: ReportError) -> anyhow::Error {
    match error {
        ReportError::NoFolder { .. } => usage(error),
        ReportError::NotARun { .. } => {
            let runs = runs_below(dir);
            if runs.is_empty() {
                usage(error)
            } else {
                usage(format!(
                    "{} is not the directory of a run, but contains runs: {}; specify one",
                    dir.display(),
                    runs.join(", ")
                ))
            }
        }
        other => other.into(),
    }
}

/// The runs in a directory, for instance those of a comparison of drivers.
fn runs_below(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_run = |path: &PathBuf| path.join("measured.json").is_file() || path.join("plan.json").is_file();
    let mut runs: Vec<String> = entries.filter(is_run).map(|path| display_path(&path)).collect();
    runs.sort();
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_status::Failure;

    fn refused(dir: &Path) -> String {
        let error = run(&ReportArgs { dir: Some(dir.to_owned()), json: false, text_full: false }).unwrap_err();
        assert!(error.is::<Failure>(), "wrong usage: {error:#}");
        error.to_string()
    }

    #[test]
    fn columns_set_the_width_of_the_summary() {
        assert_eq!(
            [None, Some("40"), Some(" 80 "), Some("x"), Some("0"), Some("")].map(columns_of),
            [100, 40, 80, 100, 100, 100]
        );
    }

    #[test]
    fn help_fits_a_hundred_columns() {
        #[derive(clap::Parser)]
        struct TestCli {
            #[command(flatten)]
            _args: ReportArgs,
        }
        use clap::CommandFactory;
        let help = TestCli::command().term_width(100).render_long_help().to_string();
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        assert!(help.contains("--text-full"), "{help}");
    }

    #[test]
    fn wrong_directory_is_wrong_usage_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let nowhere = refused(&dir.path().join("nowhere"));
        assert!(nowhere.contains("nowhere is not a directory; name the directory of a run"), "{nowhere}");
        let empty = refused(dir.path());
        assert!(empty.contains("neither measured.json nor plan.json"), "{empty}");
    }

    #[test]
    fn directory_with_runs_lists_them() {
        let dir = tempfile::tempdir().unwrap();
        for driver in ["vfio-pci", "igb_uio"] {
            std::fs::create_dir(dir.path().join(driver)).unwrap();
            std::fs::write(dir.path().join(driver).join("plan.json"), "{}").unwrap();
        }
        let error = refused(dir.path());
        let (first, second) = (error.find("igb_uio").unwrap(), error.find("vfio-pci").unwrap());
        assert!(first < second && error.ends_with("specify one"), "{error}");
    }
}
