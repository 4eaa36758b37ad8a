//! Clients that break off, speak, or do not listen: the others never notice more than that they left.

use std::io::Write;
use std::net::Shutdown;

use proto::wire::{MESSAGE_BYTES, PeerId};
use rustix::io::ioctl_fionread;

use crate::support::harness::Server;

#[test]
fn a_client_that_speaks_is_disconnected_and_named_in_the_log() {
    let server = Server::start(&[]);
    let mut witness = server.member(1);
    let mut speaker = server.member(1);
    let id = speaker.id();
    speaker.stream.write_all(&vec![0xaa; 100_000]).unwrap_or_default();
    speaker.sees_the_end();
    witness.sees_join(id, 1);
    witness.sees_leave(id);
    server.log_until("peer 1 left: it was disconnected because it sent something");
}

#[test]
fn a_client_that_speaks_first_is_disconnected() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    client.sees_the_end();
    server.member(1);
}

#[test]
fn a_client_that_closes_its_sending_half_has_left() {
    let server = Server::start(&[]);
    let mut witness = server.member(1);
    let mut client = server.member(1);
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.sees_the_end();
    witness.sees_join(client.id(), 1);
    witness.sees_leave(client.id());
}

#[test]
fn a_client_that_is_gone_in_mid_hand_over_disturbs_nobody() {
    let server = Server::start(&["-n", "4"]);
    let mut witness = server.member(4);
    for told in 0..7 {
        let mut client = server.client();
        for _ in 0..=told {
            client.event();
        }
        drop(client);
        let id = PeerId(told + 1);
        witness.sees_join(id, 4);
        witness.sees_leave(id);
    }
    let last = server.member(4);
    witness.sees_join(last.id(), 4);
}

#[test]
fn a_client_that_does_not_read_delays_nobody_and_learns_what_is_so() {
    // Far more messages than a socket's buffer holds.
    const OTHERS: u16 = 40;
    const VECTORS: u16 = 16;
    let server = Server::start(&["-n", "16"]);
    let mut stuck = server.client();
    let mut others: Vec<_> = (1..=OTHERS)
        .map(|expected| {
            let mut other = server.member(VECTORS);
            other.bells.clear();
            assert_eq!(other.id(), PeerId(expected));
            other
        })
        .collect();
    // The last one leaves while the stuck one has not even heard of it; the first one stays to see.
    for id in 2..=OTHERS {
        others[0].sees_join(PeerId(id), VECTORS);
        others[0].bells.clear();
    }
    let gone = others.pop().unwrap().id();
    others[0].sees_leave(gone);

    // What waits for it waits in the server, not in the kernel, where descriptors are counted.
    let in_flight = ioctl_fionread(&stuck.stream).unwrap() / MESSAGE_BYTES as u64;
    assert!((1..=400).contains(&in_flight), "{in_flight}");

    stuck.join(VECTORS);
    assert_eq!(stuck.id(), PeerId(0));
    for id in 1..OTHERS {
        stuck.sees_join(PeerId(id), VECTORS);
        stuck.bells.clear();
    }
    // Of the one that is gone it never hears; the next thing is somebody new.
    let next = server.member(VECTORS);
    stuck.sees_join(next.id(), VECTORS);
}
