//! Random schedules over real sockets: a client that reads all messages has the right set of present peers.

use std::collections::BTreeSet;
use std::thread;

use ivshmem_server::{Config, Server};
use proptest::prelude::*;
use proptest::sample::Index;
use proto::session::Event;
use proto::wire::PeerId;
use tokio::sync::oneshot;

use crate::support::harness::TestClient;

#[derive(Debug, Clone)]
enum ClientAction {
    Join,
    /// Closes a connection at any point of its handshake.
    Leave(Index),
    /// Reads this many of the messages that are certain to come. The other clients stall.
    Read(Index, u8),
}

fn step() -> impl Strategy<Value = ClientAction> {
    prop_oneof![
        4 => Just(ClientAction::Join),
        2 => any::<Index>().prop_map(ClientAction::Leave),
        4 => (any::<Index>(), 1..8_u8).prop_map(|(who, count)| ClientAction::Read(who, count)),
    ]
}

struct JoinedClient {
    client: TestClient,
    read: usize,
    present: BTreeSet<PeerId>,
}

impl JoinedClient {
    /// Reads a message. The client's session checks the protocol: reused ids and duplicate notices are errors.
    fn read_message(&mut self) -> bool {
        let Some(message) = self.client.message() else {
            return false;
        };
        self.read += 1;
        match self.client.feed(message) {
            Event::VersionAgreed | Event::Memory(_) => {}
            Event::Joined(id) => self.client.id = Some(id),
            Event::OwnVector { .. } => {
                self.present.insert(self.client.id());
            }
            Event::PeerVector { peer, .. } => {
                self.present.insert(peer);
            }
            Event::PeerLeft(peer) => assert!(self.present.remove(&peer)),
        }
        true
    }
}

const VECTORS: u16 = 2;

/// The messages that every client gets: version, id, memory and its own vectors.
const MIN_MESSAGES: usize = 3 + VECTORS as usize;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 64, ..ProptestConfig::default() })]
    #[test]
    fn notifies_of_each_join_and_leave_once_in_any_schedule(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let config = Config { socket: socket.clone(), vectors: VECTORS, size: 4096, ..Config::default() };
        let server = Server::bind(&config).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.run(async { stopped.await.unwrap() }))
        });

        let mut members: Vec<JoinedClient> = Vec::new();
        for step in steps {
            match step {
                ClientAction::Join => {
                    let client = TestClient::connect(&socket);
                    members.push(JoinedClient { client, read: 0, present: BTreeSet::new() });
                }
                ClientAction::Leave(who) if !members.is_empty() => {
                    members.swap_remove(who.index(members.len()));
                }
                ClientAction::Read(who, count) if !members.is_empty() => {
                    let who = who.index(members.len());
                    for _ in 0..count {
                        if members[who].read < MIN_MESSAGES {
                            prop_assert!(members[who].read_message());
                        }
                    }
                }
                ClientAction::Leave(_) | ClientAction::Read(..) => {}
            }
        }
        // A client without an id would be refused at the stop.
        for member in &mut members {
            while member.client.id.is_none() {
                prop_assert!(member.read_message());
            }
        }
        stop.send(()).unwrap();
        let mut ids = BTreeSet::new();
        for member in &mut members {
            while member.read_message() {}
            let id = member.client.id();
            prop_assert!(ids.insert(id), "id {} is used twice", id);
            // At the end each client is alone.
            prop_assert_eq!(&member.present, &BTreeSet::from([id]));
        }
        thread.join().unwrap().unwrap();
        prop_assert!(!socket.exists());
    }
}
