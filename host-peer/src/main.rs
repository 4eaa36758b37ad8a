//! `host-peer`: joins an ivshmem server as a peer, and runs the measured initiator of the benchmark.
//!
//! 1. `cli`: flags and help. 2. `commands`: one operation each, for scripts. 3. `shell`: interactive use.
//! 4. `qemu_client`: the program under the name `ivshmem-client`. `dump`: a listing that both print.

mod cli;
mod commands;
mod dump;
mod qemu_client;
mod shell;

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use clap::CommandFactory;
use cli_common::{arguments, output};
use host_peer::conformance;
use proto::wire::{PeerId, Vector};

use cli::{Arguments, CliCommand};
use commands::join;
use qemu_client::QemuClientArguments;

fn main() -> ExitCode {
    if qemu_client::is_called_by_this_name(env::args_os().next()) {
        return qemu_client::main();
    }
    let arguments: Arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let logger = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // Internal errors would go to the same stderr.
    logger.with_target(false).with_env_filter("info").log_internal_errors(false).init();
    match act(&arguments) {
        Ok(status) => status,
        Err(error) => {
            output::print_error(&format!("host-peer: {error:#}"));
            ExitCode::from(commands::status(&error))
        }
    }
}

fn act(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let socket = &arguments.socket;
    match arguments.command {
        CliCommand::Shell { ref history } => return shell::run(join(socket)?, history.as_deref()),
        CliCommand::List { ref status_socket, json } => commands::list(socket, status_socket.as_deref(), json)?,
        CliCommand::Ring { peer, vector, count, json } => {
            commands::ring(join(socket)?, PeerId(peer), Vector(vector), count, json)?;
        }
        CliCommand::Wait { vector, count, timeout, json } => {
            commands::wait(&mut join(socket)?, Vector(vector), count, timeout, json)?;
        }
        CliCommand::Read { offset, len, hex } => commands::read(&join(socket)?, offset, len, hex)?,
        CliCommand::Write { offset } => commands::write(&join(socket)?, offset)?,
        CliCommand::Check { timeout, json } => {
            let report = conformance::run(socket, timeout).map_err(commands::explain)?;
            if json {
                commands::print_json(&serde_json::to_value(&report).context("cannot write the report")?)?;
            } else {
                output::print(&report.to_string())?;
            }
            return Ok(if report.failed() || !report.is_complete() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
        CliCommand::Bench { ref plan, ref out } => {
            let stop = Arc::new(AtomicBool::new(false));
            for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
                signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot catch signals")?;
            }
            initiator::run(plan, out, stop)?;
        }
        CliCommand::Packaging(ref packaging) => {
            packaging.run(Arguments::command(), Some(QemuClientArguments::command()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
