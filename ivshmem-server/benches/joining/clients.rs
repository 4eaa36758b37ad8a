//! Many peers in one thread, each of which reads its messages one at a time, as QEMU does.

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

/// A server that says nothing for so long has lost messages.
const SILENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A server that takes nobody in for so long is none.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many sockets are looked at in one go.
const READY: usize = 256;

/// All peers of one server, all in this process.
pub(crate) struct ManyClients {
    members: Vec<Option<Member>>,
    poller: OwnedFd,
    vectors: u16,
    /// Messages that all have read together.
    pub(crate) messages: u64,
    /// Members that were told of all, themselves among them.
    complete: usize,
    expected: usize,
    left_notices: u64,
    ended: usize,
}

struct Member {
    stream: UnixStream,
    decoder: Decoder<OwnedFd>,
    session: Session,
    id: Option<PeerId>,
    bells: usize,
    own: Vec<OwnedFd>,
    /// What it was told of the others: kept by the last member only.
    others: Option<BTreeMap<(PeerId, Vector), OwnedFd>>,
}

impl ManyClients {
    /// Connects so many, and reads until each was told of all.
    pub(crate) fn join(socket: &Path, peers: usize, vectors: u16) -> Self {
        let mut crowd = Self {
            members: Vec::with_capacity(peers),
            poller: epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll can be made"),
            vectors,
            messages: 0,
            complete: 0,
            expected: peers * usize::from(vectors),
            left_notices: 0,
            ended: 0,
        };
        let begun = Instant::now();
        let address = SocketAddrUnix::new(socket).expect("a socket's path is short");
        while crowd.members.len() < peers {
            match connected(&address) {
                Ok(stream) => crowd.add(stream, crowd.members.len() + 1 == peers),
                // Many wait already, or the server is not yet up.
                Err(Errno::AGAIN | Errno::CONNREFUSED) if begun.elapsed() < PATIENCE => {}
                Err(errno) => panic!("cannot connect: {errno}"),
            }
            crowd.read_what_is_there(&AT_ONCE);
        }
        while crowd.complete < peers {
            assert!(
                crowd.read_what_is_there(&SILENCE),
                "{} of {peers} peers were told of all: the server lost messages",
                crowd.complete
            );
        }
        crowd
    }

    fn add(&mut self, stream: UnixStream, keeps_all: bool) {
        let data = epoll::EventData::new_u64(self.members.len() as u64);
        epoll::add(&self.poller, &stream, data, epoll::EventFlags::IN).expect("a socket can be waited for");
        self.members.push(Some(Member {
            stream,
            decoder: Decoder::new(),
            session: Session::new(),
            id: None,
            bells: 0,
            own: Vec::new(),
            others: keeps_all.then(BTreeMap::new),
        }));
    }

    /// Returns whether there was anything.
    fn read_what_is_there(&mut self, patience: &Timespec) -> bool {
        let mut room = [MaybeUninit::uninit(); READY];
        let (ready, _) = epoll::wait(&self.poller, &mut room, Some(patience)).expect("sockets can be waited for");
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
            let message = match receive(&member.stream, &mut member.decoder).expect("whole messages") {
                Received::Message(message) => message,
                Received::NotYet => return,
                Received::Closed => {
                    self.members[index] = None;
                    self.ended += 1;
                    return;
                }
            };
            self.messages += 1;
            match member.session.feed(message.value, message.fd).expect("the protocol is kept") {
                Event::Joined(id) => member.id = Some(id),
                Event::VersionAgreed | Event::Memory(_) => continue,
                Event::OwnVector { fd, .. } => {
                    member.bells += 1;
                    member.own.push(fd);
                }
                Event::PeerVector { peer, vector, fd } => {
                    member.bells += 1;
                    if let Some(others) = &mut member.others {
                        others.insert((peer, vector), fd);
                    }
                }
                Event::PeerLeft(_) => {
                    self.left_notices += 1;
                    continue;
                }
            }
            if member.bells == self.expected {
                member.bells += 1;
                self.complete += 1;
            }
        }
    }

    /// Rings each doorbell that the last member knows, each with a number of its own, and looks where it arrived.
    /// Returns how many.
    pub(crate) fn check_identities(&mut self) -> usize {
        let last = self.members.last_mut().and_then(Option::as_mut).expect("the crowd is there");
        let others = last.others.take().expect("the last member keeps all");
        let number = |id: PeerId, vector: u16| (u64::from(id.0) << 16 | u64::from(vector)) + 1;
        for (&(peer, Vector(vector)), bell) in &others {
            rustix::io::write(bell, &number(peer, vector).to_ne_bytes()).expect("an eventfd can be written");
        }
        for member in self.members.iter().rev().skip(1).flatten() {
            let id = member.id.expect("each has an id");
            assert_eq!(member.own.len(), usize::from(self.vectors));
            for (bell, vector) in member.own.iter().zip(0..) {
                let mut rung = [0; 8];
                rustix::io::read(bell, &mut rung).expect("each was rung");
                assert_eq!(u64::from_ne_bytes(rung), number(id, vector), "peer {id}, vector {vector}");
            }
        }
        others.len()
    }

    /// The first ones leave.
    pub(crate) fn leave(&mut self, count: usize) {
        for member in self.members.iter_mut().take(count) {
            *member = None;
        }
    }

    /// Reads until each of the rest was told that so many left. Returns how many notices that were.
    pub(crate) fn read_leaves(&mut self, count: usize) -> u64 {
        let rest = self.members.iter().flatten().count();
        let expected = (rest * count) as u64;
        while self.left_notices < expected {
            assert!(self.read_what_is_there(&SILENCE), "{} of {expected} notices came", self.left_notices);
        }
        std::mem::take(&mut self.left_notices)
    }

    /// Reads until all connections are closed. Returns how many notices came before.
    pub(crate) fn read_to_end(&mut self) -> u64 {
        let rest = self.members.iter().flatten().count();
        while self.ended < rest {
            assert!(self.read_what_is_there(&SILENCE), "{} of {rest} connections ended", self.ended);
        }
        assert_eq!(self.left_notices, (rest * rest.saturating_sub(1)) as u64, "each heard of all others");
        std::mem::take(&mut self.left_notices)
    }
}

/// See [connect(2)](https://man7.org/linux/man-pages/man2/connect.2.html).
fn connected(address: &SocketAddrUnix) -> Result<UnixStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, address)?;
    Ok(socket.into())
}
