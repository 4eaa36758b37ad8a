//! `cargo xtask test --reach`: runs the benchmark on every kernel and QEMU that the package lists offer.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;
use report::RunResult;
use report::render::report_doc::CheckSummary;

use crate::process::child::{Process, SpawnOptions, command_line};
use crate::provision::{CustomKernel, InstallPolicy, package_offers};
use crate::signals::StopFlag;
use crate::ui;

/// A tested combination.
struct ReachRow {
    kernel: String,
    qemu: String,
    checks: String,
    seconds: u64,
    passed: bool,
}

/// Runs all combinations with `bench_args` as additional arguments of `bench`. Returns whether all passed.
pub(crate) fn run(policy: InstallPolicy, bench_args: &[OsString], stop: &StopFlag) -> anyhow::Result<bool> {
    let offers = package_offers::offers(policy, &|line| ui::status(&format!("   {line}")))?;
    for (version, why) in &offers.left_out {
        ui::status(&format!("   QEMU {version} left out: {why}"));
    }
    let total = offers.kernels.len() * offers.emulators.len();
    if total == 0 {
        let what = if offers.kernels.is_empty() { "kernel" } else { "QEMU" };
        return Err(crate::exit_status::missing_dependency(format!(
            "the package lists contain no {what} to test; check the sources of the package manager"
        )));
    }
    let mut rows = Vec::new();
    for (qemu, wrapper) in &offers.emulators {
        for (release, kernel) in &offers.kernels {
            stop.check()?;
            ui::status(&format!("-- {} of {total}: kernel {release}, QEMU {qemu}", rows.len() + 1));
            let mut command = bench(kernel, wrapper.as_deref(), bench_args)?;
            ui::status(&format!("   {}", command_line(&command)));
            let start = Instant::now();
            let (status, stdout) = run_to_end(&mut command, stop)?;
            if status.code() == Some(i32::from(crate::exit_status::USAGE)) && !bench_args.is_empty() {
                return Err(crate::exit_status::usage("bench rejects the arguments after --; see its message above"));
            }
            let (passed, checks) = outcome(&stdout, status);
            let seconds = start.elapsed().as_secs();
            ui::status(&format!("   {checks}, {seconds} s"));
            let (kernel, qemu) = (release.clone(), qemu.clone());
            rows.push(ReachRow { kernel, qemu, checks, seconds, passed });
        }
    }
    ui::print(&table(&rows, &offers.left_out))?;
    Ok(rows.iter().all(|row| row.passed))
}

fn bench(kernel: &CustomKernel, wrapper: Option<&Path>, bench_args: &[OsString]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command
        .args(["bench", "--quick", "--json", "--kernel"])
        .arg(&kernel.image)
        .arg("--modules")
        .arg(&kernel.modules)
        .args(bench_args);
    if let Some(wrapper) = wrapper {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(wrapper.to_owned()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders).context("PATH contains an unusable directory")?);
    }
    Ok(command)
}

/// Runs the benchmark. Returns its exit status and its stdout. A signal ends it.
fn run_to_end(command: &mut Command, stop: &StopFlag) -> anyhow::Result<(ExitStatus, String)> {
    let mut summary = tempfile::tempfile().context("cannot create a temporary file")?;
    command.stdin(Stdio::null()).stdout(summary.try_clone().context("cannot duplicate a descriptor")?);
    let ties = SpawnOptions {
        parent_death_signal: Some(nix::sys::signal::Signal::SIGTERM),
        terminal: true,
        ..SpawnOptions::default()
    };
    let mut process = Process::start("bench", command, ties)?;
    let status = loop {
        if let Some(status) = process.exit_status()? {
            break status;
        }
        stop.check()?;
        sleep(Duration::from_millis(100));
    };
    let mut text = Vec::new();
    summary.rewind().and_then(|()| summary.read_to_end(&mut text)).context("cannot read the summary")?;
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

/// Whether a run passed, and its self-checks in words. `document` is what `bench --json` printed: a result, or one per driver.
fn outcome(document: &str, status: ExitStatus) -> (bool, String) {
    let results = serde_json::from_str(document).map(|result| vec![result]);
    let results: Vec<RunResult> = results.or_else(|_| serde_json::from_str(document)).unwrap_or_default();
    if results.is_empty() || results.iter().any(|result| result.self_checks.is_empty()) {
        return (false, format!("no self-checks ({status})"));
    }
    let checks: Vec<String> = results.iter().map(|result| CheckSummary::new(result).text).collect();
    let checks = checks.join("; ");
    if status.success() { (true, checks) } else { (false, format!("{checks} ({status})")) }
}

/// A row per combination, and the versions that cannot run here.
fn table(rows: &[ReachRow], left_out: &[(String, String)]) -> String {
    let width = |column: fn(&ReachRow) -> &str, name: &str| {
        rows.iter().map(|row| column(row).len()).chain([name.len()]).max().unwrap_or(0)
    };
    let kernel = width(|row| &row.kernel, "kernel");
    let qemu = width(|row| &row.qemu, "QEMU");
    let checks = width(|row| &row.checks, "self-checks");
    let mut text = format!("{:kernel$}  {:qemu$}  {:checks$}  seconds\n", "kernel", "QEMU", "self-checks");
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:kernel$}  {:qemu$}  {:checks$}  {:7}", row.kernel, row.qemu, row.checks, row.seconds);
    }
    for (version, why) in left_out {
        let _ = writeln!(text, "left out: QEMU {version}: {why}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use report::result::CheckOutcome;

    use super::*;

    #[test]
    fn run_passes_only_with_a_result_and_passed_checks() {
        let result = |checks: &[CheckOutcome]| {
            let check = |pass: &CheckOutcome| serde_json::json!({ "id": 1, "name": "n", "pass": pass, "detail": "d" });
            let mut document = serde_json::json!({
                "schema_version": 1, "environment": {}, "config": {}, "cells": [], "comparisons": [], "warnings": [],
            });
            document["self_checks"] = checks.iter().map(check).collect();
            document.to_string()
        };
        let status = |code: i32| ExitStatus::from_raw(code << 8);
        let [pass, fail] = [CheckOutcome::Pass, CheckOutcome::Fail];
        assert_eq!(outcome(&result(&[pass, pass]), status(0)), (true, "2 of 2 self-checks passed".to_owned()));
        assert_eq!(
            outcome(&result(&[pass, fail]), status(1)),
            (false, "1 of 2 self-checks failed (exit status: 1)".to_owned())
        );
        assert!(!outcome(&result(&[]), status(0)).0);
        assert_eq!(outcome("Round-trip p50: …", status(0)), (false, "no self-checks (exit status: 0)".to_owned()));
        let drivers = format!("[{},{}]", result(&[pass]), result(&[pass]));
        assert_eq!(outcome(&drivers, status(0)).1, "1 of 1 self-checks passed; 1 of 1 self-checks passed");
    }

    #[test]
    fn table_has_a_row_per_run_and_skipped_version() {
        let row = |kernel: &str, seconds| ReachRow {
            kernel: kernel.to_owned(),
            qemu: "7.2".to_owned(),
            checks: "15 passed".to_owned(),
            seconds,
            passed: true,
        };
        let left_out = [("11.1".to_owned(), "needs libc6 2.43, but this host has 2.36".to_owned())];
        assert_eq!(
            table(&[row("6.1.0-56-amd64", 231), row("6.12", 8)], &left_out),
            "kernel          QEMU  self-checks  seconds\n\
             6.1.0-56-amd64  7.2   15 passed        231\n\
             6.12            7.2   15 passed          8\n\
             left out: QEMU 11.1: needs libc6 2.43, but this host has 2.36\n"
        );
    }
}
