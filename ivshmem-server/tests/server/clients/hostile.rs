//! Hostile and failing clients. Afterwards the server has the descriptors, memory and peers of before. Other peers get only
//! notifications of joins and leaves.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use proto::wire::PeerId;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::harness::{ChildGuard, TestClient};
use crate::support::leak_check::{LeakCheckedServer, eventually};

#[test]
fn survives_a_disconnect_after_any_byte_of_the_handshake() {
    let checked = LeakCheckedServer::start(2, &[]);
    // Version, id, memory, the observer's vectors, its own vectors.
    let handshake = (3 + 2 + 2) * 8;
    for bytes in 0..=handshake {
        let mut client = UnixStream::connect(checked.server.socket()).unwrap();
        client.read_exact(&mut vec![0; bytes]).unwrap();
    }
    checked.check_no_leaks();
}

#[test]
fn disconnects_clients_that_never_read() {
    // A socket holds about 256 messages. Each of the two clients gets more. The observer gets fewer, even if it reads late.
    let mut checked = LeakCheckedServer::start(120, &["--stall-timeout", "200ms"]);
    let stuck = [(); 2].map(|()| checked.server.client());
    for id in 1..=2 {
        checked.wait_for_leave(PeerId(id));
    }
    checked.server.log_until("because it read nothing for 200ms");
    let status = checked.status();
    assert_eq!((status.cut_off, status.peers.len()), (2, 1));
    drop(stuck);
    checked.check_no_leaks();
}

#[test]
fn descriptors_come_with_the_first_byte_of_their_message() {
    let checked = LeakCheckedServer::start(2, &[]);
    let client = checked.server.client();
    let mut read = Vec::new();
    for index in 0..7 * 8 {
        let (byte, fds) = one_byte(&client.stream);
        read.push(byte);
        let message = index / 8;
        let expected = usize::from(index % 8 == 0 && message >= 2);
        assert_eq!(fds.len(), expected, "byte {index}");
    }
    let values: Vec<_> = read.chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(values, [0, 1, -1, 0, 0, 1, 1]);
    drop(client);
    checked.check_no_leaks();
}

fn one_byte(stream: &UnixStream) -> (u8, Vec<OwnedFd>) {
    let mut byte = [0];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, flags).unwrap();
    assert_eq!(received.bytes, 1);
    let fds = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    (byte[0], fds.collect())
}

#[test]
fn survives_garbage_megabytes_and_descriptors() {
    let checked = LeakCheckedServer::start(1, &[]);
    for size in [1, 8, 100, 1 << 22] {
        let mut client = checked.server.client();
        // The server closes the connection during the write.
        let _ = client.stream.write_all(&vec![0xff; size]);
    }
    let file = File::open("/dev/null").unwrap();
    for count in [1, 100, 253] {
        let client = checked.server.client();
        let fds = vec![file.as_fd(); count];
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut control = SendAncillaryBuffer::new(&mut room);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        sendmsg(&client.stream, &[IoSlice::new(b"take these")], &mut control, SendFlags::NOSIGNAL).unwrap();
        let mut rest = Vec::new();
        // May fail with a reset, because the server did not read the data.
        let _ = (&client.stream).read_to_end(&mut rest);
    }
    checked.check_no_leaks();
}

#[test]
fn survives_half_closed_connections() {
    let checked = LeakCheckedServer::start(1, &[]);
    for half in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        let client = checked.server.client();
        client.stream.shutdown(half).unwrap();
        // The server detects a closed receiving half when it sends the next message.
        drop(checked.server.member(1));
        drop(client);
    }
    checked.check_no_leaks();
}

#[test]
fn survives_ten_thousand_immediate_disconnects() {
    let checked = LeakCheckedServer::start(1, &[]);
    for _ in 0..10_000 {
        drop(UnixStream::connect(checked.server.socket()).unwrap());
    }
    checked.check_no_leaks();
}

#[test]
fn serves_a_hundred_clients_of_which_half_disconnect() {
    let checked = LeakCheckedServer::start(2, &[]);
    let clients: Vec<_> = (0..100).map(|_| checked.server.client()).collect();
    let mut remaining: Vec<_> = clients.into_iter().step_by(2).collect();
    for client in &mut remaining {
        client.join(2);
    }
    let ids: BTreeSet<_> = remaining.iter().map(TestClient::id).collect();
    assert_eq!(ids.len(), remaining.len(), "no id is used twice");
    drop(remaining);
    checked.check_no_leaks();
}

/// A process that keeps a connection open as its stdin.
fn spawn_holder(stream: UnixStream) -> ChildGuard {
    ChildGuard::spawn(Command::new("sleep").arg("1000").stdin(Stdio::from(OwnedFd::from(stream))))
}

#[test]
fn a_client_stays_while_a_child_holds_its_connection() {
    let mut checked = LeakCheckedServer::start(1, &[]);
    let mut client = checked.server.member(1);
    let id = client.id();
    let child = spawn_holder(client.stream.try_clone().unwrap());
    client.doorbells.clear();
    drop(client);
    // After the leave of another peer the server has processed the drop.
    let other = checked.server.member(1).id();
    checked.wait_for_leave(other);
    let present: Vec<_> = checked.status().peers.iter().map(|peer| peer.id).collect();
    assert_eq!(present, [0, id.0]);
    drop(child);
    checked.wait_for_leave(id);
    checked.check_no_leaks();
}

#[test]
fn disconnects_a_stopped_process_with_many_pending_messages() {
    // As above: the messages for the stopped client do not fit into its socket, those for the others do.
    let mut checked = LeakCheckedServer::start(80, &["--stall-timeout", "300ms"]);
    let client = checked.server.client();
    let child = spawn_holder(client.stream.try_clone().unwrap());
    drop(client);
    kill_process(child.pid(), Signal::STOP).unwrap();
    drop(checked.server.member(80));
    let other = checked.server.member(80);
    checked.wait_for_leave(PeerId(1));
    kill_process(child.pid(), Signal::CONT).unwrap();
    let present: Vec<_> = checked.status().peers.iter().map(|peer| peer.id).collect();
    assert_eq!(present, [0, other.id().0]);
    drop((child, other));
    checked.check_no_leaks();
}

#[test]
fn slow_status_readers_delay_no_other() {
    let checked = LeakCheckedServer::start(1, &[]);
    let path = checked.server.socket().with_file_name("status");
    let silent: Vec<_> = (0..5).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let mut sender = UnixStream::connect(&path).unwrap();
    let _ = sender.write_all(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(checked.status().peers.len(), 1);
    let member = checked.server.member(1);
    eventually("the member is in the status", || checked.status().peers.len() == 2);
    drop((silent, sender, member));
    checked.check_no_leaks();
}

#[test]
fn the_status_has_the_credentials_from_the_kernel() {
    let checked = LeakCheckedServer::start(3, &[]);
    let _member = checked.server.member(3);
    let status = checked.status();
    let own = (Some(Pid::as_raw(Some(rustix::process::getpid()))), Some(rustix::process::getuid().as_raw()));
    for peer in &status.peers {
        assert_eq!((peer.pid, peer.uid, peer.vectors), (own.0, own.1, 3));
    }
    assert_eq!((status.next_id, status.ids_left, status.vectors), (2, 65_534, 3));
    assert_eq!(status.memory.seals, ["shrink", "grow", "seal"]);
}
