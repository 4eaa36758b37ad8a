//! The command against real servers, mock servers that break a rule, and none.

mod commands;
mod conformance;
mod misbehaving_server;
mod output;
mod packaging;
mod qemu_client;
mod shell;
mod terminal;

use std::path::Path;
use std::process::Command;

/// `host-peer -S SOCKET`.
fn host_peer(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-peer"));
    command.arg("-S").arg(socket);
    command
}
