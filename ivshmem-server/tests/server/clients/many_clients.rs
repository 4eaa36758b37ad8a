//! Many peers at a time. Thousands of them are the benchmark's business.

use std::collections::BTreeSet;

use proto::session::Event;
use proto::wire::PeerId;

use crate::support::harness::{Client, Server};

const PEERS: u16 = 150;

/// Reads until as many peers were announced, itself among them.
fn learn(client: &mut Client) -> BTreeSet<PeerId> {
    let mut known = BTreeSet::new();
    while known.len() < PEERS.into() {
        match client.event() {
            Event::Joined(id) => client.id = Some(id),
            Event::PeerVector { peer, .. } => assert!(known.insert(peer)),
            Event::OwnVector { .. } => assert!(known.insert(client.id())),
            Event::VersionAgreed | Event::Memory(_) => {}
            Event::PeerLeft(peer) => panic!("peer {peer} left"),
        }
    }
    known
}

#[test]
fn hundreds_of_peers_learn_of_each_other() {
    let server = Server::start(&[]);
    let mut clients: Vec<_> = (0..PEERS).map(|_| server.client()).collect();
    let all: BTreeSet<_> = (0..PEERS).map(PeerId).collect();
    for client in &mut clients {
        assert_eq!(learn(client), all);
    }

    let gone: BTreeSet<_> = clients.drain(..70).map(|client| client.id()).collect();
    for client in &mut clients {
        let told: BTreeSet<_> = gone
            .iter()
            .map(|_| match client.event() {
                Event::PeerLeft(peer) => peer,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, gone);
    }
}
