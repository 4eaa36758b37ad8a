//! The life of a server: bind, take clients in, see them off, stop.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use proto::wire;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, accept_with, recv};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::access::{Access, Credentials};
use crate::activation::Inherited;
use crate::config::Config;
use crate::descriptors;
use crate::hall::Hall;
use crate::in_flight::Room;
use crate::memory::{MemoryError, SharedMemory};
use crate::peer::{self, Departure, Ending};
use crate::pid_file::PidFile;
use crate::registry::{Registry, new_eventfd};
use crate::socket_file::{SocketError, SocketFile};
use crate::status::{self, Origin};

/// At the end, how long to wait for clients of whom none reads anything.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// At the end, how long to wait for clients that read. Below systemd's `TimeoutStopSec` of 90 s and that of our unit.
const FLUSH_DEADLINE: Duration = Duration::from_secs(10);

/// How long to leave the listener alone after it failed for a reason that does not pass by itself.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// As many as there are ids.
const MOST_PEERS: usize = 1 << u16::BITS;

/// How many may read the status at a time; the next ones wait.
const MOST_READERS: usize = 8;

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

/// What the running server works on.
#[derive(Debug)]
struct Doors {
    hall: Arc<Hall>,
    access: Access,
    room: Room,
    tasks: JoinSet<Departure>,
    /// Changes when somebody came or left.
    news: watch::Sender<()>,
    /// Becomes true at the end.
    stopping: watch::Sender<bool>,
    /// A descriptor to give up when there are no others, so that a client can be turned away.
    spare: Option<File>,
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
        let furnished = Self::furnish(config).and_then(|furniture| {
            let status = match (inherited.status, &config.status_socket) {
                (Some(listener), _) => Some(listener),
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
        let spare = Some(open_spare().map_err(system("open /dev/null"))?);
        let max_peers = max_peers(config).map_err(system("count the open files in /proc"))?;
        if max_peers == 0 {
            return Err(ServerError::TooFewDescriptors { vectors: config.vectors, limit: descriptors::limit() });
        }
        let registry = Registry::new(memory.shared_fd(), config.vectors, max_peers);
        let doors = Doors {
            hall: Arc::new(Hall::new(registry, config.vectors, silent_bell, config.stall_deadline)),
            access: config.access.clone(),
            room: Room::new(),
            tasks: JoinSet::new(),
            news: watch::Sender::new(()),
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
        let Self { clients, status, origin, inherited, files, mut doors, .. } = self;
        let failed = |source| ServerError::System { step: "wait on the socket", source };
        let listener = UnixListener::from_std(clients).map_err(failed)?;
        let status = status.map(UnixListener::from_std).transpose().map_err(failed)?;
        let mut readers = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            // Those who go make room for those who come.
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(departed) = doors.tasks.join_next() => doors.see_off(departed),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => doors.admit(stream),
                    Err(error) => doors.accept_failed(&listener, &error).await,
                },
                Some(_) = readers.join_next() => {}
                Some(reader) = next_reader(status.as_ref()), if readers.len() < MOST_READERS => {
                    readers.spawn(status::answer(reader, origin.snapshot(&doors.hall)));
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

impl Doors {
    fn admit(&mut self, stream: UnixStream) {
        // An id is spent on nobody who is gone again, such as a server that asks whether this one
        // lives.
        if let Some(ending) = already_over(&stream) {
            debug!("a client left before the hand-over: it {ending}");
            return;
        }
        let credentials = Credentials::of(&stream);
        let pid = credentials.and_then(|credentials| credentials.pid);
        let uid = credentials.map(|credentials| credentials.uid);
        if !self.access.admits(credentials) {
            let gid = credentials.map(|credentials| credentials.gid);
            warn!(pid, uid, gid, "a client was refused: its user is not allowed (--allow-uid, --allow-gid)");
            self.refuse(stream);
            return;
        }
        let joined = self.hall.registry().join(credentials);
        match joined {
            Ok(view) => {
                let peers = self.hall.registry().len();
                debug!(peers, pid, uid, "peer {} joined", view.id);
                let room = self.room.take();
                let hall = Arc::clone(&self.hall);
                let (news, stopping) = (self.news.subscribe(), self.stopping.subscribe());
                self.tasks.spawn(peer::serve(stream, view, room, hall, news, stopping));
                self.news.send_replace(());
            }
            Err(refusal) => {
                warn!(pid, uid, "a client was refused: {refusal}");
                self.refuse(stream);
            }
        }
    }

    fn refuse(&self, stream: UnixStream) {
        self.hall.counters.refused.fetch_add(1, Relaxed);
        if let Ok(stream) = stream.into_std() {
            refuse(&stream);
        }
    }

    fn see_off(&mut self, departed: Result<Departure, JoinError>) {
        let Departure { id, ending, room } = match departed {
            Ok(departure) => departure,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => return,
            },
        };
        self.room.give_back(room);
        let peers = {
            let mut registry = self.hall.registry();
            registry.leave(id);
            registry.len()
        };
        self.news.send_replace(());
        match ending {
            Ending::Closed | Ending::ServerStopped => debug!(peers, "peer {id} left: it {ending}"),
            Ending::Failed(_) => warn!(peers, "peer {id} left: it {ending}"),
            Ending::Spoke | Ending::Stalled(_) => {
                self.hall.counters.cut_off.fetch_add(1, Relaxed);
                warn!(peers, "peer {id} left: it {ending}");
            }
        }
    }

    /// Out of descriptors, the kernel would offer the same client again at once, for ever.
    async fn accept_failed(&mut self, listener: &UnixListener, error: &io::Error) {
        match Errno::from_io_error(error) {
            Some(Errno::CONNABORTED | Errno::INTR) => {}
            Some(Errno::MFILE | Errno::NFILE) if self.turn_away(listener) => {
                self.hall.counters.refused.fetch_add(1, Relaxed);
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
        let accepted = accept(listener).map(|stream| refuse(&stream));
        self.spare = open_spare().ok();
        accepted.is_ok()
    }

    async fn close(&mut self) {
        let (peers, doorbells) = {
            let mut registry = self.hall.registry();
            (registry.len(), registry.dissolve())
        };
        self.stopping.send_replace(true);
        self.news.send_replace(());
        let begun = Instant::now();
        let messages = || self.hall.counters.messages.load(Relaxed);
        let (mut told, mut last_told) = (messages(), begun);
        while !self.tasks.is_empty() {
            let _ = timeout(ACCEPT_PAUSE, self.tasks.join_next()).await;
            if messages() != told {
                (told, last_told) = (messages(), Instant::now());
            }
            if last_told.elapsed() > FLUSH_PATIENCE || begun.elapsed() > FLUSH_DEADLINE {
                warn!("{} peers did not read to the end", self.tasks.len());
                break;
            }
        }
        self.tasks.shutdown().await;
        drop(doorbells);
        info!(peers, "stopped");
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

fn path_of(listener: &StdListener) -> Option<PathBuf> {
    Some(listener.local_addr().ok()?.as_pathname()?.to_owned())
}

fn accept(listener: impl AsFd) -> Result<StdStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    accept_with(listener, flags).map(StdStream::from)
}

/// Refuses whoever waits at a non-blocking listener.
fn refuse_waiting(listener: impl AsFd) {
    while let Ok(stream) = accept(&listener) {
        refuse(&stream);
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
