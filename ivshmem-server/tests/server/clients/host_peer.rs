//! The project's own client with the real server.

use std::time::Duration;

use client::{Client, ClientError, JoinOptions, PeerChange};
use proto::wire::{PeerId, Vector};
use rustix::process::Signal;

use crate::support::harness::{ServerProcess, TIMEOUT};

fn join(server: &ServerProcess, vectors: Option<u16>) -> Result<Client, ClientError> {
    Client::join(&JoinOptions { socket: server.socket(), vectors, timeout: TIMEOUT })
}

#[test]
fn two_clients_ring_each_other() {
    let server = ServerProcess::start(&["-n", "3", "-l", "1M"]);
    let mut first = join(&server, None).unwrap();
    let second = join(&server, None).unwrap();
    assert_eq!((first.id(), second.id()), (PeerId(0), PeerId(1)));
    assert_eq!((first.own_vectors().len(), second.own_vectors().len()), (3, 3));
    assert_eq!(second.memory_size(), 1 << 20);

    let peer = second.id();
    let added = [1, 2].map(|vector| PeerChange::VectorAdded { peer, vector: Vector(vector) });
    let mut changes = Vec::new();
    while changes.len() < 3 {
        changes.extend(first.poll_events(TIMEOUT).unwrap());
    }
    assert_eq!(changes, [&[PeerChange::Joined { peer }][..], &added].concat());

    first.ring(peer, Vector(2)).unwrap();
    second.ring(first.id(), Vector(1)).unwrap();
    assert_eq!(second.wait(Vector(2), Some(TIMEOUT)).unwrap(), Some(1));
    assert_eq!(first.wait(Vector(1), Some(TIMEOUT)).unwrap(), Some(1));
    assert_eq!(first.wait(Vector(0), Some(Duration::ZERO)).unwrap(), None);

    drop(second);
    assert_eq!(first.poll_events(TIMEOUT).unwrap(), [PeerChange::Left { peer }]);
    assert!(first.peers().is_empty());
}

#[test]
fn a_refused_client_gets_an_error() {
    let server = ServerProcess::start(&["--max-peers", "1"]);
    let _first = join(&server, Some(1)).unwrap();
    let error = join(&server, None).unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error}");
}

#[test]
fn after_a_stop_the_peers_and_the_server_are_gone() {
    let server = ServerProcess::start(&[]);
    let mut first = join(&server, None).unwrap();
    let second = join(&server, None).unwrap();
    let peer = second.id();
    assert_eq!(first.poll_events(TIMEOUT).unwrap(), [PeerChange::Joined { peer }]);
    server.stop(Signal::TERM);
    assert_eq!(first.poll_events(TIMEOUT).unwrap(), [PeerChange::Left { peer }]);
    let error = first.poll_events(TIMEOUT).unwrap_err();
    assert!(matches!(error, ClientError::ServerGone(_)), "{error}");
}
