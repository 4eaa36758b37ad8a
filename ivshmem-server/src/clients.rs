//! Accepts, rejects and disconnects clients.

mod connection;
mod fd_budget;
mod log_throttle;
mod outbox;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use proto::wire;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, accept_with, recv};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::access::{Access, Credentials};
use crate::memory::SharedMemory;
use crate::shared::SharedState;
use crate::size::Bytes;
use connection::{ClientExit, DisconnectReason};
use fd_budget::SendBudget;
use log_throttle::{Decision, LogThrottle};

/// Shutdown stops waiting after this time without any message sent.
const FLUSH_IDLE_LIMIT: Duration = Duration::from_secs(2);

/// Shutdown stops waiting after this time. Below `TimeoutStopSec` of systemd (90 s) and of the unit in this repository.
const FLUSH_LIMIT: Duration = Duration::from_secs(10);

/// The log warns below this number of free ids.
const LOW_ID_MARK: u32 = 4096;

/// Pause after a persistent failure of accept.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The client tasks of the running server.
#[derive(Debug)]
pub(crate) struct ClientManager {
    pub(crate) shared: Arc<SharedState>,
    access: Access,
    send_budget: SendBudget,
    pub(crate) tasks: JoinSet<ClientExit>,
    /// Changes at each join and leave.
    updates: watch::Sender<()>,
    /// Becomes true at shutdown.
    stopping: watch::Sender<bool>,
    /// Closed to accept, and then reject, a client when no other descriptor is left.
    spare: Option<File>,
    throttle: LogThrottle,
    /// The memory's size at the last check, if it differed from the original size.
    resized: Option<u64>,
}

impl ClientManager {
    /// Fails if /dev/null cannot be opened.
    pub(crate) fn new(shared: SharedState, access: Access) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::new(shared),
            access,
            send_budget: SendBudget::new(),
            tasks: JoinSet::new(),
            updates: watch::Sender::new(()),
            stopping: watch::Sender::new(false),
            spare: Some(open_spare()?),
            throttle: LogThrottle::default(),
            resized: None,
        })
    }

    /// Accepts a client, or rejects it with the reason in the log.
    pub(crate) fn accept_client(&mut self, stream: UnixStream, memory: &SharedMemory) {
        // A client that has already left gets no id. A starting server, for example, probes this one with a connection.
        if let Some(reason) = already_ended(&stream) {
            debug!("a client left before the handshake: it {reason}");
            return;
        }
        let credentials = Credentials::from_stream(&stream);
        if !self.access.allows(credentials) {
            reject_client(stream);
            self.count_rejection(credentials, "its user is not allowed (--allow-uid, --allow-gid)");
            return;
        }
        self.check_memory(memory);
        if let Some(size) = self.resized {
            reject_client(stream);
            // QEMU's device fails an assertion on a size that is not a power of two.
            let (original, size) = (Bytes(memory.size()), Bytes(size));
            self.count_rejection(credentials, &format!("the memory was resized: from {original} to {size}"));
            return;
        }
        let joined = self.shared.registry().join(credentials);
        match joined {
            Ok(view) => {
                let peers = self.shared.registry().len();
                debug!(peers, pid = credentials.pid, uid = credentials.uid, "peer {} joined", view.id);
                self.warn_if_ids_low();
                let budget = self.send_budget.take();
                let shared = Arc::clone(&self.shared);
                let (updates, stopping) = (self.updates.subscribe(), self.stopping.subscribe());
                self.tasks.spawn(connection::serve(stream, view, budget, shared, updates, stopping));
                self.updates.send_replace(());
            }
            Err(error) => {
                reject_client(stream);
                self.count_rejection(credentials, &error.to_string());
            }
        }
    }

    /// Warns early enough to stop the peers that hold ids before no client can join any more.
    fn warn_if_ids_low(&mut self) {
        let (free, held) = {
            let registry = self.shared.registry();
            (registry.free_ids(), registry.held_ids())
        };
        if free > LOW_ID_MARK {
            return;
        }
        // The numbers vary, so they are not part of the text by which the throttle recognizes repetitions.
        let text = "few ids are free: the ids of peers that left are held until every peer that was notified of them has \
                    left, too. Stop or restart the longest-lived peers (`ivshmem-server status`)";
        if let Decision::Log(left_out) = self.throttle.check(text, Instant::now()) {
            warn!(free, held, left_out, "{text}");
        }
    }

    /// Counts and logs a rejection. Clients can cause any number of them, so the log is throttled.
    fn count_rejection(&mut self, credentials: Credentials, reason: &str) {
        self.shared.totals.refused.fetch_add(1, Relaxed);
        let Credentials { pid, uid, gid } = credentials;
        // Details that vary come after a colon.
        let cause = reason.split(':').next().unwrap_or(reason);
        match self.throttle.check(cause, Instant::now()) {
            Decision::Log(left_out) => warn!(pid, uid, gid, left_out, "a client was refused: {reason}"),
            Decision::Suppress => debug!(pid, uid, gid, "a client was refused: {reason}"),
        }
    }

    /// Logs each change of the memory's size, and the peers at risk while it is too small.
    pub(crate) fn check_memory(&mut self, memory: &SharedMemory) {
        let resized = memory.current_size().filter(|&size| size != memory.size());
        if resized == std::mem::replace(&mut self.resized, resized) {
            return;
        }
        let (path, original) = (memory.path(), Bytes(memory.size()));
        let path = path.display();
        let Some(size) = resized else {
            warn!("{path} has its size of {original} again: data in a part that was missing is lost");
            return;
        };
        let (change, effect) = if size < memory.size() {
            let peers = self.shared.registry().at_risk();
            ("shrunk", format!("a peer that accesses the missing part ends with SIGBUS. At risk: {peers}"))
        } else {
            ("enlarged", "present peers are not affected".into())
        };
        error!(
            "{path} was {change} from {original} to {}: {effect}. New clients are refused until `truncate -s {} {path}` \
             restores the size; prefer the default memory, which is sealed against this",
            Bytes(size),
            memory.size()
        );
    }

    pub(crate) fn on_client_exit(&mut self, exited: Result<ClientExit, JoinError>) {
        let ClientExit { view, reason, released } = match exited {
            Ok(exit) => exit,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => return,
            },
        };
        self.send_budget.give_back(released);
        let peers = {
            let mut registry = self.shared.registry();
            registry.leave(&view);
            registry.len()
        };
        let id = view.id;
        self.updates.send_replace(());
        match reason {
            DisconnectReason::Closed | DisconnectReason::ServerStopped => debug!(peers, "peer {id} left: it {reason}"),
            DisconnectReason::Failed(_) => warn!(peers, "peer {id} left: it {reason}"),
            DisconnectReason::SentData | DisconnectReason::Stalled(_) => {
                self.shared.totals.cut_off.fetch_add(1, Relaxed);
                warn!(peers, "peer {id} left: it {reason}");
            }
        }
    }

    /// Without free descriptors the same client stays in the backlog, and accept would fail again immediately. So the
    /// client is rejected, or accept pauses.
    pub(crate) async fn accept_failed(&mut self, listener: &UnixListener, error: &io::Error) {
        match Errno::from_io_error(error) {
            Some(Errno::CONNABORTED | Errno::INTR) => {}
            Some(Errno::MFILE | Errno::NFILE) if self.reject_without_fd(listener) => {
                self.count_rejection(Credentials::default(), &error.to_string());
            }
            _ => {
                let text = format!("cannot accept a client: {error}");
                match self.throttle.check(&text, Instant::now()) {
                    Decision::Log(left_out) => warn!(left_out, "{text}"),
                    Decision::Suppress => debug!("{text}"),
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Accepts a client with the spare descriptor and rejects it.
    fn reject_without_fd(&mut self, listener: &UnixListener) -> bool {
        if self.spare.take().is_none() {
            self.spare = open_spare().ok();
            return false;
        }
        let accepted = accept(listener).map(|stream| reject(&stream));
        self.spare = open_spare().ok();
        accepted.is_ok()
    }

    /// Notifies all clients that the others left, waits until they have read it, and closes their connections.
    pub(crate) async fn close(&mut self) {
        let (peers, doorbells) = {
            let mut registry = self.shared.registry();
            (registry.len(), registry.close_all())
        };
        self.stopping.send_replace(true);
        self.updates.send_replace(());
        let start = Instant::now();
        let messages = || self.shared.totals.messages.load(Relaxed);
        let (mut sent, mut last_sent) = (messages(), start);
        while !self.tasks.is_empty() {
            let _ = timeout(ACCEPT_PAUSE, self.tasks.join_next()).await;
            if messages() != sent {
                (sent, last_sent) = (messages(), Instant::now());
            }
            if last_sent.elapsed() > FLUSH_IDLE_LIMIT || start.elapsed() > FLUSH_LIMIT {
                warn!("{} peers did not read all messages", self.tasks.len());
                break;
            }
        }
        self.tasks.shutdown().await;
        drop(doorbells);
        info!(peers, "stopped");
    }
}

fn accept(listener: impl AsFd) -> Result<StdStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    accept_with(listener, flags).map(StdStream::from)
}

/// Rejects all clients in the backlog of a non-blocking listener.
pub(crate) fn reject_pending(listener: impl AsFd) {
    while let Ok(stream) = accept(&listener) {
        reject(&stream);
    }
}

fn open_spare() -> io::Result<File> {
    File::open("/dev/null")
}

/// Why the connection has ended before the handshake, if it has.
fn already_ended(stream: &UnixStream) -> Option<DisconnectReason> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match recv(stream, &mut [0; 1], flags) {
        Ok((0, _)) => Some(DisconnectReason::Closed),
        Ok(_) => Some(DisconnectReason::SentData),
        Err(Errno::AGAIN | Errno::INTR) => None,
        Err(errno) => Some(DisconnectReason::Failed(errno.into())),
    }
}

fn reject_client(stream: UnixStream) {
    if let Ok(stream) = stream.into_std() {
        reject(&stream);
    }
}

/// Sends messages on which QEMU's device fails with an error. It would spin on a plain end of the stream.
fn reject(mut stream: &StdStream) {
    let _ = stream.write(wire::REFUSAL_MESSAGES.map(wire::encode).as_flattened());
}
