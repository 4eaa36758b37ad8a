//! The `ivshmem-server` command.

mod background;
mod cli;
mod nonblocking_log;
mod sighup;
mod status_table;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::CommandFactory;
use cli_common::exit_status::{FAILED, MISSING, USAGE};
use cli_common::{arguments, output};
use ivshmem_server::memory::MemoryError;
use ivshmem_server::socket_activation::{ActivationError, InheritedSockets};
use ivshmem_server::{Config, Server, ServerError, SocketError, fd_limit};
use proto::connect::ConnectError;
use proto::status::{self, StatusError};
use rustix::io::Errno;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{Level, debug, info};

use background::{Caller, Forked};
use cli::{Args, LogFormat, Subcommand};
use nonblocking_log::{Log, syslog};

/// Time limit of the subcommand `status`.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // Before any file is opened.
    let inherited = InheritedSockets::take();
    let args: Args = match arguments::parse() {
        Ok(args) => args,
        Err(status) => return status,
    };
    // Before any thread is started.
    let caller = match args.is_background().then(background::fork_daemon).transpose() {
        Ok(None) => None,
        Ok(Some(Forked::Caller(status))) => return status,
        Ok(Some(Forked::Daemon(caller))) => Some(caller),
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
    init_tracing(&log, &args);
    let detach = Detach { caller, log_file };
    let result = match args.command {
        Some(command) => run_command(command),
        None => inherited
            .map_err(anyhow::Error::from)
            .and_then(|inherited| serve(&args.into_config(), inherited, detach, &log)),
    };
    let status = match result {
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

/// Reports an error before the log exists.
fn cannot_start(reason: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "ivshmem-server: {reason}");
    ExitCode::FAILURE
}

fn open_log(path: &Path) -> anyhow::Result<File> {
    let file = File::options().append(true).create(true).open(path);
    file.with_context(|| format!("cannot open the log file {}", path.display()))
}

/// Until the server listens, the log always goes to stderr, and to the log file as well.
fn start_log(file: Option<&File>) -> io::Result<Log> {
    let Some(file) = file else { return Log::start(Box::new(|_, line| io::stderr().write_all(line))) };
    let mut file = file.try_clone()?;
    Log::start(Box::new(move |_, line| {
        let _ = io::stderr().write_all(line);
        file.write_all(line)
    }))
}

/// The changes once the server listens.
struct Detach {
    /// The caller of a server that goes to the background.
    caller: Option<Caller>,
    log_file: Option<File>,
}

impl Detach {
    /// Redirects the log and releases the caller.
    fn release(self, log: &Log) -> anyhow::Result<()> {
        if self.caller.is_some() {
            let place = if self.log_file.is_some() { "the log file" } else { "syslog" };
            info!(pid = std::process::id(), "going to the background: the log continues in {place}");
        }
        match self.log_file {
            Some(mut file) => log.redirect(Box::new(move |_, line| file.write_all(line))),
            None if self.caller.is_some() => log.redirect(Box::new(syslog)),
            None => {}
        }
        self.caller.map_or(Ok(()), Caller::release)
    }
}

fn serve(config: &Config, inherited: InheritedSockets, detach: Detach, log: &Log) -> anyhow::Result<()> {
    fd_limit::raise_limit().context("cannot raise the limit of open files")?;
    fd_limit::check_for_start().context("cannot open the files that a start needs")?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    runtime.block_on(async {
        // Before the socket exists, because signals may arrive as soon as it does.
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
                Some(()) = async { hangup.as_mut()?.recv().await } => {}
            }
            notify(NotifyState::Stopping);
        };
        let server = Server::bind_with(config, inherited)?;
        detach.release(log)?;
        notify(NotifyState::Ready);
        server.run(shutdown).await?;
        Ok(())
    })
}

/// Notifies systemd. Failures are ignored: the server works without systemd.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        debug!("cannot notify systemd: {error}");
    }
}

/// Runs a subcommand, which prints to stdout.
fn run_command(command: Subcommand) -> anyhow::Result<()> {
    match command {
        Subcommand::Status { status_socket, json } => {
            let (document, status) = status::query(&status_socket, STATUS_TIMEOUT)?;
            Ok(output::print(&if json { document } else { status_table::render(&status) })?)
        }
        Subcommand::Packaging(packaging) => packaging.run(Args::command(), None),
    }
}

fn exit_status(error: &anyhow::Error) -> u8 {
    if error.is::<ActivationError>() {
        return USAGE;
    }
    if error.chain().any(is_out_of_descriptors) {
        return MISSING;
    }
    if let Some(StatusError::NotRunning { .. } | StatusError::Connect(ConnectError::NotASocket(_))) =
        error.downcast_ref()
    {
        return MISSING;
    }
    let Some(error) = error.downcast_ref::<ServerError>() else { return FAILED };
    match error {
        ServerError::Memory(error) => match error {
            MemoryError::BelowPage { .. } | MemoryError::TooLarge(_) | MemoryError::NotADirectory { .. } => USAGE,
            MemoryError::NoHugePages { .. }
            | MemoryError::HugePagesUnsupported(_)
            | MemoryError::NoMemory { .. }
            | MemoryError::NoSpace { .. } => MISSING,
            MemoryError::ShmInUse(_)
            | MemoryError::ShmOfOtherUser(_)
            | MemoryError::ShmLarger { .. }
            | MemoryError::Create { .. } => FAILED,
        },
        ServerError::Socket(SocketError::PathTooLong(_) | SocketError::Abstract(_)) | ServerError::SameSocket(_) => {
            USAGE
        }
        ServerError::TooFewDescriptors { .. } => MISSING,
        ServerError::Socket(_) | ServerError::PidFile { .. } | ServerError::System { .. } => FAILED,
    }
}

fn is_out_of_descriptors(cause: &(dyn std::error::Error + 'static)) -> bool {
    let errno = cause.downcast_ref().and_then(Errno::from_io_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

fn init_tracing(log: &Log, args: &Args) {
    let level = if args.verbose > 0 { Level::DEBUG } else { Level::INFO };
    let logger = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal() && args.log_file.is_none() && !args.is_background())
        // Otherwise it reports failed writes on stderr, and panics if that fails.
        .log_internal_errors(false)
        .with_writer(log.clone());
    match args.log_format {
        LogFormat::Text => logger.init(),
        LogFormat::Json => logger.json().init(),
    }
}
