//! Clients that disconnect, send data, or do not read. Other peers get only the notification of their leave.

use std::io::Write;
use std::net::Shutdown;

use proto::wire::{MESSAGE_BYTES, PeerId};
use rustix::io::ioctl_fionread;

use crate::support::harness::ServerProcess;

#[test]
fn disconnects_and_logs_a_client_that_sends_data() {
    let server = ServerProcess::start(&[]);
    let mut observer = server.member(1);
    let mut sender = server.member(1);
    let id = sender.id();
    sender.stream.write_all(&vec![0xaa; 100_000]).unwrap_or_default();
    sender.read_to_end();
    observer.expect_join(id, 1);
    observer.expect_leave(id);
    server.log_until("peer 1 left: it was disconnected because it sent something");
}

#[test]
fn disconnects_a_client_that_sends_data_first() {
    let server = ServerProcess::start(&[]);
    let mut client = server.client();
    client.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    client.read_to_end();
    server.member(1);
}

#[test]
fn a_closed_sending_half_is_a_leave() {
    let server = ServerProcess::start(&[]);
    let mut observer = server.member(1);
    let mut client = server.member(1);
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.read_to_end();
    observer.expect_join(client.id(), 1);
    observer.expect_leave(client.id());
}

#[test]
fn a_disconnect_during_the_handshake_is_a_leave() {
    let server = ServerProcess::start(&["-n", "4"]);
    let mut observer = server.member(4);
    for events in 0..7 {
        let mut client = server.client();
        for _ in 0..=events {
            client.event();
        }
        drop(client);
        let id = PeerId(events + 1);
        observer.expect_join(id, 4);
        observer.expect_leave(id);
    }
    let last = server.member(4);
    observer.expect_join(last.id(), 4);
}

#[test]
fn a_client_that_does_not_read_delays_no_other() {
    // Far more messages than a socket's buffer holds.
    const OTHERS: u16 = 40;
    const VECTORS: u16 = 16;
    let server = ServerProcess::start(&["-n", "16"]);
    let mut stuck = server.client();
    let mut others: Vec<_> = (1..=OTHERS)
        .map(|expected| {
            let mut other = server.member(VECTORS);
            other.doorbells.clear();
            assert_eq!(other.id(), PeerId(expected));
            other
        })
        .collect();
    // The last one leaves before the stuck client is notified of it. The first one stays and observes that.
    for id in 2..=OTHERS {
        others[0].expect_join(PeerId(id), VECTORS);
        others[0].doorbells.clear();
    }
    let leaving = others.pop().unwrap().id();
    others[0].expect_leave(leaving);

    // Its messages wait in the server, not in the kernel, which limits in-flight descriptors.
    let in_flight = ioctl_fionread(&stuck.stream).unwrap() / MESSAGE_BYTES as u64;
    assert!((1..=400).contains(&in_flight), "{in_flight}");

    stuck.join(VECTORS);
    assert_eq!(stuck.id(), PeerId(0));
    for id in 1..OTHERS {
        stuck.expect_join(PeerId(id), VECTORS);
        stuck.doorbells.clear();
    }
    // It gets no notification of the peer that left. The next one is about a new peer.
    let next = server.member(VECTORS);
    stuck.expect_join(next.id(), VECTORS);
}
