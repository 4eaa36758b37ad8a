//! Random schedules over real sockets: whatever comes in whatever order, whoever reads to the end knows what is so.

use std::collections::BTreeSet;
use std::thread;

use ivshmem_server::{Config, Server};
use proptest::prelude::*;
use proptest::sample::Index;
use proto::session::Event;
use proto::wire::PeerId;
use tokio::sync::oneshot;

use crate::support::harness::Client;

#[derive(Debug, Clone)]
enum Step {
    Join,
    /// Closes its connection, wherever in its hand-over it is.
    Leave(Index),
    /// Reads so many messages, if it was told them or surely will be; whoever is not picked stalls.
    Read(Index, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Join),
        2 => any::<Index>().prop_map(Step::Leave),
        4 => (any::<Index>(), 1..8_u8).prop_map(|(who, count)| Step::Read(who, count)),
    ]
}

struct Member {
    client: Client,
    read: usize,
    present: BTreeSet<PeerId>,
}

impl Member {
    /// The client's session objects to whatever the protocol forbids: ids that come again, notices that come twice.
    fn hears(&mut self) -> bool {
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

/// What each client is surely told: the greeting and its own vectors.
const SURE: usize = 3 + VECTORS as usize;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 64, ..ProptestConfig::default() })]
    #[test]
    fn whoever_reads_to_the_end_heard_of_each_peer_once_and_of_its_end_once(
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

        let mut members: Vec<Member> = Vec::new();
        for step in steps {
            match step {
                Step::Join => {
                    let client = Client::connect(&socket);
                    members.push(Member { client, read: 0, present: BTreeSet::new() });
                }
                Step::Leave(who) if !members.is_empty() => {
                    members.swap_remove(who.index(members.len()));
                }
                Step::Read(who, count) if !members.is_empty() => {
                    let who = who.index(members.len());
                    for _ in 0..count {
                        if members[who].read < SURE {
                            prop_assert!(members[who].hears());
                        }
                    }
                }
                Step::Leave(_) | Step::Read(..) => {}
            }
        }
        // Who is not taken in yet would be refused.
        for member in &mut members {
            while member.client.id.is_none() {
                prop_assert!(member.hears());
            }
        }
        stop.send(()).unwrap();
        let mut ids = BTreeSet::new();
        for member in &mut members {
            while member.hears() {}
            let id = member.client.id();
            prop_assert!(ids.insert(id), "{} was given out twice", id);
            // At the end each is alone.
            prop_assert_eq!(&member.present, &BTreeSet::from([id]));
        }
        thread.join().unwrap().unwrap();
        prop_assert!(!socket.exists());
    }
}
