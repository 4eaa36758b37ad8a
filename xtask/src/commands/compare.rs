//! `cargo xtask compare`: compares runs, with a gate for CI.

use std::path::{Path, PathBuf};

use clap::Args;
use report::evaluate::compare_runs::{Limits, RunFolder, compare};
use report::render::compare_runs::text;

use crate::exit_status::usage;
use crate::ui;

/// Compares runs with the first one, cell by cell, with intervals
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  cargo xtask compare results/20260801-090000-poll-irq results/latest
  cargo xtask compare base again changed             `again` shows the noise between equal runs
  cargo xtask compare base changed --fail-above 10%  status 1 if a p50 is slower by more
  cargo xtask compare base changed --fail-above 10% --fail-above-p99 25%
  cargo xtask compare base changed --json | jq '.comparisons[0].cells[] | [.mode, .word]'

Differences of machines, programs and settings come first. Scheduled messages are compared by
corrected latency, others by round trips. A cell is faster or slower only if the 95 % interval of
its ratio lies outside the noise floor; without a noise floor it is inconclusive. A limit is
exceeded only if the whole interval lies above it and above the noise floor: noise alone does not
fail the gate. Inconclusive cells are listed with the reason.

Exit status: 0 ok, 1 a limit is exceeded or a run cannot be read; with a limit also if a run
failed its self-checks or no cell can be compared, 2 wrong usage: not a run's directory, bad limit.")]
pub(crate) struct CompareArgs {
    /// Folders of runs, the baseline first
    #[arg(required = true, num_args = 2.., value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Fail if a cell's median latency, or a stream's time per message, is significantly slower by more than this, such as
    /// 10%. Inconclusive cells, such as a stream of fewer than four blocks, are listed and do not fail
    #[arg(long, value_name = "PERCENT", value_parser = percent, allow_hyphen_values = true)]
    fail_above: Option<f64>,
    /// The same for the 99th percentile, where there are enough samples
    #[arg(long, value_name = "PERCENT", value_parser = percent, allow_hyphen_values = true)]
    fail_above_p99: Option<f64>,
    /// One JSON document on stdout instead of the tables
    #[arg(long)]
    json: bool,
}

/// Prints the comparison. Returns whether every limit is kept.
pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<bool> {
    let runs = args.dirs.iter().map(|dir| open(dir)).collect::<anyhow::Result<Vec<_>>>()?;
    let limits = Limits { p50: args.fail_above, p99: args.fail_above_p99 };
    let has_limits = limits.p50.is_some() || limits.p99.is_some();
    let across = compare(&runs, has_limits.then_some(&limits));
    if args.json {
        ui::print_json(&across)?;
    } else {
        ui::print(&text(&across))?;
    }
    Ok(across.gate.is_none_or(|gate| gate.passed))
}

/// A wrong directory is wrong usage; an unreadable run is a failure.
fn open(dir: &Path) -> anyhow::Result<RunFolder> {
    RunFolder::open(dir).map_err(|error| if error.is_wrong_name() { usage(error) } else { error.into() })
}

/// Maximum limit, in per cent.
const MAX_PERCENT: f64 = 100_000.0;

/// Parses `10%`, `2.5%` or `10` into a ratio. Refuses signs, exponents and `nan`.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let is_plain =
        number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let percent = number.parse::<f64>().ok().filter(|percent| is_plain && *percent <= MAX_PERCENT);
    percent
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("give per cent from 0 to {MAX_PERCENT}, such as 10% or 2.5%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_percentages() {
        for (text, ratio) in [("10%", 0.1), ("10", 0.1), ("2.5 %", 0.025), ("0%", 0.0), ("250%", 2.5)] {
            let parsed = percent(text).unwrap();
            assert!((parsed - ratio).abs() < 1e-12, "{text}: {parsed}");
        }
        let nonsense = [
            "", " ", "%", "ten", "-5", "-1%", "+5%", "nan", "inf%", "10%%x", "10%%%", "1e300", "1e1", "100001%", ".5",
            "1.2.3", "10 % %", "0x10",
        ];
        for nonsense in nonsense {
            assert!(percent(nonsense).is_err(), "{nonsense}");
        }
    }
}
