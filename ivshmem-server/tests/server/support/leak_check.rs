//! Whether a server is as it was before a client did its worst.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use ivshmem_server::status::{self, Status};
use proto::session::Event;
use proto::wire::PeerId;

use crate::support::harness::{Client, PATIENCE, Server};

/// What a server may keep of the memory that it needed at its busiest: the allocator gives back in pieces.
const SLACK_KIB: u64 = 4 << 10;

/// A server, a peer that watches all others, and what the server used before the trouble.
pub(crate) struct LeakCheckedServer {
    pub(crate) server: Server,
    vectors: u16,
    witness: Client,
    present: BTreeSet<PeerId>,
    heard_of: BTreeSet<PeerId>,
    before: Usage,
}

struct Usage {
    descriptors: usize,
    resident_kib: u64,
    peers: usize,
}

impl LeakCheckedServer {
    pub(crate) fn start(vectors: u16, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("status");
        let count = vectors.to_string();
        let all = [&["-n", &count, "--status-socket", socket.to_str().unwrap()], args].concat();
        let server = Server::start_in(folder, crate::support::harness::command(), &all);
        let witness = server.member(vectors);
        let before = usage(&server);
        assert_eq!(before.peers, 1);
        let present = BTreeSet::from([witness.id()]);
        let heard_of = present.clone();
        Self { server, vectors, witness, present, heard_of, before }
    }

    pub(crate) fn status(&self) -> Status {
        status_of(&self.server)
    }

    /// Reads what the witness is told. Each peer comes once, with all its vectors, and leaves once: its session objects
    /// to anything else.
    fn hear(&mut self) -> PeerId {
        match self.witness.event() {
            Event::PeerVector { peer, vector, .. } => {
                if vector.0 == 0 {
                    assert!(self.heard_of.insert(peer) && self.present.insert(peer), "peer {peer} came twice");
                }
                peer
            }
            Event::PeerLeft(peer) => {
                assert!(self.present.remove(&peer), "peer {peer} left twice");
                peer
            }
            other => panic!("{other:?}"),
        }
    }

    /// Reads until one left, of whom the witness has heard or will hear.
    pub(crate) fn hears_that_it_left(&mut self, gone: PeerId) {
        while !self.heard_of.contains(&gone) || self.present.contains(&gone) {
            self.hear();
        }
    }

    /// Waits until the trouble is over, and checks that nothing of it is left: descriptors, memory, peers. The witness
    /// heard of nobody who is still there for it, and the next client is served.
    pub(crate) fn ends_as_before(mut self) {
        eventually("the others are gone", || usage(&self.server).peers == self.before.peers);
        let mut last = self.server.member(self.vectors);
        while self.hear() != last.id() {}
        for _ in 1..self.vectors {
            assert_eq!(self.hear(), last.id());
        }
        assert_eq!(self.present, BTreeSet::from([self.witness.id(), last.id()]));
        last.bells.clear();
        let gone = last.id();
        drop(last);
        self.hears_that_it_left(gone);
        eventually("descriptors are closed", || usage(&self.server).descriptors == self.before.descriptors);
        let after = usage(&self.server);
        assert!(
            after.resident_kib <= self.before.resident_kib + SLACK_KIB,
            "{} KiB of memory, {} before",
            after.resident_kib,
            self.before.resident_kib
        );
    }
}

pub(crate) fn status_of(server: &Server) -> Status {
    status::query(&server.socket().with_file_name("status")).unwrap().1
}

/// Asks for the peers first: that connection must be closed before descriptors are counted.
fn usage(server: &Server) -> Usage {
    let peers = status_of(server).peers.len();
    let pid = server.pid().as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident_kib = resident.split_whitespace().next().unwrap().parse().unwrap();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    Usage { descriptors, resident_kib, peers }
}

/// Looks until it is so.
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
