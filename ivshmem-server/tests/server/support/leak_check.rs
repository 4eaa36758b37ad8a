//! Checks that a server releases all resources of its clients.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use client::status::{self, ServerStatus};
use proto::session::Event;
use proto::wire::PeerId;

use crate::support::harness::{ServerProcess, TIMEOUT, TestClient};

/// Tolerance for resident memory, because the allocator does not return all of its peak.
const SLACK_KIB: u64 = 4 << 10;

/// A server with a peer that observes all others, and the server's resource usage at the start.
pub(crate) struct LeakCheckedServer {
    pub(crate) server: ServerProcess,
    vectors: u16,
    observer: TestClient,
    present: BTreeSet<PeerId>,
    joined: BTreeSet<PeerId>,
    before: Resources,
}

struct Resources {
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
        let server = ServerProcess::start_in(folder, crate::support::harness::command(), &all);
        let observer = server.member(vectors);
        let before = usage(&server);
        assert_eq!(before.peers, 1);
        let present = BTreeSet::from([observer.id()]);
        let joined = present.clone();
        Self { server, vectors, observer, present, joined, before }
    }

    pub(crate) fn status(&self) -> ServerStatus {
        status_of(&self.server)
    }

    /// Reads the observer's next notification. Each peer must join once with all its vectors, and leave once.
    fn read_notification(&mut self) -> PeerId {
        match self.observer.event() {
            Event::PeerVector { peer, vector, .. } => {
                if vector.0 == 0 {
                    assert!(self.joined.insert(peer) && self.present.insert(peer), "peer {peer} joined twice");
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

    /// Reads until a peer has joined and left.
    pub(crate) fn wait_for_leave(&mut self, leaving: PeerId) {
        while !self.joined.contains(&leaving) || self.present.contains(&leaving) {
            self.read_notification();
        }
    }

    /// Waits until the other peers have left. Checks that descriptors and memory are released, that the observer was notified
    /// of all leaves, and that the next client is served.
    pub(crate) fn check_no_leaks(mut self) {
        eventually("the others have left", || usage(&self.server).peers == self.before.peers);
        let mut last = self.server.member(self.vectors);
        while self.read_notification() != last.id() {}
        for _ in 1..self.vectors {
            assert_eq!(self.read_notification(), last.id());
        }
        assert_eq!(self.present, BTreeSet::from([self.observer.id(), last.id()]));
        last.doorbells.clear();
        let leaving = last.id();
        drop(last);
        self.wait_for_leave(leaving);
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

pub(crate) fn status_of(server: &ServerProcess) -> ServerStatus {
    status::read(&server.socket().with_file_name("status"), TIMEOUT).unwrap()
}

/// Queries the status first: its connection must be closed before descriptors are counted.
fn usage(server: &ServerProcess) -> Resources {
    let peers = status_of(server).peers.len();
    let pid = server.pid().as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident_kib = resident.split_whitespace().next().unwrap().parse().unwrap();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    Resources { descriptors, resident_kib, peers }
}

/// Waits until a condition holds.
pub(crate) fn eventually(name: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < TIMEOUT, "timeout: {name}");
        thread::sleep(Duration::from_millis(2));
    }
}
