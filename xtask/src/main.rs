//! The front door: checks the machine, makes a guest, starts the processes of a run, tests the whole. It orchestrates
//! and measures nothing.
// They panic where nobody reads any more: `out` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod accelerator;
mod arguments;
mod bench;
mod commands;
mod exit_status;
mod host_programs;
mod process;
mod provision;
mod signals;
mod timeouts;
mod ui;
mod vm;
mod workspace;

use bench::BenchArgs;
use commands::vm as vm_command;
use commands::{compare, doctor, report, test};
use exit_status::{FAILED, MISSING};
use signals::StopFlag;

/// Measures what it costs to wait for a virtual machine: polling against interrupts over ivshmem
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    after_help = "Examples:
  cargo xtask bench              the main job: poll and irq side by side on a real guest
  cargo xtask report             the newest run's report again, from its raw data
  cargo xtask test               everything that CI runs
  cargo xtask compare A B        two runs beside each other, with intervals
  cargo xtask doctor             what this machine has and lacks
  cargo xtask vm --mode doorbell a guest with a shell on this terminal

Exit status: 0 ok, 1 failed, 2 wrong usage, 3 the machine lacks something (the message names the hint), 130 Ctrl-C."
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Doctor(doctor::DoctorArgs),
    Vm(vm_command::VmArgs),
    Bench(Box<BenchArgs>),
    Compare(compare::CompareArgs),
    Report(report::ReportArgs),
    Test(test::TestArgs),
}

fn main() -> ExitCode {
    let arguments: Arguments = match cli_common::arguments::parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let outcome = StopFlag::install().map_err(anyhow::Error::from).and_then(|stop| {
        let outcome = act(&arguments.verb, &stop);
        // Ctrl-C reaches children as well: what they made of it is not the reason.
        outcome.or_else(|error| stop.check().map_err(anyhow::Error::from).and(Err(error)))
    });
    outcome.unwrap_or_else(|error| exit_status::exit(&error))
}

fn act(verb: &Verb, stop: &StopFlag) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Doctor(args) => {
            let ready = doctor::run(args, stop, &ui::status)?;
            Ok(ExitCode::from(if ready { 0 } else { MISSING }))
        }
        Verb::Vm(args) => vm_command::run(args, stop).map(|()| ExitCode::SUCCESS),
        Verb::Bench(args) => {
            let passed = bench::run(args, stop)?;
            Ok(ExitCode::from(if passed { 0 } else { FAILED }))
        }
        Verb::Compare(args) => {
            let kept = compare::run(args)?;
            Ok(ExitCode::from(if kept { 0 } else { FAILED }))
        }
        Verb::Report(args) => {
            let passed = report::run(args)?;
            Ok(ExitCode::from(if passed { 0 } else { FAILED }))
        }
        Verb::Test(args) => {
            let passed = test::run(args, stop)?;
            Ok(ExitCode::from(if passed { 0 } else { FAILED }))
        }
    }
}
