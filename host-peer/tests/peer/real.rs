//! The real server, in a thread of the test.

use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use host_peer::client::{Client, JoinOptions};
use ivshmem_server::{Config, Server};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// A server in a folder of its own, stopped when dropped.
pub(crate) struct RealServer {
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RealServer {
    /// A megabyte in a sealed memfd.
    pub(crate) fn start(vectors: u16) -> Self {
        Self::with(&Config { vectors, size: 1 << 20, ..Config::default() })
    }

    pub(crate) fn with(config: &Config) -> Self {
        Self::at(tempfile::tempdir().unwrap(), config)
    }

    /// A server with its socket in a folder.
    pub(crate) fn at(folder: TempDir, config: &Config) -> Self {
        let config = Config { socket: folder.path().join("socket"), ..config.clone() };
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(async { Server::bind(&config) }).unwrap();
        let thread = thread::spawn(move || {
            runtime.block_on(server.run(async { _ = stopped.await })).unwrap();
        });
        Self { folder, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn client(&self) -> Client {
        Client::join(&JoinOptions::at(self.socket())).unwrap()
    }

    /// Stops it, and waits until it has stopped.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

/// The command, for the server at a socket.
pub(crate) fn host_peer(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-peer"));
    command.arg("-S").arg(socket);
    command
}

/// How a command ended: status, stdout, stderr.
pub(crate) fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}
