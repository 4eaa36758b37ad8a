//! Many clients in one thread. Each reads its messages one at a time, as QEMU does.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use proto::fd_passing::{Received, receive};
use proto::session::{Event, Session};
use proto::wire::{Decoder, PeerId, Vector};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// Without messages for this time, the server has lost some.
const READ_TIMEOUT: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
const NO_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Events per call of epoll_wait.
const MAX_EVENTS: usize = 256;

/// All clients of one server.
pub(crate) struct ManyClients {
    members: Vec<Option<BenchClient>>,
    poller: OwnedFd,
    vectors: u16,
    /// Messages read by all clients.
    pub(crate) messages: u64,
    /// Clients that have received all doorbells, including their own.
    complete: usize,
    expected: usize,
    left_notices: u64,
    ended: usize,
}

struct BenchClient {
    stream: UnixStream,
    decoder: Decoder<OwnedFd>,
    session: Session,
    id: Option<PeerId>,
    doorbells: usize,
    own: Vec<OwnedFd>,
    /// The doorbells of the others. Only the last client keeps them.
    others: Option<BTreeMap<(PeerId, Vector), OwnedFd>>,
}

impl ManyClients {
    /// Connects clients, and reads until each has received all doorbells.
    pub(crate) fn join(socket: &Path, peers: usize, vectors: u16) -> Self {
        let mut clients = Self {
            members: Vec::with_capacity(peers),
            poller: epoll::create(epoll::CreateFlags::CLOEXEC).expect("create an epoll instance"),
            vectors,
            messages: 0,
            complete: 0,
            expected: peers * usize::from(vectors),
            left_notices: 0,
            ended: 0,
        };
        let start = Instant::now();
        let address = SocketAddrUnix::new(socket).expect("a short socket path");
        while clients.members.len() < peers {
            match try_connect(&address) {
                Ok(stream) => clients.add(stream, clients.members.len() + 1 == peers),
                // The backlog is full, or the server does not listen yet.
                Err(Errno::AGAIN | Errno::CONNREFUSED) if start.elapsed() < CONNECT_TIMEOUT => {}
                Err(errno) => panic!("cannot connect: {errno}"),
            }
            clients.read_available(&NO_WAIT);
        }
        while clients.complete < peers {
            assert!(
                clients.read_available(&READ_TIMEOUT),
                "{} of {peers} clients received all doorbells: the server lost messages",
                clients.complete
            );
        }
        clients
    }

    fn add(&mut self, stream: UnixStream, keeps_all: bool) {
        let data = epoll::EventData::new_u64(self.members.len() as u64);
        epoll::add(&self.poller, &stream, data, epoll::EventFlags::IN).expect("add a socket to epoll");
        self.members.push(Some(BenchClient {
            stream,
            decoder: Decoder::new(),
            session: Session::new(),
            id: None,
            doorbells: 0,
            own: Vec::new(),
            others: keeps_all.then(BTreeMap::new),
        }));
    }

    /// Returns whether any socket was readable.
    fn read_available(&mut self, timeout: &Timespec) -> bool {
        let mut buffer = [MaybeUninit::uninit(); MAX_EVENTS];
        let (ready, _) = epoll::wait(&self.poller, &mut buffer, Some(timeout)).expect("wait for sockets");
        let ready: Vec<usize> =
            ready.iter().map(|event| usize::try_from(event.data.u64()).expect("an index")).collect();
        for &index in &ready {
            self.read(index);
        }
        !ready.is_empty()
    }

    fn read(&mut self, index: usize) {
        let Some(member) = &mut self.members[index] else {
            return;
        };
        loop {
            let message = match receive(&member.stream, &mut member.decoder).expect("complete messages") {
                Received::Message(message) => message,
                Received::NotYet => return,
                Received::Closed => {
                    self.members[index] = None;
                    self.ended += 1;
                    return;
                }
            };
            self.messages += 1;
            match member.session.feed(message.value, message.fd).expect("a valid message") {
                Event::Joined(id) => member.id = Some(id),
                Event::VersionAgreed | Event::Memory(_) => continue,
                Event::OwnVector { fd, .. } => {
                    member.doorbells += 1;
                    member.own.push(fd);
                }
                Event::PeerVector { peer, vector, fd } => {
                    member.doorbells += 1;
                    if let Some(others) = &mut member.others {
                        others.insert((peer, vector), fd);
                    }
                }
                Event::PeerLeft(_) => {
                    self.left_notices += 1;
                    continue;
                }
            }
            if member.doorbells == self.expected {
                member.doorbells += 1;
                self.complete += 1;
            }
        }
    }

    /// Rings each doorbell of the last client with a different number, and checks that it arrives at the right vector. Returns
    /// the number of doorbells.
    pub(crate) fn check_identities(&mut self) -> usize {
        let last = self.members.last_mut().and_then(Option::as_mut).expect("a client is connected");
        let others = last.others.take().expect("the last client keeps all doorbells");
        let number = |id: PeerId, vector: u16| (u64::from(id.0) << 16 | u64::from(vector)) + 1;
        for (&(peer, Vector(vector)), doorbell) in &others {
            rustix::io::write(doorbell, &number(peer, vector).to_ne_bytes()).expect("write to an eventfd");
        }
        for member in self.members.iter().rev().skip(1).flatten() {
            let id = member.id.expect("each client has an id");
            assert_eq!(member.own.len(), usize::from(self.vectors));
            for (doorbell, vector) in member.own.iter().zip(0..) {
                let mut count = [0; 8];
                rustix::io::read(doorbell, &mut count).expect("a rung doorbell");
                assert_eq!(u64::from_ne_bytes(count), number(id, vector), "peer {id}, vector {vector}");
            }
        }
        others.len()
    }

    /// Disconnects the first clients.
    pub(crate) fn leave(&mut self, count: usize) {
        for member in self.members.iter_mut().take(count) {
            *member = None;
        }
    }

    /// Reads until each remaining client has received this number of disconnect notices. Returns their total.
    pub(crate) fn read_leaves(&mut self, count: usize) -> u64 {
        let remaining = self.members.iter().flatten().count();
        let expected = (remaining * count) as u64;
        while self.left_notices < expected {
            assert!(self.read_available(&READ_TIMEOUT), "{} of {expected} notices received", self.left_notices);
        }
        std::mem::take(&mut self.left_notices)
    }

    /// Reads until all connections are closed. Returns the number of disconnect notices before that.
    pub(crate) fn read_to_end(&mut self) -> u64 {
        let remaining = self.members.iter().flatten().count();
        while self.ended < remaining {
            assert!(self.read_available(&READ_TIMEOUT), "{} of {remaining} connections ended", self.ended);
        }
        assert_eq!(
            self.left_notices,
            (remaining * remaining.saturating_sub(1)) as u64,
            "each client is notified of all others"
        );
        std::mem::take(&mut self.left_notices)
    }
}

/// See [connect(2)](https://man7.org/linux/man-pages/man2/connect.2.html).
fn try_connect(address: &SocketAddrUnix) -> Result<UnixStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, address)?;
    Ok(socket.into())
}
