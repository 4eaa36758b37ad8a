//! The command: flags in, exit status out.

mod background;
mod cli;
mod nonblocking_log;
mod sighup;
mod status_table;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use cli_common::arguments;
use ivshmem_server::memory::MemoryError;
use ivshmem_server::socket_activation::{ActivationError, InheritedSockets};
use ivshmem_server::status::{self, StatusError};
use ivshmem_server::{Config, Server, ServerError, SocketError, fd_limit};
use rustix::io::Errno;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{Level, debug, info};

use background::{Caller, Side};
use cli::{Args, LogFormat, Verb};
use nonblocking_log::{Both, Log, Syslog};

fn main() -> ExitCode {
    // Before anything else opens files.
    let inherited = InheritedSockets::take();
    let args: Args = match arguments::parse() {
        Ok(args) => args,
        Err(status) => return status,
    };
    // Before anything starts a thread.
    let caller = match args.is_background().then(background::split).transpose() {
        Ok(None) => None,
        Ok(Some(Side::Caller(status))) => return status,
        Ok(Some(Side::Daemon(caller))) => Some(caller),
        Err(error) => return cannot_start(&format!("cannot go to the background: {error}")),
    };
    let log_file = match args.log_file.as_deref().map(open_log).transpose() {
        Ok(file) => file,
        Err(error) => return cannot_start(&format!("{error:#}")),
    };
    let log = match start_log(log_file.as_ref()) {
        Ok(log) => log,
        Err(error) => return cannot_start(&format!("cannot start the log: {error}")),
    };
    log_to(&log, &args);
    let detached = Detached { caller, log_file };
    let done = match args.verb {
        Some(verb) => answer(verb),
        None => inherited
            .map_err(anyhow::Error::from)
            .and_then(|inherited| serve(&args.into_config(), inherited, detached, &log)),
    };
    let status = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint =
                error.chain().any(is_out_of_descriptors).then_some(": raise the limit of open files (ulimit -n)");
            tracing::error!("{error:#}{}", hint.unwrap_or_default());
            ExitCode::from(exit_status(&error))
        }
    };
    log.flush();
    status
}

/// Where there is no log yet.
fn cannot_start(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "ivshmem-server: {why}");
    ExitCode::FAILURE
}

fn open_log(path: &Path) -> anyhow::Result<File> {
    let opened = File::options().append(true).create(true).open(path);
    opened.with_context(|| format!("cannot open the log file {}", path.display()))
}

/// The start is logged on stderr in any case, also where a file gets the log.
fn start_log(file: Option<&File>) -> io::Result<Log> {
    match file {
        Some(file) => Log::start(Both(io::stderr(), file.try_clone()?)),
        None => Log::start(io::stderr()),
    }
}

/// What changes once the server listens.
struct Detached {
    /// Waits for a server that goes to the background.
    caller: Option<Caller>,
    log_file: Option<File>,
}

impl Detached {
    /// Moves the log, and lets the caller go on.
    fn release(self, log: &Log) -> anyhow::Result<()> {
        if self.caller.is_some() {
            let place = if self.log_file.is_some() { "the log file" } else { "syslog" };
            info!(pid = std::process::id(), "going to the background: the log continues in {place}");
        }
        match self.log_file {
            Some(file) => log.redirect(file),
            None if self.caller.is_some() => log.redirect(Syslog),
            None => {}
        }
        self.caller.map_or(Ok(()), Caller::release)
    }
}

fn serve(config: &Config, inherited: InheritedSockets, detached: Detached, log: &Log) -> anyhow::Result<()> {
    fd_limit::raise_limit().context("cannot raise the limit of open files")?;
    fd_limit::check_for_start().context("cannot open the files that a start needs")?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    runtime.block_on(async {
        // Before the socket exists, so that no signal comes too early.
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut hangup = if sighup::is_ignored() {
            None
        } else {
            Some(signal(SignalKind::hangup()).context("cannot handle SIGHUP")?)
        };
        let shutdown = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                Some(()) = sighup::next(hangup.as_mut()) => {}
            }
            notify(NotifyState::Stopping);
        };
        let server = Server::bind_with(config, inherited)?;
        detached.release(log)?;
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
            let (document, found) = status::query(&status_socket)?;
            let text = if json { document } else { status_table::render(&found) };
            out.extend_from_slice(text.as_bytes());
        }
        Verb::Man { folder } => {
            cli_common::man_pages::write_pages(Args::command(), &folder).with_context(|| {
                format!("cannot write man pages into the folder {0} (mkdir -p {0})", folder.display())
            })?;
        }
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
    if let Some(StatusError::NotRunning { .. }) = error.downcast_ref() {
        return 3;
    }
    if error.chain().any(is_out_of_descriptors) {
        return 3;
    }
    match error.downcast_ref() {
        Some(
            ServerError::Memory(
                MemoryError::BelowPage { .. } | MemoryError::TooLarge(_) | MemoryError::NotAFolder { .. },
            )
            | ServerError::Socket(SocketError::PathTooLong(_) | SocketError::Abstract(_))
            | ServerError::SameSocket(_),
        ) => 2,
        Some(
            ServerError::TooFewDescriptors { .. }
            | ServerError::Memory(
                MemoryError::NoHugePages { .. }
                | MemoryError::HugePagesUnknown(_)
                | MemoryError::NoMemory { .. }
                | MemoryError::NoSpace { .. },
            ),
        ) => 3,
        _ => 1,
    }
}

fn is_out_of_descriptors(cause: &(dyn std::error::Error + 'static)) -> bool {
    let errno = cause.downcast_ref().and_then(Errno::from_io_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

fn log_to(log: &Log, args: &Args) {
    let level = if args.verbose > 0 { Level::DEBUG } else { Level::INFO };
    let logger = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal() && args.log_file.is_none() && !args.is_background())
        // Or it would complain on stderr, where it could not write, and panic when it cannot.
        .log_internal_errors(false)
        .with_writer(log.clone());
    match args.log_format {
        LogFormat::Text => logger.init(),
        LogFormat::Json => logger.json().init(),
    }
}
