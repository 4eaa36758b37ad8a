//! The front door: checks the machine, makes a guest, starts the processes of a run, tests the whole. It orchestrates
//! and measures nothing.
// They panic where nobody reads any more: `out` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cli_common::arguments;

mod accel;
mod bench;
mod build;
mod capture;
mod child;
mod compare;
mod console;
mod cpu;
mod deadline;
mod doctor;
mod driver;
mod ended;
mod failure;
mod host_memory;
mod out;
mod place;
mod provision;
mod qemu;
mod qmp;
mod reach;
mod report;
mod server;
mod size;
mod stop;
mod test;
mod vm;

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
    Vm(vm::VmArgs),
    Bench(Box<bench::BenchArgs>),
    Compare(compare::CompareArgs),
    Report(report::ReportArgs),
    Test(test::TestArgs),
}

fn main() -> ExitCode {
    let arguments: Arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let outcome = stop::Stop::catch().map_err(anyhow::Error::from).and_then(|stop| {
        let outcome = act(&arguments.verb, &stop);
        // Ctrl-C reaches children as well: what they made of it is not the reason.
        outcome.or_else(|error| stop.check().map_err(anyhow::Error::from).and(Err(error)))
    });
    outcome.unwrap_or_else(|error| failure::exit(&error))
}

fn act(verb: &Verb, stop: &stop::Stop) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Doctor(args) => {
            let ready = doctor::run(args, stop, &out::say)?;
            Ok(ExitCode::from(if ready { 0 } else { failure::LACKS }))
        }
        Verb::Vm(args) => vm::run(args, stop).map(|()| ExitCode::SUCCESS),
        Verb::Bench(args) => {
            let passed = bench::run(args, stop)?;
            Ok(ExitCode::from(if passed { 0 } else { failure::FAILED }))
        }
        Verb::Compare(args) => {
            let kept = compare::run(args)?;
            Ok(ExitCode::from(if kept { 0 } else { failure::FAILED }))
        }
        Verb::Report(args) => {
            let passed = report::run(args)?;
            Ok(ExitCode::from(if passed { 0 } else { failure::FAILED }))
        }
        Verb::Test(args) => {
            let passed = test::run(args, stop)?;
            Ok(ExitCode::from(if passed { 0 } else { failure::FAILED }))
        }
    }
}
