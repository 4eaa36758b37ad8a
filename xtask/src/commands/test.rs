//! `cargo xtask test`: runs the tests, as CI does.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;

use crate::host_programs;
use crate::provision::host::{self, tool::STRACE};
use crate::provision::host_packages;
use crate::provision::{self, InstallPolicy};
use crate::signals::StopFlag;
use crate::workspace::workspace_root;

/// Runs the tests, as CI does: format, lints, unit, property, protocol and VM tests
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  cargo xtask test            what CI runs
  cargo xtask test --quick    without the tests that start a guest
  cargo xtask test --long     with the VM tests that are too long for CI
  cargo xtask test --reach    bench --quick on each kernel and QEMU of the package lists
  cargo xtask test --reach -- --workload pingpong,paced       the same with fewer workloads

Durations on two cores under emulation, without the first build: format, lints and documentation
2 minutes, unit, property and protocol tests 3 minutes, VM tests 15 minutes, with --long 5 minutes
more, --reach 5 minutes for each combination.

Exit status: 0 all passed, 1 something failed, 3 a dependency is missing.")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct TestArgs {
    /// Leave out the tests that start a guest
    #[arg(long)]
    quick: bool,
    /// Also run the VM tests that are too long for CI
    #[arg(long, conflicts_with = "quick")]
    long: bool,
    /// Install missing packages without asking
    #[arg(long)]
    yes: bool,
    /// Instead of the tests, run bench --quick on every kernel and QEMU that the package lists offer: the newest of each
    /// series. They are unpacked below the target directory; nothing is installed
    #[arg(long, conflicts_with_all = ["quick", "long"])]
    reach: bool,
    /// With --reach: more arguments for bench
    #[arg(last = true, requires = "reach", value_name = "BENCH_ARGS")]
    bench: Vec<OsString>,
}

/// Runs the tests in order, up to the first that fails. With `--reach`: whether all benchmarks passed.
pub(crate) fn run(args: &TestArgs, stop: &StopFlag) -> anyhow::Result<bool> {
    if args.reach {
        return crate::commands::reach::run(InstallPolicy::new(args.yes), &args.bench, stop);
    }
    step("format", cargo(&["fmt", "--all", "--check"]))?;
    step("lints", cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--quiet", "--document-private-items"]);
    doc.env("RUSTDOCFLAGS", "--deny warnings");
    step("documentation", doc)?;
    step("unit, property and protocol tests", cargo(&["test", "--workspace", "--quiet"]))?;
    if args.quick {
        crate::ui::status("-- VM tests skipped (--quick)");
        return Ok(true);
    }
    let options = provision::Options { kernel: None, shell: true, driver: None, install: InstallPolicy::new(args.yes) };
    let progress = |line: &str| crate::ui::status(&format!("   {line}"));
    host_packages::ensure(&host::detect(), &[STRACE], options.install, &progress)?;
    provision::prepare(&options, &progress)?;
    // Once here, or the first VM test times out in the build.
    host_programs::build(&progress)?;
    // With other features than those of the whole workspace, cargo would build everything again.
    let vm_tests = |arguments: &[&str]| {
        let mut command = cargo(&["test", "--workspace", "--test", "vm", "--", "--ignored", "--test-threads"]);
        command.args(arguments);
        command
    };
    let (failures, drivers) = ("bench::failures::", "guest::drivers::");
    // The others judge measurements, so nothing runs at the same time.
    step("VM tests, two at a time", vm_tests(&["2", "guest::", failures, "--skip", drivers]))?;
    step("VM tests, one at a time", vm_tests(&["1", "bench::", drivers, "--skip", failures]))?;
    if args.long {
        step("long VM tests", vm_tests(&["1", "long::"]))?;
    }
    Ok(true)
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

fn step(name: &str, mut command: Command) -> anyhow::Result<()> {
    let command_line = crate::process::child::command_line(&command);
    crate::ui::status(&format!(
        "-- {name}: cargo {}",
        command_line.split_once(' ').map_or("", |(_, arguments)| arguments)
    ));
    let start = Instant::now();
    let status = command.current_dir(workspace_root()).stdin(Stdio::null()).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("{name} failed");
    }
    crate::ui::status(&format!("   {} s", start.elapsed().as_secs()));
    Ok(())
}
