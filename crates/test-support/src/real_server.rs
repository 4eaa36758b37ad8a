//! ivshmem-server in a thread of the test.

use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use client::{Client, JoinOptions};
use ivshmem_server::{Config, Server};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// A server in a temporary directory; stops when dropped.
pub struct RealServer {
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RealServer {
    /// 1 MiB in a sealed memfd.
    pub fn start(vectors: u16) -> Self {
        Self::with(&Config { vectors, size: 1 << 20, ..Config::default() })
    }

    pub fn with(config: &Config) -> Self {
        Self::at(tempfile::tempdir().unwrap(), config)
    }

    /// A server with its socket in `folder`.
    pub fn at(folder: TempDir, config: &Config) -> Self {
        let config = Config { socket: folder.path().join("socket"), ..config.clone() };
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(async { Server::bind(&config) }).unwrap();
        let thread = thread::spawn(move || {
            runtime.block_on(server.run(async { _ = stopped.await })).unwrap();
        });
        Self { folder, stop: Some(stop), thread: Some(thread) }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub fn client(&self) -> Client {
        Client::join(&JoinOptions::at(self.socket())).unwrap()
    }

    /// Stops the server and waits for its end.
    pub fn stop(&mut self) {
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
