//! `cargo xtask compare`: runs beside each other, and a gate for CI.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use report::across::{Limits, RunFolder, compare, text};

use crate::out;

/// Compares runs with the first of them, cell by cell, with intervals
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  cargo xtask compare results/20260801-090000-poll-irq results/latest
  cargo xtask compare base again changed             `again` shows how far equal runs lie apart
  cargo xtask compare base changed --fail-above 10%  status 1 if a p50 is slower by more
  cargo xtask compare base changed --fail-above 10% --fail-above-p99 25%
  cargo xtask compare base changed --json | jq '.comparisons[0].cells[] | [.mode, .word]'

What differs between machines, programs and settings comes first. A cell is called faster or
slower only where the whole interval of its ratio lies beyond what equal blocks differ by. A
limit is broken only where the whole interval lies beyond it as well: noise alone fails no gate.

Exit status: 0 ok, 1 a limit is broken or a folder cannot be read; with a limit also where a
run failed its own self-checks or there is nothing to judge, 2 wrong usage.")]
pub(crate) struct CompareArgs {
    /// Folders of runs, the baseline first
    #[arg(required = true, num_args = 2.., value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Fail if a cell's median latency, or a stream's time per message, is proved slower by more than this, such as 10%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_above: Option<f64>,
    /// The same for the 99th percentile, where there are enough samples
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_above_p99: Option<f64>,
    /// One JSON document on stdout instead of the tables
    #[arg(long)]
    json: bool,
}

/// Prints the comparison; whether every limit was kept.
pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<bool> {
    let runs = args.dirs.iter().map(|dir| RunFolder::open(dir)).collect::<Result<Vec<_>, _>>()?;
    let limits = Limits { p50: args.fail_above, p99: args.fail_above_p99 };
    let has_limits = limits.p50.is_some() || limits.p99.is_some();
    let across = compare(&runs, has_limits.then_some(&limits));
    if args.json {
        let document = serde_json::to_string_pretty(&across).context("the comparison has no JSON form")?;
        out::print(&(document + "\n"))?;
    } else {
        out::print(&text(&across))?;
    }
    Ok(across.gate.is_none_or(|gate| gate.passed))
}

/// `10%`, `2.5%` or `10` as a share.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    let percent: f64 = number.parse().map_err(|_| "give a number of per cent, such as 10%".to_owned())?;
    if percent.is_finite() && percent >= 0.0 {
        Ok(percent / 100.0)
    } else {
        Err("give a number of per cent that is not negative, such as 10%".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_cent_are_shares() {
        for (text, share) in [("10%", 0.1), ("10", 0.1), ("2.5 %", 0.025), ("0%", 0.0), ("250%", 2.5)] {
            let read = percent(text).unwrap();
            assert!((read - share).abs() < 1e-12, "{text}: {read}");
        }
        for nonsense in ["", "%", "ten", "-1%", "nan", "inf%", "10%%x"] {
            assert!(percent(nonsense).is_err(), "{nonsense}");
        }
    }
}
