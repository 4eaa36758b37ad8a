//! What a client is told, in which order, and with which descriptors.

use std::fs::File;
use std::os::unix::fs::FileExt;

use proto::wire::{MEMORY, PROTOCOL_VERSION, PeerId};

use crate::support::harness::{Client, Server, ring, rings};

#[test]
fn the_messages_come_in_the_order_of_the_protocol() {
    let server = Server::start(&["-n", "2"]);
    let _others = [server.member(2), server.member(2)];
    let mut client = server.client();
    let told: Vec<_> =
        (0..9).map(|_| client.message().unwrap()).map(|message| (message.value, message.fd.is_some())).collect();
    let greeting = [(PROTOCOL_VERSION, false), (2, false), (MEMORY, true)];
    let vectors = [(0, true), (0, true), (1, true), (1, true), (2, true), (2, true)];
    assert_eq!(told, [&greeting[..], &vectors].concat());
}

#[test]
fn each_doorbell_rings_the_one_vector_it_was_announced_for() {
    let server = Server::start(&["-n", "3"]);
    let mut first = server.member(3);
    let second = server.member(3);
    first.sees_join(second.id(), 3);
    for (from, to) in [(&first, &second), (&second, &first), (&first, &first)] {
        for vector in 0..3 {
            ring(from.bell(to.id(), vector));
            let heard: Vec<_> = (0..3).map(|v| rings(to.bell(to.id(), v))).collect();
            let expected: Vec<_> = (0..3).map(|v| u64::from(v == vector)).collect();
            assert_eq!(heard, expected, "{} to {}", from.id(), to.id());
        }
    }
}

#[test]
fn all_clients_get_the_same_memory() {
    let server = Server::start(&["-l", "1M"]);
    let [mut first, mut second] = [server.member(1), server.member(1)];
    let [one, other] = [&mut first, &mut second].map(|c| File::from(c.memory.take().unwrap()));
    one.write_all_at(b"written by one", 4096).unwrap();
    let mut seen = [0; 14];
    other.read_exact_at(&mut seen, 4096).unwrap();
    assert_eq!(&seen, b"written by one");
    assert_eq!(other.metadata().unwrap().len(), 1 << 20);
}

#[test]
fn who_is_there_learns_of_a_newcomer_and_of_its_end_exactly_once() {
    let server = Server::start(&["-n", "2"]);
    let mut first = server.member(2);
    let second = server.member(2);
    let mut third = server.member(2);
    first.sees_join(second.id(), 2);
    first.sees_join(third.id(), 2);
    let gone = second.id();
    drop(second);
    first.sees_leave(gone);
    third.sees_leave(gone);
    // The next thing that they hear is of somebody else.
    let fourth = server.member(2);
    first.sees_join(fourth.id(), 2);
    third.sees_join(fourth.id(), 2);
}

#[test]
fn an_id_is_reused_only_after_all_who_were_notified_left() {
    let server = Server::start(&[]);
    // Whether a peer's leave is processed before the next join shows in the log only.
    let left = |client: Client| {
        let id = client.id();
        drop(client);
        server.log_until(&format!("peer {id} left"));
    };
    for _ in 0..20 {
        let client = server.member(1);
        assert_eq!(client.id(), PeerId(0));
        left(client);
    }
    let (first, second) = (server.member(1), server.member(1));
    left(first);
    let third = server.member(1);
    assert_eq!(third.id(), PeerId(2), "the second was notified of peer 0");
    left(second);
    assert_eq!(server.member(1).id(), PeerId(0));
}

#[test]
fn a_pair_that_restarts_gets_the_same_ids() {
    let server = Server::start(&[]);
    for _ in 0..3 {
        let mut pair = [server.member(1), server.member(1)];
        assert_eq!(pair.each_ref().map(Client::id), [PeerId(0), PeerId(1)]);
        pair[0].sees_join(PeerId(1), 1);
        drop(pair);
        server.log_until("peers=0");
    }
}

#[test]
#[ignore = "100,000 joins over sockets: a minute or more"]
fn a_client_in_a_crash_loop_costs_no_ids() {
    let server = Server::start(&[]);
    for count in 0..100_000 {
        // Of the clients before it some may not have been seen off yet.
        let client = server.member(1);
        assert!(client.id() < PeerId(16), "after {count} joins: id {}", client.id());
    }
}
