//! The command: flags in, exit status out.

mod cli;
mod hangup;
mod log;
mod table;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use ivshmem_server::activation::{ActivationError, Inherited};
use ivshmem_server::memory::MemoryError;
use ivshmem_server::status::{self, StatusError};
use ivshmem_server::{Config, Server, ServerError, SocketError, descriptors};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{Level, debug};

use cli::{Args, LogFormat, Verb};
use log::Log;

fn main() -> ExitCode {
    // Before anything else opens files.
    let inherited = Inherited::take();
    let args = Args::parse();
    let log = match Log::start(io::stderr()) {
        Ok(log) => log,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ivshmem-server: cannot start the thread that writes the log: {error}");
            return ExitCode::FAILURE;
        }
    };
    log_to(&log, &args);
    let done = match args.verb {
        Some(verb) => answer(verb),
        None => inherited.map_err(anyhow::Error::from).and_then(|inherited| serve(&args.into_config(), inherited)),
    };
    let status = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(exit_status(&error))
        }
    };
    log.flush();
    status
}

fn serve(config: &Config, inherited: Inherited) -> anyhow::Result<()> {
    descriptors::raise_limit().context("cannot raise the limit of open files")?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    runtime.block_on(async {
        // Before the socket exists, so that no signal comes too early.
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut hangup = if hangup::is_ignored() {
            None
        } else {
            Some(signal(SignalKind::hangup()).context("cannot handle SIGHUP")?)
        };
        let shutdown = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                Some(()) = hangup::next(hangup.as_mut()) => {}
            }
            notify(NotifyState::Stopping);
        };
        let server = Server::bind_with(config, inherited)?;
        notify(NotifyState::Ready);
        server.run(shutdown).await?;
        Ok(())
    })
}

/// Tells systemd, if it asked to be told. Who cannot hear it does not keep the server from its work.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        debug!("systemd cannot be told: {error}");
    }
}

/// Does something else than serving; what it says goes to stdout.
fn answer(verb: Verb) -> anyhow::Result<()> {
    let mut out = Vec::new();
    match verb {
        Verb::Status { status_socket, json } => {
            let (document, found) = status::ask(&status_socket)?;
            let text = if json { document } else { table::render(&found) };
            out.extend_from_slice(text.as_bytes());
        }
        Verb::Man { folder } => cli_common::man_pages::write_pages(Args::command(), &folder)
            .with_context(|| format!("cannot write man pages into {}", folder.display()))?,
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "ivshmem-server", &mut out);
        }
    }
    match io::stdout().write_all(&out) {
        // `ivshmem-server status | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// 1 failed, 2 wrong usage, 3 the machine lacks something.
fn exit_status(error: &anyhow::Error) -> u8 {
    if error.is::<ActivationError>() {
        return 2;
    }
    if let Some(StatusError::NobodyAnswers { .. }) = error.downcast_ref() {
        return 3;
    }
    match error.downcast_ref() {
        Some(
            ServerError::Memory(MemoryError::BelowPage { .. } | MemoryError::TooLarge(_))
            | ServerError::Socket(SocketError::PathTooLong(_))
            | ServerError::SameSocket(_),
        ) => 2,
        Some(
            ServerError::TooFewDescriptors { .. }
            | ServerError::Memory(MemoryError::NoHugePages { .. } | MemoryError::HugePagesUnknown(_)),
        ) => 3,
        _ => 1,
    }
}

fn log_to(log: &Log, args: &Args) {
    let level = if args.verbose > 0 { Level::DEBUG } else { Level::INFO };
    let logger = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        // Or it would complain on stderr, where it could not write, and panic when it cannot.
        .log_internal_errors(false)
        .with_writer(log.clone());
    match args.log_format {
        LogFormat::Text => logger.init(),
        LogFormat::Json => logger.json().init(),
    }
}
