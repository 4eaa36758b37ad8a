//! A server for many clients with one fault.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use memfd::FileSeal;
use proto::wire::{MEMORY, encode};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::net::SendFlags;
use tempfile::TempDir;

use test_support::mock_server::{try_send_many, unsealed};

/// Enough that about twenty clients fill a socket buffer.
pub(crate) const VECTORS: usize = 20;

/// The fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerFault {
    NoFault,
    Version1,
    IdWithDescriptor,
    NoMemory,
    PipeAsMemory,
    OddMemorySize,
    UnsealedMemory,
    SeparateMemories,
    DuplicateId,
    OwnVectorsFirst,
    InterleavedVectors,
    TwoDescriptors,
    PipesAsDoorbells,
    BlockingDoorbells,
    FewerPeerVectors,
    /// For clients that join after two others.
    FewerVectorsForLaterClients,
    /// For clients that join after two others.
    IncompletePeerList,
    EmptyPeerList,
    SwappedVectors,
    SemaphoreEventfds,
    MissingJoinVector,
    NoJoinNotice,
    DuplicateLeave,
    NoLeaveNotice,
    ReusedId,
    /// After more clients joined and left.
    ReusedIdLater,
    /// Not a violation: no client knows the former peers.
    IdsRestartWhenEmpty,
    ShrunkMemory,
    EnlargedMemory,
    LateDescriptors,
    DropsWhenFull,
    BlocksOnSlowReader,
    ExitsOnEarlyDisconnect,
}

/// A server in a temporary directory; its threads end with the test process.
pub(crate) struct MisbehavingServer {
    folder: TempDir,
}

impl MisbehavingServer {
    pub(crate) fn start(fault: ServerFault) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        thread::spawn(move || FaultyState::new(fault).serve(&listener));
        Self { folder }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

/// A queued message.
struct Message {
    value: i64,
    fds: Vec<Arc<OwnedFd>>,
}

struct Client {
    stream: UnixStream,
    eventfds: Vec<Arc<OwnedFd>>,
    outbox: SyncSender<Message>,
}

struct FaultyState {
    fault: ServerFault,
    memory: Arc<OwnedFd>,
    clients: BTreeMap<i64, Client>,
    next_id: i64,
}

impl FaultyState {
    fn new(fault: ServerFault) -> Self {
        Self { fault, memory: memory(fault), clients: BTreeMap::new(), next_id: 0 }
    }

    fn serve(mut self, listener: &UnixListener) {
        loop {
            let gone: Vec<i64> = {
                let mut fds = vec![PollFd::new(listener, PollFlags::IN)];
                fds.extend(self.clients.values().map(|client| PollFd::new(&client.stream, PollFlags::IN)));
                poll(&mut fds, None).unwrap();
                let closed = self.clients.keys().zip(&fds[1..]).filter(|(_, fd)| !fd.revents().is_empty());
                let closed = closed.map(|(id, _)| *id).collect();
                if !fds[0].revents().is_empty() && !self.accept(listener) {
                    return;
                }
                closed
            };
            for id in gone {
                self.leave(id);
            }
        }
    }

    /// Accepts a client; returns whether the server keeps running.
    fn accept(&mut self, listener: &UnixListener) -> bool {
        let (stream, _) = listener.accept().unwrap();
        if self.fault == ServerFault::ExitsOnEarlyDisconnect && disconnects_early(&stream) {
            return false;
        }
        let id = self.new_id();
        if id == 2 {
            let memory = File::from(self.memory.try_clone().unwrap());
            match self.fault {
                ServerFault::ShrunkMemory => memory.set_len(1 << 19).unwrap(),
                ServerFault::EnlargedMemory => memory.set_len(1 << 21).unwrap(),
                _ => {}
            }
        }
        let eventfds: Vec<_> = (0..VECTORS).map(|_| Arc::new(self.eventfd_for_vector())).collect();
        let outbox = self.outbox(stream.try_clone().unwrap());
        let client = Client { stream, eventfds, outbox };
        self.send_init_messages(id, &client);
        self.send_peer_list(id, &client);
        self.announce(id, &client);
        self.clients.insert(id, client);
        true
    }

    fn new_id(&mut self) -> i64 {
        match self.fault {
            ServerFault::DuplicateId => 0,
            ServerFault::ReusedId => (0..=i64::from(u16::MAX)).find(|id| !self.clients.contains_key(id)).unwrap(),
            ServerFault::ReusedIdLater if self.next_id > 12 => {
                (0..=i64::from(u16::MAX)).find(|id| !self.clients.contains_key(id)).unwrap()
            }
            fault => {
                if fault == ServerFault::IdsRestartWhenEmpty && self.clients.is_empty() {
                    self.next_id = 0;
                }
                self.next_id += 1;
                self.next_id - 1
            }
        }
    }

    fn eventfd_for_vector(&self) -> OwnedFd {
        match self.fault {
            ServerFault::PipesAsDoorbells => std::io::pipe().unwrap().1.into(),
            ServerFault::BlockingDoorbells => eventfd(0, EventfdFlags::CLOEXEC).unwrap(),
            ServerFault::SemaphoreEventfds => {
                eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE).unwrap()
            }
            _ => eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap(),
        }
    }

    fn send_init_messages(&self, id: i64, client: &Client) {
        let plain = |value| client.send(value, &[]);
        plain(i64::from(self.fault == ServerFault::Version1));
        match self.fault {
            ServerFault::IdWithDescriptor => client.send(id, &client.eventfds[..1]),
            _ => plain(id),
        }
        match self.fault {
            ServerFault::NoMemory => plain(MEMORY),
            ServerFault::SeparateMemories => client.send(MEMORY, &[memory(self.fault)]),
            _ => client.send(MEMORY, &[Arc::clone(&self.memory)]),
        }
    }

    fn send_peer_list(&self, id: i64, client: &Client) {
        if self.fault == ServerFault::OwnVectorsFirst {
            client.send_eventfds(id, &client.eventfds);
        }
        let is_later = self.clients.len() > 1;
        let (fewer, listed) = match self.fault {
            ServerFault::FewerPeerVectors => (1, usize::MAX),
            ServerFault::FewerVectorsForLaterClients if is_later => (1, usize::MAX),
            ServerFault::IncompletePeerList if is_later => (0, 1),
            ServerFault::EmptyPeerList => (0, 0),
            _ => (0, usize::MAX),
        };
        if self.fault == ServerFault::InterleavedVectors {
            for vector in 0..VECTORS {
                for (id, other) in &self.clients {
                    client.send_eventfds(*id, &other.eventfds[vector..=vector]);
                }
            }
        } else {
            for (id, other) in self.clients.iter().take(listed) {
                client.send_eventfds(*id, &other.eventfds[..VECTORS - fewer]);
            }
        }
        match self.fault {
            ServerFault::OwnVectorsFirst => {}
            ServerFault::TwoDescriptors => {
                client.send(id, &[&client.eventfds[..1], &client.eventfds[..1]].concat());
                client.send_eventfds(id, &client.eventfds[1..]);
            }
            _ => client.send_eventfds(id, &client.eventfds),
        }
    }

    fn announce(&self, id: i64, client: &Client) {
        for other in self.clients.values() {
            match self.fault {
                ServerFault::NoJoinNotice => {}
                // The last vector: a missing earlier one would shift the rest.
                ServerFault::MissingJoinVector => other.send_eventfds(id, &client.eventfds[..VECTORS - 1]),
                ServerFault::SwappedVectors => {
                    let reversed: Vec<_> = client.eventfds.iter().rev().map(Arc::clone).collect();
                    other.send_eventfds(id, &reversed);
                }
                _ => other.send_eventfds(id, &client.eventfds),
            }
        }
    }

    fn leave(&mut self, id: i64) {
        self.clients.remove(&id);
        let times = match self.fault {
            ServerFault::NoLeaveNotice => 0,
            ServerFault::DuplicateLeave => 2,
            _ => 1,
        };
        for other in self.clients.values() {
            (0..times).for_each(|_| other.send(id, &[]));
        }
    }

    /// The queue of a thread that sends the messages of a client.
    fn outbox(&self, stream: UnixStream) -> SyncSender<Message> {
        let fault = self.fault;
        let capacity = if fault == ServerFault::BlocksOnSlowReader { 0 } else { 1 << 16 };
        let (sender, messages) = sync_channel::<Message>(capacity);
        thread::spawn(move || {
            for message in messages {
                let bytes = encode(message.value);
                let fds: Vec<BorrowedFd<'_>> = message.fds.iter().map(|fd| fd.as_fd()).collect();
                // A client that is gone or has a full socket misses the message.
                let _ = match fault {
                    ServerFault::DropsWhenFull => try_send_many(&stream, &bytes, &fds, SendFlags::DONTWAIT),
                    ServerFault::LateDescriptors => try_send_many(&stream, &bytes[..4], &[], SendFlags::empty())
                        .and_then(|()| try_send_many(&stream, &bytes[4..], &fds, SendFlags::empty())),
                    _ => try_send_many(&stream, &bytes, &fds, SendFlags::empty()),
                };
            }
        });
        sender
    }
}

impl Client {
    fn send(&self, value: i64, fds: &[Arc<OwnedFd>]) {
        // The thread ended: its client is gone.
        let _ = self.outbox.send(Message { value, fds: fds.to_vec() });
    }

    /// Sends a message per vector.
    fn send_eventfds(&self, id: i64, eventfds: &[Arc<OwnedFd>]) {
        for eventfd_for_vector in eventfds {
            self.send(id, std::slice::from_ref(eventfd_for_vector));
        }
    }
}

fn memory(fault: ServerFault) -> Arc<OwnedFd> {
    let size = if fault == ServerFault::OddMemorySize { 12_288 } else { 1 << 20 };
    Arc::new(match fault {
        ServerFault::UnsealedMemory | ServerFault::ShrunkMemory | ServerFault::EnlargedMemory => unsealed(size).into(),
        ServerFault::PipeAsMemory => std::io::pipe().unwrap().1.into(),
        _ => {
            let memory = memfd::MemfdOptions::new().allow_sealing(true).create("faulty").unwrap();
            memory.as_file().set_len(size).unwrap();
            memory.add_seals(&[FileSeal::SealShrink, FileSeal::SealGrow]).unwrap();
            memory.into_file().into()
        }
    })
}

/// Whether a client closes before it read anything.
fn disconnects_early(stream: &UnixStream) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&timeout)).unwrap() > 0
}
