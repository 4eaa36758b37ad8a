//! The life of a server: bind, take clients in, see them off, stop.

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

use crate::activation::Inherited;
use crate::config::Config;
use crate::descriptors;
use crate::doors::{ACCEPT_PAUSE, Doors, refuse_waiting};
use crate::hall::Hall;
use crate::memory::{MemoryError, SharedMemory};
use crate::pid_file::PidFile;
use crate::registry::{Registry, new_eventfd};
use crate::socket_file::{SocketError, SocketFile};
use crate::status::{self, Origin};

/// As many as there are ids.
const MOST_PEERS: usize = 1 << u16::BITS;

/// How many may read the status at a time; the next ones wait.
const MOST_READERS: usize = 8;

/// How often the size of memory that is not sealed is checked, apart from each join.
const SIZE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Why a server does not start, or stops.
#[derive(Debug, Error)]
pub enum ServerError {
    /// There is no shared memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// There is no socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The status would be told where clients connect.
    #[error("{} cannot be both --socket and --status-socket: give each a path of its own", .0.display())]
    SameSocket(PathBuf),
    /// The process id cannot be written.
    #[error("cannot write the process id to {}", path.display())]
    PidFile {
        /// The file's path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not even one peer fits into the limit of open files.
    #[error(
        "a peer with {vectors} vector{} does not fit into the limit of {limit} open files: \
         raise it (ulimit -Hn), or give fewer --vectors",
        if *.vectors == 1 { "" } else { "s" }
    )]
    TooFewDescriptors {
        /// How many vectors a peer has.
        vectors: u16,
        /// The limit.
        limit: u64,
    },
    /// The system does not give what every server needs.
    #[error("cannot {step}")]
    System {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// A server that listens. Whoever connects before [`run`](Self::run) waits.
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
    clients: StdListener,
    status: Option<StdListener>,
    memory: SharedMemory,
    origin: Origin,
    doors: Doors,
    /// The clients' socket is somebody else's, and stays for the next start.
    inherited: bool,
    // Held for their drop only. What is inherited has no such file.
    files: Vec<SocketFile>,
    _pid_file: Option<PidFile>,
}

impl Server {
    /// Takes what a server needs from the machine. All of it is given back when the server is dropped.
    pub fn bind(config: &Config) -> Result<Self, ServerError> {
        Self::bind_with(config, Inherited::default())
    }

    /// The same, on sockets that somebody else opened, as far as there are any: they take the place of those of
    /// `config`, keep their permissions, and are left in place at the end.
    pub fn bind_with(config: &Config, inherited: Inherited) -> Result<Self, ServerError> {
        let mut files = Vec::new();
        let mut socket = config.socket.clone();
        let is_inherited = inherited.clients.is_some();
        let clients = if let Some(listener) = inherited.clients {
            socket = path_of(&listener).unwrap_or_else(|| "a socket without a path".into());
            listener
        } else {
            let (listener, file) = SocketFile::claim(&config.socket, config.socket_mode)?;
            files.push(file);
            listener
        };
        if let Some(note) = config.backing.note() {
            info!("{note}");
        }
        let furnished = Self::furnish(config).and_then(|furniture| {
            let status = match (inherited.status, &config.status_socket) {
                (Some(listener), _) => Some(listener),
                (None, Some(path)) if is_same_file(path, &socket) => {
                    return Err(ServerError::SameSocket(path.clone()));
                }
                (None, Some(path)) => {
                    let (listener, file) = SocketFile::claim(path, config.socket_mode)?;
                    files.push(file);
                    Some(listener)
                }
                (None, None) => None,
            };
            // systemd's may be blocking.
            for listener in status.iter().chain([&clients]) {
                listener
                    .set_nonblocking(true)
                    .map_err(|source| ServerError::System { step: "make a socket non-blocking", source })?;
            }
            Ok((furniture, status))
        });
        match furnished {
            Ok(((memory, pid_file, doors), status)) => {
                info!(
                    memory = memory.description(),
                    vectors = config.vectors,
                    max_peers = doors.hall.registry().max_peers(),
                    "listening on {}",
                    socket.display()
                );
                let origin = Origin::new(&socket, &memory);
                Ok(Self { clients, status, memory, origin, doors, inherited: is_inherited, files, _pid_file: pid_file })
            }
            Err(error) => {
                // A QEMU that connected meanwhile would spin for ever if its connection simply closed.
                let _ = clients.set_nonblocking(true);
                refuse_waiting(&clients);
                Err(error)
            }
        }
    }

    /// Everything behind the socket.
    fn furnish(config: &Config) -> Result<(SharedMemory, Option<PidFile>, Doors), ServerError> {
        let system = |step| move |source| ServerError::System { step, source };
        let memory = SharedMemory::create(&config.backing, config.size)?;
        let pid_file = config
            .pid_file
            .as_deref()
            .map(|path| PidFile::write(path).map_err(|source| ServerError::PidFile { path: path.into(), source }));
        let pid_file = pid_file.transpose()?;
        let silent_bell = new_eventfd().map_err(system("make an eventfd"))?;
        let max_peers = max_peers(config).map_err(system("count the open files in /proc"))?;
        if max_peers == 0 {
            return Err(ServerError::TooFewDescriptors { vectors: config.vectors, limit: descriptors::limit() });
        }
        let registry = Registry::new(memory.shared_fd(), config.vectors, max_peers);
        let hall = Hall::new(registry, config.vectors, silent_bell, config.stall_deadline);
        let doors = Doors::new(hall, config.access.clone()).map_err(system("open /dev/null"))?;
        Ok((memory, pid_file, doors))
    }

    /// The shared memory that clients get.
    #[must_use]
    pub fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    /// Serves until `shutdown` is ready, then tells everybody that all others left. Needs a tokio
    /// runtime with I/O and time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self { clients, status, memory, origin, inherited, files, mut doors, .. } = self;
        let failed = |source| ServerError::System { step: "wait on the socket", source };
        let listener = UnixListener::from_std(clients).map_err(failed)?;
        let status = status.map(UnixListener::from_std).transpose().map_err(failed)?;
        let mut size_checks = interval(SIZE_CHECK_INTERVAL);
        size_checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut readers = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            // Those who go make room for those who come.
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(departed) = doors.tasks.join_next() => doors.see_off(departed),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        doors.admit(stream);
                        doors.check_memory(&memory);
                    }
                    Err(error) => doors.accept_failed(&listener, &error).await,
                },
                _ = size_checks.tick(), if !memory.is_sealed() => doors.check_memory(&memory),
                Some(_) = readers.join_next() => {}
                Some(reader) = next_reader(status.as_ref()), if readers.len() < MOST_READERS => {
                    readers.spawn(status::answer(reader, origin.snapshot(&doors.hall, &memory)));
                }
            }
        }
        drop(files);
        // Who waits at an inherited socket is for the next start to serve.
        if !inherited {
            refuse_waiting(&listener);
        }
        drop(listener);
        doors.close().await;
        Ok(())
    }
}

/// The next one that asks for the status; never, without a socket for it.
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

/// Whether two paths lead to one file, however they are written.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

fn path_of(listener: &StdListener) -> Option<PathBuf> {
    Some(listener.local_addr().ok()?.as_pathname()?.to_owned())
}

fn max_peers(config: &Config) -> io::Result<usize> {
    let room = descriptors::room_for_peers(config.vectors)?.min(MOST_PEERS);
    let wanted = config.max_peers.unwrap_or(room);
    if wanted > room {
        warn!("there are descriptors for {room} peers only: raise the limit of open files (ulimit -Hn) for {wanted}");
    }
    Ok(wanted.min(room))
}
