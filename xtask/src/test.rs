//! `cargo xtask test`: everything that CI runs.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;

use crate::provision::host::{self, Tool};
use crate::provision::packages;
use crate::provision::{self, Consent, workspace_root};
use crate::stop::Stop;

/// Modules of VM tests whose guests measure nothing.
const UNMEASURED: [&str; 6] = ["devices::", "module::", "probe::", "shell::", "two_guests::", "uio_ivshmem::"];

/// The VM test that takes minutes.
const LONG: &str = "stop_of_each_party";

/// Runs everything that CI runs: format, lints, unit, property, protocol and VM tests
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  cargo xtask test            what CI runs
  cargo xtask test --quick    without the tests that start a guest
  cargo xtask test --long     with the VM test that takes minutes
  cargo xtask test --reach    bench --quick on each kernel and QEMU of the package lists, minutes for each
  cargo xtask test --reach -- --workload pingpong,paced       the same with fewer workloads

Exit status: 0 all passed, 1 something failed, 3 the machine lacks something.")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(crate) struct TestArgs {
    /// Leave out the tests that start a guest
    #[arg(long)]
    quick: bool,
    /// Also the VM test that takes minutes
    #[arg(long, conflicts_with_all = ["quick", "reach"])]
    long: bool,
    /// Install missing packages without asking
    #[arg(long)]
    yes: bool,
    /// Instead of all tests, run bench --quick on every kernel and QEMU that the package lists offer: the newest of each
    /// series. They are unpacked below the target folder; nothing is installed
    #[arg(long, conflicts_with = "quick")]
    reach: bool,
    /// With --reach: more arguments for bench
    #[arg(last = true, requires = "reach", value_name = "BENCH_ARGS")]
    bench: Vec<OsString>,
}

/// Runs them in order; the first that fails ends it. With `--reach`: whether all benchmarks passed.
pub(crate) fn run(args: &TestArgs, stop: &Stop) -> anyhow::Result<bool> {
    if args.reach {
        return crate::reach::run(Consent::new(args.yes), &args.bench, stop);
    }
    step("format", cargo(&["fmt", "--all", "--check"]))?;
    step("lints", cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--quiet", "--document-private-items"]);
    doc.env("RUSTDOCFLAGS", "--deny warnings");
    step("documentation", doc)?;
    step("unit, property and protocol tests", cargo(&["test", "--workspace", "--quiet"]))?;
    if args.quick {
        crate::out::say("-- VM tests left out (--quick)");
        return Ok(true);
    }
    let options = provision::Options { kernel: None, shell: true, driver: None, consent: Consent::new(args.yes) };
    let progress = |line: &str| crate::out::say(&format!("   {line}"));
    packages::ensure(host::detect().as_ref(), &[Tool::Strace], options.consent, &progress)?;
    provision::prepare(&options, &progress)?;
    // Of the whole workspace, although one package has them: with other features, cargo would build all again.
    let vm_tests = ["test", "--workspace", "--test", "vm", "--", "--ignored"];
    // Two guests at a time where nothing is measured.
    let unmeasured = [&vm_tests[..], &["--test-threads", "2"], &UNMEASURED].concat();
    step("VM tests that measure nothing", cargo(&unmeasured))?;
    let skip: Vec<&str> = UNMEASURED.iter().flat_map(|module| ["--skip", module]).collect();
    let measured = [&vm_tests[..], &["--test-threads", "1"], &skip[..]].concat();
    let measured = if args.long { measured } else { [&measured[..], &["--skip", LONG]].concat() };
    step("VM tests that measure", cargo(&measured))?;
    Ok(true)
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

fn step(name: &str, mut command: Command) -> anyhow::Result<()> {
    let words = crate::child::shown(&command);
    crate::out::say(&format!("-- {name}: cargo {}", words.split_once(' ').map_or("", |(_, arguments)| arguments)));
    let start = Instant::now();
    let status = command.current_dir(workspace_root()).stdin(Stdio::null()).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("{name} failed");
    }
    crate::out::say(&format!("   {} s", start.elapsed().as_secs()));
    Ok(())
}
