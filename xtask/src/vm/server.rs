//! Starts the ivshmem server on a private socket.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cli_common::exit_description;
use nix::sys::signal::Signal;

use crate::process::captured_output::{CapturedOutput, LoggedProcess};
use crate::process::child::{Process, SpawnOptions};
use crate::timeouts::scaled;

/// Time limit for the server to become ready.
const READY: Duration = Duration::from_secs(10);

/// Options of the server.
#[derive(Debug, Clone)]
pub(crate) struct ServerOptions {
    pub(crate) program: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) memory_bytes: u64,
    pub(crate) vectors: u16,
}

impl ServerOptions {
    /// The command.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--socket").arg(&self.socket);
        command.args(["--size", &self.memory_bytes.to_string(), "--vectors", &self.vectors.to_string(), "--verbose"]);
        command
    }

    /// Starts the server and waits until it accepts clients.
    pub(crate) fn start(&self, log_path: &Path) -> anyhow::Result<ServerProcess> {
        let mut command = self.command();
        let ties = SpawnOptions { parent_death_signal: Some(Signal::SIGTERM), ..SpawnOptions::default() };
        let started = LoggedProcess::start("ivshmem-server", command.stdout(Stdio::null()), ties, log_path)?;
        let LoggedProcess { process, output } = started;
        let mut server = ServerProcess { process, output, socket: self.socket.clone() };
        let start = Instant::now();
        // A QEMU that connects before the memory exists would hang, so the socket alone does not suffice.
        while !server.output.text().contains("listening on") {
            if let Some(status) = server.process.exit_status()? {
                bail!(
                    "ivshmem-server {} at start:\n{}",
                    exit_description::describe(status),
                    server.output.rest().trim_end()
                );
            }
            if start.elapsed() > scaled(READY) {
                bail!("ivshmem-server is not ready after {:?}; see {}", scaled(READY), log_path.display());
            }
            sleep(Duration::from_millis(5));
        }
        Ok(server)
    }
}

/// A running server. Dropping it also removes its socket.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    pub(crate) process: Process,
    /// Its log.
    pub(crate) output: CapturedOutput,
    socket: PathBuf,
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.process.end();
        // Only a killed server leaves it.
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Maximum length of the socket's directory: UNIX socket paths have at most 107 bytes, and the file's name takes up to 32.
const MAX_DIR_LENGTH: usize = 64;

/// A socket path for this process, in the directory for temporary files or in /tmp. The path of a workspace may be too long.
pub(crate) fn private_socket() -> PathBuf {
    let folder = Some(std::env::temp_dir()).filter(|path| path.is_dir() && path.as_os_str().len() <= MAX_DIR_LENGTH);
    folder.unwrap_or_else(|| "/tmp".into()).join(format!("ivshmem-doorbell-{}.sock", std::process::id()))
}

/// A pair of connected sockets. A child inherits the second.
pub(crate) fn socket_pair() -> anyhow::Result<(UnixStream, UnixStream)> {
    UnixStream::pair().context("cannot create a socket pair")
}
