//! The program under the name `ivshmem-client`: replaces QEMU's example client (contrib/ivshmem-client) for scripts
//! that match its output.
//!
//! Flags, prompt, commands and lines are those of QEMU 7.2; `--help` lists the differences.
//!
//! 1. `command`: the meaning of a line. 2. `input`: stdin in lines. 3. `session`: one connection.

mod command;
mod input;
mod session;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Parser};
use cli_common::arguments;
use cli_common::output::{OutputError, print_error, print_to_reader};
use client::fd_limit;
use client::{Client, ClientError, ConnectError, JoinOptions};

use crate::commands;
use command::HELP;
use input::CommandInput;
use session::{End, PromptSession};

/// The name under which the program is started.
const NAME: &str = "ivshmem-client";

/// The prompt.
const PROMPT: &str = "cmd> ";

/// Delay before another attempt to connect.
const RETRY: Duration = Duration::from_secs(1);

/// Stands in for QEMU's example client of this name
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    version,
    args_override_self = true,
    after_help = "Commands, one a line or separated by semicolons:
  dump               peers and the descriptors of their vectors, this peer first
  int PEER VECTOR    ring one vector of a peer
  int PEER all       ring all vectors of a peer
  int all            ring all vectors of all other peers
  help, ?            list the commands

Examples:
  ivshmem-client -S /tmp/ivshmem_socket
  printf 'dump\\nint 0 0\\n' | ivshmem-client

Installation:
  A symbolic link to host-peer: ln -s host-peer /usr/local/bin/ivshmem-client

Differences from QEMU's client:
  At the end of stdin it exits with status 0. QEMU's client prints prompts without end.
  Commands wait until the peers are known, and every line of output is flushed at once.
  Up to 256 vectors (QEMU's client: 64). A vector that a peer does not have is reported on stderr.
  `?` prints the commands only. `int 1 x` is invalid (QEMU's client: all vectors of peer 1).
  Connection errors are reported on stderr with their reason. If stdin ends before a server is found, or more than
  64 KiB of commands wait for one, the status is 3.
  Wrong flags are status 2, and --help goes to stdout.

`host-peer shell` has more commands."
)]
pub(crate) struct QemuClientArguments {
    /// The server's socket
    #[arg(short = 'S', long, value_name = "PATH", default_value = "/tmp/ivshmem_socket")]
    socket: PathBuf,
    /// Print the messages of the server, and each doorbell that is rung
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Ignored, as QEMU's client ignores them
    #[arg(hide = true)]
    ignored: Vec<OsString>,
}

/// Whether the program was started under the name of QEMU's client.
pub(crate) fn is_called_by_this_name(program: Option<OsString>) -> bool {
    program.is_some_and(|program| Path::new(&program).file_name() == Some(OsStr::new(NAME)))
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let arguments: QemuClientArguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader closed the pipe.
        Err(error) if error.downcast_ref().is_some_and(OutputError::is_closed_pipe) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("{NAME}: {error:#}"));
            ExitCode::from(commands::status(&error))
        }
    }
}

fn run(arguments: &QemuClientArguments) -> anyhow::Result<()> {
    let _ = fd_limit::raise_limit();
    let verbose = arguments.verbose > 0;
    let mut input = CommandInput::default();
    print_to_reader(&format!("{HELP}{PROMPT}"))?;
    loop {
        let client = connect(&arguments.socket, verbose, &mut input)?;
        match PromptSession::start(client, verbose)?.run(&mut input)? {
            End::Input => return Ok(()),
            End::Server(error) => {
                print_error(&format!("{NAME}: {error:#}"));
                print_to_reader("disconnected from server\n")?;
            }
        }
    }
}

/// Connects, and retries until a server accepts this client. Fails if no server did when the input was complete.
fn connect(socket: &Path, verbose: bool, input: &mut CommandInput) -> anyhow::Result<Client> {
    let mut last_reason = String::new();
    // If the input is complete already, the first failure is final.
    input.read_for(Duration::ZERO)?;
    loop {
        if verbose {
            print_to_reader(&format!("connect to client {}\n", socket.display()))?;
        }
        let error = match Client::join(&JoinOptions::at(socket)) {
            Ok(client) => return Ok(client),
            Err(error @ ClientError::Connect(ConnectError::PathTooLong(_))) => {
                print_error("cannot init client");
                return Err(error.into());
            }
            Err(error) => anyhow::Error::from(error),
        };
        if input.is_complete() {
            return Err(error);
        }
        print_error("cannot connect to server, retry in 1 second");
        let reason = format!("{NAME}: {error:#}");
        if reason != last_reason {
            print_error(&reason);
            last_reason = reason;
        }
        input.read_for(RETRY)?;
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_are_consistent() {
        QemuClientArguments::command().debug_assert();
    }

    #[test]
    fn recognizes_its_name_in_any_directory() {
        for (name, is_client) in [
            ("ivshmem-client", true),
            ("/usr/local/bin/ivshmem-client", true),
            ("host-peer", false),
            ("/ivshmem-client/host-peer", false),
            ("ivshmem-client2", false),
        ] {
            assert_eq!(is_called_by_this_name(Some(name.into())), is_client, "{name}");
        }
        assert!(!is_called_by_this_name(None));
    }

    #[test]
    fn parses_flags_like_getopt() {
        let parse = |words: &[&str]| QemuClientArguments::try_parse_from([&[NAME], words].concat()).unwrap();
        let arguments = parse(&["-vS/a", "stray", "-v", "-S", "/b"]);
        assert_eq!((arguments.socket, arguments.verbose), ("/b".into(), 2));
        assert_eq!(parse(&[]).socket, Path::new("/tmp/ivshmem_socket"));
    }
}
