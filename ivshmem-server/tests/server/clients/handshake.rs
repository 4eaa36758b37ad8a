//! Handshake, joins and leaves: messages, their order and descriptors.

use std::fs::File;
use std::os::unix::fs::FileExt;

use proto::wire::{MEMORY, PROTOCOL_VERSION, PeerId};

use crate::support::harness::{ServerProcess, TestClient, ring, take_rings};

#[test]
fn sends_messages_in_the_order_of_the_protocol() {
    let server = ServerProcess::start(&["-n", "2"]);
    let _others = [server.member(2), server.member(2)];
    let mut client = server.client();
    let messages: Vec<_> =
        (0..9).map(|_| client.message().unwrap()).map(|message| (message.value, message.fd.is_some())).collect();
    let init = [(PROTOCOL_VERSION, false), (2, false), (MEMORY, true)];
    let vectors = [(0, true), (0, true), (1, true), (1, true), (2, true), (2, true)];
    assert_eq!(messages, [&init[..], &vectors].concat());
}

#[test]
fn each_doorbell_rings_its_own_vector() {
    let server = ServerProcess::start(&["-n", "3"]);
    let mut first = server.member(3);
    let second = server.member(3);
    first.expect_join(second.id(), 3);
    for (from, to) in [(&first, &second), (&second, &first), (&first, &first)] {
        for vector in 0..3 {
            ring(from.doorbell(to.id(), vector));
            let counts: Vec<_> = (0..3).map(|v| take_rings(to.doorbell(to.id(), v))).collect();
            let expected: Vec<_> = (0..3).map(|v| u64::from(v == vector)).collect();
            assert_eq!(counts, expected, "{} to {}", from.id(), to.id());
        }
    }
}

#[test]
fn all_clients_get_the_same_memory() {
    let server = ServerProcess::start(&["-l", "1M"]);
    let [mut first, mut second] = [server.member(1), server.member(1)];
    let [writer, reader] = [&mut first, &mut second].map(|client| File::from(client.memory.take().unwrap()));
    writer.write_all_at(b"written by one", 4096).unwrap();
    let mut bytes = [0; 14];
    reader.read_exact_at(&mut bytes, 4096).unwrap();
    assert_eq!(&bytes, b"written by one");
    assert_eq!(reader.metadata().unwrap().len(), 1 << 20);
}

#[test]
fn notifies_present_peers_of_each_join_and_leave_once() {
    let server = ServerProcess::start(&["-n", "2"]);
    let mut first = server.member(2);
    let second = server.member(2);
    let mut third = server.member(2);
    first.expect_join(second.id(), 2);
    first.expect_join(third.id(), 2);
    let leaving = second.id();
    drop(second);
    first.expect_leave(leaving);
    third.expect_leave(leaving);
    // The next notification is about another peer.
    let fourth = server.member(2);
    first.expect_join(fourth.id(), 2);
    third.expect_join(fourth.id(), 2);
}

#[test]
fn reuses_an_id_after_all_notified_peers_left() {
    let server = ServerProcess::start(&[]);
    // Only the log shows that a leave was processed before the next join.
    let left = |client: TestClient| {
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
fn a_restarted_pair_gets_the_same_ids() {
    let server = ServerProcess::start(&[]);
    for _ in 0..3 {
        let mut pair = [server.member(1), server.member(1)];
        assert_eq!(pair.each_ref().map(TestClient::id), [PeerId(0), PeerId(1)]);
        pair[0].expect_join(PeerId(1), 1);
        drop(pair);
        server.log_until("peers=0");
    }
}

#[test]
#[ignore = "100,000 joins over sockets: a minute or more"]
fn a_client_in_a_crash_loop_uses_up_no_ids() {
    let server = ServerProcess::start(&[]);
    for count in 0..100_000 {
        // The leaves of some clients before it may not be processed yet.
        let client = server.member(1);
        assert!(client.id() < PeerId(16), "after {count} joins: id {}", client.id());
    }
}
