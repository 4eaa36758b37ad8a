//! Who comes in and who goes: clients are taken in, refused, and seen off.

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

/// At the end, how long to wait for clients of whom none reads anything.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// At the end, how long to wait for clients that read. Below systemd's `TimeoutStopSec` of 90 s and that of our unit.
const FLUSH_DEADLINE: Duration = Duration::from_secs(10);

/// With so few free ids the log warns.
const LOW_ID_MARK: u32 = 4096;

/// How long to leave the listener alone after it failed for a reason that does not pass by itself.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the running server works on.
#[derive(Debug)]
pub(crate) struct ClientManager {
    pub(crate) shared: Arc<SharedState>,
    access: Access,
    room: SendBudget,
    pub(crate) tasks: JoinSet<ClientExit>,
    /// Changes when somebody came or left.
    news: watch::Sender<()>,
    /// Becomes true at the end.
    stopping: watch::Sender<bool>,
    /// A descriptor to give up when there are no others, so that a client can be turned away.
    spare: Option<File>,
    throttle: LogThrottle,
    /// The memory's size at the last check, if it is smaller than it was made.
    shrunk: Option<u64>,
}

impl ClientManager {
    /// Takes what is needed to take clients in. Fails if /dev/null cannot be opened.
    pub(crate) fn new(shared: SharedState, access: Access) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::new(shared),
            access,
            room: SendBudget::new(),
            tasks: JoinSet::new(),
            news: watch::Sender::new(()),
            stopping: watch::Sender::new(false),
            spare: Some(open_spare()?),
            throttle: LogThrottle::default(),
            shrunk: None,
        })
    }

    pub(crate) fn accept_client(&mut self, stream: UnixStream) {
        // An id is spent on nobody who is gone again, such as a server that asks whether this one
        // lives.
        if let Some(reason) = already_over(&stream) {
            debug!("a client left before the hand-over: it {reason}");
            return;
        }
        let credentials = Credentials::of(&stream);
        let pid = credentials.and_then(|credentials| credentials.pid);
        let uid = credentials.map(|credentials| credentials.uid);
        if !self.access.admits(credentials) {
            refuse_client(stream);
            self.count_refusal(credentials, "its user is not allowed (--allow-uid, --allow-gid)");
            return;
        }
        let joined = self.shared.registry().join(credentials);
        match joined {
            Ok(view) => {
                let peers = self.shared.registry().len();
                debug!(peers, pid, uid, "peer {} joined", view.id);
                self.warn_if_ids_low();
                let room = self.room.take();
                let shared = Arc::clone(&self.shared);
                let (news, stopping) = (self.news.subscribe(), self.stopping.subscribe());
                self.tasks.spawn(connection::serve(stream, view, room, shared, news, stopping));
                self.news.send_replace(());
            }
            Err(refusal) => {
                refuse_client(stream);
                self.count_refusal(credentials, &refusal.to_string());
            }
        }
    }

    /// In time to stop the peers that hold ids, before no client can join any more.
    fn warn_if_ids_low(&mut self) {
        let (free, held) = {
            let registry = self.shared.registry();
            (registry.free_ids(), registry.held_ids())
        };
        if free > LOW_ID_MARK {
            return;
        }
        // The count varies, so it is not part of the text by which repetitions are recognized.
        let text = "few ids are free: the ids of peers that left are held until every peer that was notified of them has \
                    left, too. Stop or restart the longest-lived peers (`ivshmem-server status`)";
        if let Decision::Log(left_out) = self.throttle.check(text, Instant::now()) {
            warn!(free, held, left_out, "{text}");
        }
    }

    /// Whoever can connect can have this said as often as it likes, and would fill the log.
    fn count_refusal(&mut self, credentials: Option<Credentials>, why: &str) {
        self.shared.counters.refused.fetch_add(1, Relaxed);
        let pid = credentials.and_then(|credentials| credentials.pid);
        let uid = credentials.map(|credentials| credentials.uid);
        let gid = credentials.map(|credentials| credentials.gid);
        // Details that vary come after a colon.
        let cause = why.split(':').next().unwrap_or(why);
        match self.throttle.check(cause, Instant::now()) {
            Decision::Log(left_out) => warn!(pid, uid, gid, left_out, "a client was refused: {why}"),
            Decision::Suppress => debug!(pid, uid, gid, "a client was refused: {why}"),
        }
    }

    /// Logs that the memory is smaller than it was made, and which peers are at risk, once for each change.
    pub(crate) fn check_memory(&mut self, memory: &SharedMemory) {
        let shrunk = memory.current_size().filter(|&size| size < memory.size());
        if shrunk == std::mem::replace(&mut self.shrunk, shrunk) {
            return;
        }
        let (place, made) = (memory.place(), Bytes(memory.size()));
        let Some(size) = shrunk else {
            warn!("{place} has {made} again: what was in the part that was cut off is lost");
            return;
        };
        let peers = self.shared.registry().at_risk();
        error!(
            "{place} was shrunk from {made} to {}: a peer that accesses the missing part ends with SIGBUS. At risk: {peers}. \
             `truncate -s {} {place}` restores the size; prefer the default memory, which is sealed against this",
            Bytes(size),
            memory.size()
        );
    }

    pub(crate) fn on_client_exit(&mut self, departed: Result<ClientExit, JoinError>) {
        let ClientExit { view, reason, room } = match departed {
            Ok(departure) => departure,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => return,
            },
        };
        self.room.give_back(room);
        let peers = {
            let mut registry = self.shared.registry();
            registry.leave(&view);
            registry.len()
        };
        let id = view.id;
        self.news.send_replace(());
        match reason {
            DisconnectReason::Closed | DisconnectReason::ServerStopped => debug!(peers, "peer {id} left: it {reason}"),
            DisconnectReason::Failed(_) => warn!(peers, "peer {id} left: it {reason}"),
            DisconnectReason::SentData | DisconnectReason::Stalled(_) => {
                self.shared.counters.cut_off.fetch_add(1, Relaxed);
                warn!(peers, "peer {id} left: it {reason}");
            }
        }
    }

    /// Out of descriptors, the kernel would offer the same client again at once, for ever.
    pub(crate) async fn accept_failed(&mut self, listener: &UnixListener, error: &io::Error) {
        match Errno::from_io_error(error) {
            Some(Errno::CONNABORTED | Errno::INTR) => {}
            Some(Errno::MFILE | Errno::NFILE) if self.reject_without_fd(listener) => {
                self.count_refusal(None, &error.to_string());
            }
            _ => {
                let what = format!("cannot accept a client: {error}");
                match self.throttle.check(&what, Instant::now()) {
                    Decision::Log(left_out) => warn!(left_out, "{what}"),
                    Decision::Suppress => debug!("{what}"),
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Turns a client away for whom there is no descriptor, with the spare one.
    fn reject_without_fd(&mut self, listener: &UnixListener) -> bool {
        if self.spare.take().is_none() {
            self.spare = open_spare().ok();
            return false;
        }
        let accepted = accept(listener).map(|stream| refuse(&stream));
        self.spare = open_spare().ok();
        accepted.is_ok()
    }

    pub(crate) async fn close(&mut self) {
        let (peers, doorbells) = {
            let mut registry = self.shared.registry();
            (registry.len(), registry.close_all())
        };
        self.stopping.send_replace(true);
        self.news.send_replace(());
        let begun = Instant::now();
        let messages = || self.shared.counters.messages.load(Relaxed);
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

fn accept(listener: impl AsFd) -> Result<StdStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    accept_with(listener, flags).map(StdStream::from)
}

/// Refuses whoever waits at a non-blocking listener.
pub(crate) fn reject_pending(listener: impl AsFd) {
    while let Ok(stream) = accept(&listener) {
        refuse(&stream);
    }
}

fn open_spare() -> io::Result<File> {
    File::open("/dev/null")
}

/// Whether a client closed its connection, or spoke, before it was told anything.
fn already_over(stream: &UnixStream) -> Option<DisconnectReason> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match recv(stream, &mut [0; 1], flags) {
        Ok((0, _)) => Some(DisconnectReason::Closed),
        Ok(_) => Some(DisconnectReason::SentData),
        Err(Errno::AGAIN | Errno::INTR) => None,
        Err(errno) => Some(DisconnectReason::Failed(errno.into())),
    }
}

fn refuse_client(stream: UnixStream) {
    if let Ok(stream) = stream.into_std() {
        refuse(&stream);
    }
}

/// Refuses in a way that ends QEMU's devices with an error of their own: at a bare end of the stream they spin.
fn refuse(mut stream: &StdStream) {
    let _ = stream.write(wire::REFUSAL_MESSAGES.map(wire::encode).as_flattened());
}
