//! The server from bind to shutdown.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, info, warn};

use crate::clients::{ACCEPT_PAUSE, ClientManager, reject_pending};
use crate::config::Config;
use crate::fd_limit;
use crate::memory::{Backing, MemoryError, SharedMemory};
use crate::pid_file::PidFile;
use crate::registry::{Registry, new_eventfd};
use crate::shared::SharedState;
use crate::socket_activation::InheritedSockets;
use crate::socket_file::{SocketError, SocketFile, parent_of};
use crate::status::{self, StaticStatus};

/// The number of ids.
const MAX_PEERS: usize = 1 << u16::BITS;

/// Maximum number of concurrent status readers. Others wait.
const MAX_READERS: usize = 8;

/// Interval of size checks of unsealed memory, in addition to those at each join.
const SIZE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Why a server cannot start or go on.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum ServerError {
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("{} cannot be both {one} and {other}: give two different paths", path.display())]
    SamePath { path: PathBuf, one: &'static str, other: &'static str },
    #[error("cannot write the process id to {}", path.display())]
    PidFile { path: PathBuf, source: io::Error },
    #[error(
        "a peer with {vectors} vector{} does not fit into the limit of {limit} open files: \
         raise it (ulimit -Hn), or use fewer --vectors",
        if *.vectors == 1 { "" } else { "s" }
    )]
    TooFewDescriptors { vectors: u16, limit: u64 },
    #[error("cannot count the open files in /proc/self/fd: the server needs /proc (mount -t proc proc /proc)")]
    NoProc(#[source] io::Error),
    #[error("cannot {step}")]
    System { step: &'static str, source: io::Error },
}

/// A listening server. Clients that connect before [`run`](Self::run) wait in the backlog.
///
/// ```no_run
/// use ivshmem_server::{Config, Server};
///
/// # async fn example() -> Result<(), ivshmem_server::ServerError> {
/// let server = Server::bind(&Config { vectors: 2, ..Config::default() })?;
/// server.run(async { tokio::signal::ctrl_c().await.unwrap() }).await
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: StdListener,
    status_listener: Option<StdListener>,
    memory: SharedMemory,
    static_status: StaticStatus,
    clients: ClientManager,
    /// An inherited client socket stays open for the next start.
    is_inherited: bool,
    // These remove their files when dropped. Inherited sockets have none.
    socket_files: Vec<SocketFile>,
    _pid_file: Option<PidFile>,
}

impl Server {
    /// Acquires all resources of a server. They are released when the server is dropped.
    pub fn bind(config: &Config) -> Result<Self, ServerError> {
        Self::bind_with(config, InheritedSockets::default())
    }

    /// The same, with sockets that another process opened. They replace those of `config`, keep their permissions, and stay
    /// in place at the end.
    pub fn bind_with(config: &Config, inherited: InheritedSockets) -> Result<Self, ServerError> {
        check_paths(config, &inherited, None)?;
        let mut socket_files = Vec::new();
        let mut socket = config.socket.clone();
        let is_inherited = inherited.clients.is_some();
        let listener = if let Some(listener) = inherited.clients {
            socket = path_of(&listener).unwrap_or_else(|| "a socket without a path".into());
            listener
        } else {
            let (listener, file) = SocketFile::claim(&config.socket, config.socket_mode)?;
            socket_files.push(file);
            listener
        };
        if let Some(note) = config.backing.note() {
            info!("{note}");
        }
        let resources = Self::acquire(config).and_then(|acquired| {
            let status_listener = match (inherited.status, &config.status_socket) {
                (Some(listener), _) => Some(listener),
                (None, Some(path)) => {
                    let (listener, file) = SocketFile::claim(path, config.socket_mode)?;
                    socket_files.push(file);
                    Some(listener)
                }
                (None, None) => None,
            };
            // Sockets of systemd may be blocking.
            for listener in status_listener.iter().chain([&listener]) {
                listener
                    .set_nonblocking(true)
                    .map_err(|source| ServerError::System { step: "make a socket non-blocking", source })?;
            }
            Ok((acquired, status_listener))
        });
        let ((memory, pid_file, clients), status_listener) = resources.inspect_err(|_| {
            // A QEMU that has connected by now would spin forever if its connection just closed.
            let _ = listener.set_nonblocking(true);
            reject_pending(&listener);
        })?;
        info!(
            memory = memory.description(),
            vectors = config.vectors,
            max_peers = clients.shared.registry().max_peers(),
            "listening on {}",
            socket.display()
        );
        let static_status = StaticStatus::new(&socket, &memory);
        Ok(Self {
            listener,
            status_listener,
            memory,
            static_status,
            clients,
            is_inherited,
            socket_files,
            _pid_file: pid_file,
        })
    }

    /// Acquires everything except the sockets.
    fn acquire(config: &Config) -> Result<(SharedMemory, Option<PidFile>, ClientManager), ServerError> {
        let system = |step| move |source| ServerError::System { step, source };
        let memory = SharedMemory::create(&config.backing, config.size)?;
        let pid_file = config
            .pid_file
            .as_deref()
            .map(|path| PidFile::write(path).map_err(|source| ServerError::PidFile { path: path.into(), source }));
        let pid_file = pid_file.transpose()?;
        let dummy_eventfd = new_eventfd().map_err(system("create an eventfd"))?;
        let max_peers = max_peers(config).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ServerError::NoProc(source),
            _ => system("count the open files in /proc/self/fd")(source),
        })?;
        if max_peers == 0 {
            return Err(ServerError::TooFewDescriptors { vectors: config.vectors, limit: fd_limit::limit() });
        }
        let registry = Registry::new(memory.shared_fd(), config.vectors, max_peers);
        let shared = SharedState::new(registry, config.vectors, dummy_eventfd, config.stall_timeout);
        let clients = ClientManager::new(shared, config.access.clone()).map_err(system("open /dev/null"))?;
        Ok((memory, pid_file, clients))
    }

    /// The shared memory that clients get.
    #[must_use]
    pub fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    /// Serves until `shutdown` is ready, then notifies each client that all others left. Needs a tokio runtime with I/O and
    /// time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self {
            listener, status_listener, mut memory, static_status, mut clients, is_inherited, socket_files, ..
        } = self;
        memory.remove_at_end();
        let failed = |source| ServerError::System { step: "wait on the socket", source };
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        let status_listener = status_listener.map(UnixListener::from_std).transpose().map_err(failed)?;
        let mut size_checks = interval(SIZE_CHECK_INTERVAL);
        size_checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut readers = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            // In this order: exits release what new clients need.
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(exited) = clients.tasks.join_next() => clients.on_client_exit(exited),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => clients.accept_client(stream, &memory),
                    Err(error) => clients.accept_failed(&listener, &error).await,
                },
                _ = size_checks.tick(), if !memory.is_sealed() => clients.check_memory(&memory),
                Some(_) = readers.join_next() => {}
                Some(reader) = next_reader(status_listener.as_ref()), if readers.len() < MAX_READERS => {
                    readers.spawn(status::send(reader, static_status.snapshot(&clients.shared, &memory)));
                }
            }
        }
        drop(socket_files);
        // Clients that wait at an inherited socket are served by the next start.
        if !is_inherited {
            reject_pending(&listener);
        }
        drop(listener);
        clients.close().await;
        Ok(())
    }
}

/// The next reader of the status. `None`, without a status socket or after a failed accept, disables this branch of `select!`.
async fn next_reader(listener: Option<&UnixListener>) -> Option<UnixStream> {
    match listener?.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            debug!("cannot accept a reader of the status: {error}");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Checks, before any file is created, that the flags name different files. `log_file` is the program's log file, which
/// [`Config`] does not have.
pub fn check_paths(config: &Config, inherited: &InheritedSockets, log_file: Option<&Path>) -> Result<(), ServerError> {
    // Inherited sockets replace those of the flags.
    let socket = inherited.clients.as_ref().map_or_else(|| Some(config.socket.clone()), path_of);
    let status_socket = inherited.status.as_ref().map_or_else(|| config.status_socket.clone(), path_of);
    let object = match &config.backing {
        Backing::Shm(name) => Some(name.path()),
        _ => None,
    };
    let paths = [
        ("--socket", socket),
        ("--status-socket", status_socket),
        ("--pid-file", config.pid_file.clone()),
        ("--shm-name", object),
        ("--log-file", log_file.map(Path::to_owned)),
    ];
    let mut earlier = Vec::new();
    for (flag, path) in paths.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
        let Some(file) = identity(&path) else { continue };
        if let Some(&(one, _)) = earlier.iter().find(|(_, other)| *other == file) {
            return Err(ServerError::SamePath { path, one, other: flag });
        }
        earlier.push((flag, file));
    }
    Ok(())
}

/// Device and inode of an existing file, or those of its directory with the name of a new file.
fn identity(path: &Path) -> Option<(u64, u64, Option<OsString>)> {
    let metadata = |path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    if let Ok((device, inode)) = metadata(path) {
        return Some((device, inode, None));
    }
    let (device, inode) = metadata(parent_of(path)).ok()?;
    Some((device, inode, Some(path.file_name()?.to_owned())))
}

fn path_of(listener: &StdListener) -> Option<PathBuf> {
    Some(listener.local_addr().ok()?.as_pathname()?.to_owned())
}

fn max_peers(config: &Config) -> io::Result<usize> {
    let available = fd_limit::available_peers(config.vectors)?.min(MAX_PEERS);
    let requested = config.max_peers.unwrap_or(available);
    if requested > available {
        warn!("peers limited to {available} of {requested}: raise the limit of open files (ulimit -Hn)");
    }
    Ok(requested.min(available))
}
