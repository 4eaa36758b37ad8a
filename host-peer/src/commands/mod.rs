//! Commands for scripts: join, perform one operation, leave. Data goes to stdout, everything else to stderr.

mod list;
mod memory;
mod ring;
mod wait;

use std::io;
use std::path::Path;
use std::time::Duration;

use cli_common::{exit_status, output};
use client::status::StatusError;
use client::{Client, ClientError, ConnectError, JoinOptions};
use client::{fd_limit, status};
use proto::fd_passing::ReceiveError;
use rustix::io::Errno;
use serde_json::Value;

pub(crate) use list::list;
pub(crate) use memory::{hex_dump, read, write};
pub(crate) use ring::ring;
pub(crate) use wait::wait;

/// Timeout for the status of a server.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// An invalid command line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Joins a server and warns if its memory is not sealed.
pub(crate) fn join(socket: &Path) -> anyhow::Result<Client> {
    let _ = fd_limit::raise_limit();
    let client = Client::join(&JoinOptions::at(socket)).map_err(explain)?;
    warn_if_unsealed(&client);
    Ok(client)
}

/// Warns that another process can truncate the memory.
fn warn_if_unsealed(client: &Client) {
    if client.is_shrinkable() {
        tracing::warn!(
            "the server's memory is not sealed: a process that truncates it kills every process that maps it. \
             This command does not map it"
        );
    }
}

/// Adds the socket to join to the error of a status socket.
pub(crate) fn explain(error: ClientError) -> anyhow::Error {
    let ClientError::StatusSocket(path) = &error else { return error.into() };
    let hint = match status::read(path, STATUS_TIMEOUT) {
        Ok(status) => format!(". Hint: join at -S {}", status.socket),
        Err(_) => ". Hint: join at the path of its --socket".into(),
    };
    UsageError(format!("{} is the status socket of a server{hint}", path.display())).into()
}

/// Prints a JSON document to stdout.
pub(crate) fn print_json(document: &Value) -> anyhow::Result<()> {
    Ok(output::print(&format!("{document:#}\n"))?)
}

/// 1 failed, 2 wrong usage, 3 missing on this machine: a server, or file descriptors.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    if error.is::<UsageError>() {
        return exit_status::USAGE;
    }
    let connect_error = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(StatusError::NotRunning { .. }), _)
        | (_, Some(ClientError::Receive { source: ReceiveError::DescriptorLost, .. })) => return exit_status::MISSING,
        (Some(StatusError::Connect(error)), _) | (_, Some(ClientError::Connect(error))) => error,
        _ => return exit_status::FAILED,
    };
    match connect_error {
        ConnectError::PathTooLong(_) => exit_status::USAGE,
        ConnectError::NoSocket(_) | ConnectError::NotListening(_) | ConnectError::NotASocket(_) => exit_status::MISSING,
        ConnectError::Failed { source, .. } if is_out_of_descriptors(source) => exit_status::MISSING,
        _ => exit_status::FAILED,
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}
