//! The verbs for scripts: join, do one thing, leave. Data goes to stdout, everything else to stderr.

mod list;
mod memory;
mod ring;
mod wait;

use std::path::Path;

use host_peer::client::{Client, ClientError, JoinOptions};
use host_peer::descriptors;
use proto::fd_passing::ReceiveError;
use serde_json::Value;

use crate::out;

pub(crate) use list::list;
pub(crate) use memory::{hex_dump, read, write};
pub(crate) use ring::ring;
pub(crate) use wait::{WaitFor, wait};

/// A use of the command line that no retry will mend.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Joins a server, of however many peers, and warns of memory that can be cut short.
pub(crate) fn join(socket: &Path) -> anyhow::Result<Client> {
    descriptors::raise_limit();
    let client = Client::join(&JoinOptions::at(socket))?;
    if client.memory_may_shrink() {
        tracing::warn!(
            "the server's memory is not sealed: whoever shrinks it ends every process that has it mapped; \
             this one reads and writes it without mapping it"
        );
    }
    Ok(client)
}

/// Prints a document to stdout.
pub(crate) fn print_json(document: &Value) -> anyhow::Result<()> {
    out::print(&format!("{document:#}\n"))
}

/// 1 failed, 2 wrong usage, 3 the machine lacks something: a server, or descriptors.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() {
        return 2;
    }
    match error.downcast_ref() {
        Some(
            ClientError::NoSocket(_)
            | ClientError::NobodyAnswers(_)
            | ClientError::Receive { source: ReceiveError::DescriptorLost, .. },
        ) => 3,
        _ => 1,
    }
}
