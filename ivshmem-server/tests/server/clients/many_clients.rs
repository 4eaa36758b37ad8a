//! Many peers at a time. The benchmark tests thousands.

use std::collections::BTreeSet;

use proto::session::Event;
use proto::wire::PeerId;

use crate::support::harness::{ServerProcess, TestClient};

const PEERS: u16 = 150;

/// Reads until all peers, including the client itself, have joined.
fn read_joins(client: &mut TestClient) -> BTreeSet<PeerId> {
    let mut present = BTreeSet::new();
    while present.len() < PEERS.into() {
        match client.event() {
            Event::Joined(id) => client.id = Some(id),
            Event::PeerVector { peer, .. } => assert!(present.insert(peer)),
            Event::OwnVector { .. } => assert!(present.insert(client.id())),
            Event::VersionAgreed | Event::Memory(_) => {}
            Event::PeerLeft(peer) => panic!("peer {peer} left"),
        }
    }
    present
}

#[test]
fn notifies_150_peers_of_each_other() {
    let server = ServerProcess::start(&[]);
    let mut clients: Vec<_> = (0..PEERS).map(|_| server.client()).collect();
    let all: BTreeSet<_> = (0..PEERS).map(PeerId).collect();
    for client in &mut clients {
        assert_eq!(read_joins(client), all);
    }

    let leaving: BTreeSet<_> = clients.drain(..70).map(|client| client.id()).collect();
    for client in &mut clients {
        let left: BTreeSet<_> = leaving
            .iter()
            .map(|_| match client.event() {
                Event::PeerLeft(peer) => peer,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(left, leaving);
    }
}
