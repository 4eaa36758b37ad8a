//! The command line, with examples.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use cli_common::man_pages::Packaging;
use cli_common::{duration, number, size};

/// Joins an ivshmem server as a peer.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  host-peer list                           list the connected peers
  host-peer shell                          ring, wait and read memory by hand
  host-peer ring 0 0                       ring peer 0 on vector 0
  host-peer wait --count 1 --timeout 5s    block until a doorbell
  host-peer read 0x1000 64 --hex           read the shared memory
  echo -n hello | host-peer write 0x1000   write the shared memory
  host-peer check                          check that the server conforms to the protocol

Each command's --help has more.

Exit status:
  0  ok
  1  failed or timed out
  2  wrong usage
  3  missing on this machine: a server at the socket, or file descriptors

Under the name ivshmem-client (a symbolic link) it behaves as QEMU's example client: ivshmem-client --help."
)]
pub(crate) struct Arguments {
    /// The server's socket
    #[arg(short = 'S', long, global = true, value_name = "PATH", default_value = "/tmp/ivshmem_socket")]
    pub(crate) socket: PathBuf,
    #[command(subcommand)]
    pub(crate) command: CliCommand,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum CliCommand {
    /// Reads commands from a terminal or a pipe, and prints doorbells
    ///
    /// Accepts the commands of QEMU's example client and more: `help` lists them. At a terminal Ctrl-C ends the running
    /// command, not the shell. A pipe ends the shell with its input, with status 1 if a command failed.
    #[command(after_help = "Examples:
  host-peer shell
  host-peer shell --history ~/.host-peer_history
  printf 'peers\\nint 0 all\\nwait 0 5s\\n' | host-peer shell")]
    Shell {
        /// Save the input history to FILE
        #[arg(long, value_name = "FILE")]
        history: Option<PathBuf>,
    },
    /// Lists the peers, their vectors, and the memory
    ///
    /// Reads the server's status if it has a status socket: SOCKET.status, NAME.status for a socket NAME.sock, the path
    /// of --status-socket, or that of -S itself. Otherwise it joins briefly, which adds this process to the list. The server
    /// holds its peer id as long as a peer stays that was notified of it.
    #[command(after_help = "Examples:
  host-peer list
  host-peer list --json | jq '.peers[].peer'
  host-peer list --status-socket /run/ivshmem/frames.status

JSON:
  peer, vectors      this peer's id (null if it did not join), and the vectors of each peer
  memory             bytes; may_shrink: not sealed
  peers              peer, vectors; self: this process; pid: null if unknown
  source             status or join")]
    List {
        /// Read the server's status at PATH
        #[arg(long, value_name = "PATH")]
        status_socket: Option<PathBuf>,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Rings a peer
    #[command(after_help = "Examples:
  host-peer ring 0 0
  host-peer ring 3 1 --count 1000    rings that are not read in time coalesce")]
    Ring {
        /// The peer's id
        #[arg(allow_negative_numbers = true, value_parser = number::in_range(0..=u16::MAX))]
        peer: u16,
        /// The peer's vector
        #[arg(allow_negative_numbers = true, value_parser = number::in_range(0..=u16::MAX))]
        vector: u16,
        /// Number of rings
        #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = number::in_range(1..=u64::MAX))]
        count: u64,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Blocks until doorbells arrive; prints its own peer id on stderr
    #[command(after_help = "Examples:
  host-peer wait
  host-peer wait --vector 1 --count 10 --timeout 500ms
  host-peer wait --timeout 1s --json

Prints the number of rings. Status 1 if too few arrive in time or the server is gone.")]
    Wait {
        /// Vector of this peer
        #[arg(long, value_name = "V", default_value_t = 0, allow_negative_numbers = true, value_parser = number::in_range(0..=u16::MAX))]
        vector: u16,
        /// Doorbells to wait for
        #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = number::in_range(1..=u64::MAX))]
        count: u64,
        /// Time limit, such as 500ms or 5s; default: none
        #[arg(long, value_name = "D", value_parser = duration::parse)]
        timeout: Option<Duration>,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Writes bytes of the shared memory to stdout
    #[command(after_help = "Examples:
  host-peer read 0 64 --hex
  host-peer read 4M 1K > slot.bin")]
    Read {
        /// Offset in the memory: decimal, 0x…, or with K, M, G
        #[arg(value_parser = size::parse)]
        offset: u64,
        /// Number of bytes, in the same formats
        #[arg(value_parser = size::parse)]
        len: u64,
        /// Print a hex dump
        #[arg(long)]
        hex: bool,
    },
    /// Writes stdin into the shared memory
    #[command(after_help = "Examples:
  echo -n hello | host-peer write 0x1000
  host-peer write 4M < slot.bin

Writes nothing if the input does not fit.")]
    Write {
        /// Offset in the memory: decimal, 0x…, or with K, M, G
        #[arg(value_parser = size::parse)]
        offset: u64,
    },
    /// Checks that an ivshmem server conforms to the protocol, one line per rule
    ///
    /// Connects several times, rings its own doorbells, and leaves; it does not change the memory. The other peers are
    /// notified of each join and leave.
    #[command(after_help = "Examples:
  host-peer check
  host-peer -S /run/ivshmem.sock check --json | jq '.rules[] | select(.verdict == \"fail\")'

Exit status 1 if a rule failed or could not be checked; notes do not count. docs/protocol.md explains each rule.")]
    Check {
        /// Time limit of each step
        #[arg(long, value_name = "D", default_value = "5s", value_parser = duration::parse_above_zero)]
        timeout: Duration,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Runs the measured initiator; `cargo xtask bench` calls it
    #[command(after_help = "Examples:
  host-peer bench --plan results/latest/plan.json --out results/again")]
    Bench {
        /// The plan to measure, JSON
        #[arg(long)]
        plan: PathBuf,
        /// Directory for samples.csv and measured.json
        #[arg(long)]
        out: PathBuf,
    },
    #[command(flatten)]
    Packaging(Packaging),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_visible_command_has_examples() {
        for verb in Arguments::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n  "), "{}", verb.get_name());
        }
    }
}
