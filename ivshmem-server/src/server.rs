//! The life of a server: bind, take clients in, see them off, stop.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use proto::fd_passing;
use proto::wire::{self, PeerId};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, accept_with, recv};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::config::Config;
use crate::descriptors;
use crate::memory::{MemoryError, SharedMemory};
use crate::outbox::Terms;
use crate::peer::{self, Ending};
use crate::pid_file::PidFile;
use crate::registry::{Registry, new_eventfd};
use crate::socket_file::{SocketError, SocketFile};

/// How long clients have at the end to read what they are still told.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// How long to leave the listener alone after it failed for a reason that does not pass by itself.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// As many as there are ids.
const MOST_PEERS: usize = 1 << u16::BITS;

/// Why a server does not start, or stops.
#[derive(Debug, Error)]
pub enum ServerError {
    /// There is no shared memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// There is no socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
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
        "a peer with {vectors} vectors does not fit into the limit of {limit} open files: \
         raise it (ulimit -Hn), or give fewer --vectors"
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
    listener: StdListener,
    socket: SocketFile,
    memory: SharedMemory,
    doors: Doors,
    // Held for their drop only.
    _pid_file: Option<PidFile>,
}

/// What the running server works on.
#[derive(Debug)]
struct Doors {
    registry: Registry,
    terms: Terms,
    tasks: JoinSet<(PeerId, Ending)>,
    /// Becomes true at the end.
    stopping: watch::Sender<bool>,
    /// A descriptor to give up when there are no others, so that a client can be turned away.
    spare: Option<File>,
}

impl Server {
    /// Takes what a server needs from the machine. All of it is given back when the server is dropped.
    pub fn bind(config: &Config) -> Result<Self, ServerError> {
        let (listener, socket) = SocketFile::claim(&config.socket, config.socket_mode)?;
        match Self::furnish(config) {
            Ok((memory, pid_file, doors)) => {
                info!(
                    memory = memory.description(),
                    vectors = config.vectors,
                    max_peers = doors.registry.max_peers(),
                    "listening on {}",
                    config.socket.display()
                );
                Ok(Self { listener, socket, doors, memory, _pid_file: pid_file })
            }
            Err(error) => {
                // A QEMU that connected meanwhile would spin for ever if its connection simply closed.
                while let Ok((client, _)) = listener.accept() {
                    let _ = fd_passing::send(&client, wire::REFUSAL, None);
                }
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
        let silent_bell = Arc::new(new_eventfd().map_err(system("make an eventfd"))?);
        let spare = Some(open_spare().map_err(system("open /dev/null"))?);
        let max_peers = max_peers(config).map_err(system("count the open files in /proc"))?;
        if max_peers == 0 {
            return Err(ServerError::TooFewDescriptors { vectors: config.vectors, limit: descriptors::limit() });
        }
        let doors = Doors {
            registry: Registry::new(memory.shared_fd(), config.vectors, max_peers),
            terms: Terms { vectors: config.vectors, silent_bell },
            tasks: JoinSet::new(),
            stopping: watch::Sender::new(false),
            spare,
        };
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
        let Self { listener, socket, mut doors, .. } = self;
        let listener = UnixListener::from_std(listener)
            .map_err(|source| ServerError::System { step: "wait on the socket", source })?;
        let mut shutdown = pin!(shutdown);
        loop {
            // Those who go make room for those who come.
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = doors.tasks.join_next() => doors.see_off(ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => doors.admit(stream),
                    Err(error) => doors.accept_failed(&listener, &error).await,
                },
            }
        }
        drop(socket);
        drop(listener);
        doors.close().await;
        Ok(())
    }
}

impl Doors {
    fn admit(&mut self, stream: UnixStream) {
        // An id is spent on nobody who is gone again, such as a server that asks whether this one
        // lives.
        if let Some(ending) = already_over(&stream) {
            debug!("a client left before the hand-over: it {ending}");
            return;
        }
        match self.registry.join() {
            Ok(seat) => {
                let peers = self.registry.len();
                let owner = stream.peer_cred().ok();
                let pid = owner.and_then(|owner| owner.pid());
                let uid = owner.map(|owner| owner.uid());
                debug!(peers, pid, uid, "peer {} joined", seat.id);
                self.tasks.spawn(peer::serve(stream, seat, self.terms.clone(), self.stopping.subscribe()));
            }
            Err(refusal) => {
                warn!("a client was refused: {refusal}");
                if let Ok(stream) = stream.into_std() {
                    refuse(&stream);
                }
            }
        }
    }

    fn see_off(&mut self, ended: Result<(PeerId, Ending), JoinError>) {
        let (id, ending) = match ended {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => return,
            },
        };
        self.registry.leave(id);
        let peers = self.registry.len();
        match ending {
            Ending::Closed | Ending::ServerStopped => debug!(peers, "peer {id} left: it {ending}"),
            Ending::Spoke | Ending::Failed(_) => warn!(peers, "peer {id} left: it {ending}"),
        }
    }

    /// Out of descriptors, the kernel would offer the same client again at once, for ever.
    async fn accept_failed(&mut self, listener: &UnixListener, error: &io::Error) {
        match Errno::from_io_error(error) {
            Some(Errno::CONNABORTED | Errno::INTR) => {}
            Some(Errno::MFILE | Errno::NFILE) if self.turn_away(listener) => {
                warn!("a client was refused: {error}");
            }
            _ => {
                warn!("cannot accept a client: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Turns a client away for whom there is no descriptor, with the spare one.
    fn turn_away(&mut self, listener: &UnixListener) -> bool {
        if self.spare.take().is_none() {
            self.spare = open_spare().ok();
            return false;
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let accepted = accept_with(listener, flags).map(|fd| refuse(&fd.into()));
        self.spare = open_spare().ok();
        accepted.is_ok()
    }

    async fn close(&mut self) {
        let peers = self.registry.len();
        self.stopping.send_replace(true);
        let doorbells: Vec<Arc<[OwnedFd]>> = self.registry.dissolve();
        let all_gone = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(FLUSH_DEADLINE, all_gone).await.is_err() {
            warn!("{} peers did not read to the end", self.tasks.len());
        }
        self.tasks.shutdown().await;
        drop(doorbells);
        info!(peers, "stopped");
    }
}

fn max_peers(config: &Config) -> io::Result<usize> {
    let room = descriptors::room_for_peers(config.vectors)?.min(MOST_PEERS);
    let wanted = config.max_peers.unwrap_or(room);
    if wanted > room {
        warn!("there are descriptors for {room} peers only: raise the limit of open files (ulimit -Hn) for {wanted}");
    }
    Ok(wanted.min(room))
}

fn open_spare() -> io::Result<File> {
    File::open("/dev/null")
}

/// Whether a client closed its connection, or spoke, before it was told anything.
fn already_over(stream: &UnixStream) -> Option<Ending> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match recv(stream, &mut [0; 1], flags) {
        Ok((0, _)) => Some(Ending::Closed),
        Ok(_) => Some(Ending::Spoke),
        Err(Errno::AGAIN | Errno::INTR) => None,
        Err(errno) => Some(Ending::Failed(errno.into())),
    }
}

/// Says no in a way that QEMU's device understands: at a bare end of the stream it spins for ever.
fn refuse(mut stream: &StdStream) {
    let _ = stream.write(&wire::encode(wire::REFUSAL));
}
