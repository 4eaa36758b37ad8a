//! The command: flags in, exit status out.

mod cli;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ivshmem_server::memory::MemoryError;
use ivshmem_server::{Config, Server, ServerError, SocketError, descriptors};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use cli::{Args, LogFormat};

fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr(&args);
    match run(&args.into_config()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(status(&error))
        }
    }
}

fn run(config: &Config) -> anyhow::Result<()> {
    descriptors::raise_limit().context("cannot raise the limit of open files")?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    runtime.block_on(async {
        // Before the socket exists, so that no signal comes too early.
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let shutdown = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        Server::bind(config)?.run(shutdown).await?;
        Ok(())
    })
}

/// 1 failed, 2 wrong usage, 3 the machine lacks something.
fn status(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(
            ServerError::Memory(MemoryError::BelowPage { .. } | MemoryError::TooLarge(_))
            | ServerError::Socket(SocketError::PathTooLong(_)),
        ) => 2,
        Some(ServerError::TooFewDescriptors { .. }) => 3,
        _ => 1,
    }
}

fn log_to_stderr(args: &Args) {
    let level = if args.verbose > 0 { Level::DEBUG } else { Level::INFO };
    let logger = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match args.log_format {
        LogFormat::Text => logger.init(),
        LogFormat::Json => logger.json().init(),
    }
}
