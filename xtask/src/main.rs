//! The CLI of this project: it prepares a guest, starts the processes of a run and renders results. It measures nothing.
// They panic if the reader has closed the pipe; `ui` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod accelerator;
mod arguments;
mod bench;
mod commands;
mod exit_status;
mod files;
mod guest_args;
mod host_programs;
mod process;
mod provision;
mod signals;
mod sys_files;
mod timeouts;
mod ui;
mod vm;
mod workspace;

use bench::BenchArgs;
use commands::vm as vm_command;
use commands::{compare, doctor, report, test};
use exit_status::{FAILED, MISSING};
use signals::StopFlag;

/// Measures host-guest communication over ivshmem: busy polling against interrupts
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    after_help = "Examples:
  cargo xtask bench              compare poll and irq on a real guest
  cargo xtask report             render the newest run again from its raw data
  cargo xtask test               run what CI runs
  cargo xtask compare A B        compare two runs, with intervals
  cargo xtask doctor             check this host for missing dependencies
  cargo xtask vm --mode doorbell start a guest with a shell on this terminal

Exit status: 0 ok, 1 failed, 2 wrong usage, 3 a dependency is missing (with a hint), 130 Ctrl-C."
)]
struct Arguments {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Subcommand)]
enum CliCommand {
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
        let outcome = run(&arguments.command, &stop);
        // Ctrl-C also reaches the children; their errors are only consequences.
        outcome.or_else(|error| stop.check().map_err(anyhow::Error::from).and(Err(error)))
    });
    outcome.unwrap_or_else(|error| exit_status::exit(&error))
}

fn run(command: &CliCommand, stop: &StopFlag) -> anyhow::Result<ExitCode> {
    let (succeeded, otherwise) = match command {
        CliCommand::Doctor(args) => (doctor::run(args, stop, &ui::status)?, MISSING),
        CliCommand::Vm(args) => (vm_command::run(args, stop).map(|()| true)?, FAILED),
        CliCommand::Bench(args) => (bench::run(args, stop)?, FAILED),
        CliCommand::Compare(args) => (compare::run(args)?, FAILED),
        CliCommand::Report(args) => (report::run(args)?, FAILED),
        CliCommand::Test(args) => (test::run(args, stop)?, FAILED),
    };
    Ok(ExitCode::from(if succeeded { 0 } else { otherwise }))
}
