//! Clients that do their worst, and clients that have bad luck. Afterwards the server is as it was before: the
//! descriptors, the memory, the peers; and no other peer noticed more than that somebody came and left.

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

use crate::support::harness::{Client, Process};
use crate::support::leak_check::{LeakCheckedServer, eventually};

#[test]
fn one_that_is_gone_after_any_byte_of_its_hand_over() {
    let watched = LeakCheckedServer::start(2, &[]);
    // Version, id, memory, the witness's vectors, its own vectors.
    let hand_over = (3 + 2 + 2) * 8;
    for bytes in 0..=hand_over {
        let mut client = UnixStream::connect(watched.server.socket()).unwrap();
        client.read_exact(&mut vec![0; bytes]).unwrap();
    }
    watched.ends_as_before();
}

#[test]
fn some_that_never_read_are_cut_off_and_leave_once() {
    // A socket has room for some 256 messages. Each of the two is told more than that; the witness, however late it
    // reads, is not.
    let mut watched = LeakCheckedServer::start(120, &["--stall-timeout", "200ms"]);
    let stuck = [(); 2].map(|()| watched.server.client());
    for id in 1..=2 {
        watched.hears_that_it_left(PeerId(id));
    }
    watched.server.log_until("because it read nothing for 200ms");
    let status = watched.status();
    assert_eq!((status.cut_off, status.peers.len()), (2, 1));
    drop(stuck);
    watched.ends_as_before();
}

#[test]
fn one_that_reads_a_byte_at_a_time_gets_each_descriptor_with_the_first_byte_of_its_message() {
    let watched = LeakCheckedServer::start(2, &[]);
    let client = watched.server.client();
    let mut read = Vec::new();
    for at in 0..7 * 8 {
        let (byte, fds) = one_byte(&client.stream);
        read.push(byte);
        let message = at / 8;
        let expected = usize::from(at % 8 == 0 && message >= 2);
        assert_eq!(fds.len(), expected, "byte {at}");
    }
    let values: Vec<_> = read.chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(values, [0, 1, -1, 0, 0, 1, 1]);
    drop(client);
    watched.ends_as_before();
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
fn some_that_send_garbage_megabytes_and_descriptors() {
    let watched = LeakCheckedServer::start(1, &[]);
    for size in [1, 8, 100, 1 << 22] {
        let mut client = watched.server.client();
        // The server hangs up in mid sending.
        let _ = client.stream.write_all(&vec![0xff; size]);
    }
    let file = File::open("/dev/null").unwrap();
    for count in [1, 100, 253] {
        let client = watched.server.client();
        let fds = vec![file.as_fd(); count];
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut control = SendAncillaryBuffer::new(&mut room);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        sendmsg(&client.stream, &[IoSlice::new(b"take these")], &mut control, SendFlags::NOSIGNAL).unwrap();
        let mut rest = Vec::new();
        // Reset, because what it sent was not read.
        let _ = (&client.stream).read_to_end(&mut rest);
    }
    watched.ends_as_before();
}

#[test]
fn some_that_close_one_half_of_their_connection() {
    let watched = LeakCheckedServer::start(1, &[]);
    for half in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        let client = watched.server.client();
        client.stream.shutdown(half).unwrap();
        // With its receiving half closed, the server notices when it next has something to say.
        drop(watched.server.member(1));
        drop(client);
    }
    watched.ends_as_before();
}

#[test]
fn ten_thousand_that_connect_and_vanish() {
    let watched = LeakCheckedServer::start(1, &[]);
    for _ in 0..10_000 {
        drop(UnixStream::connect(watched.server.socket()).unwrap());
    }
    watched.ends_as_before();
}

#[test]
fn a_hundred_that_come_at_once_and_one_in_two_vanishes() {
    let watched = LeakCheckedServer::start(2, &[]);
    let crowd: Vec<_> = (0..100).map(|_| watched.server.client()).collect();
    let mut stay: Vec<_> = crowd.into_iter().step_by(2).collect();
    for client in &mut stay {
        client.join(2);
    }
    let ids: BTreeSet<_> = stay.iter().map(Client::id).collect();
    assert_eq!(ids.len(), stay.len(), "no id was given out twice");
    drop(stay);
    watched.ends_as_before();
}

/// A process that has a connection as its input, and does nothing with it.
fn holder(stream: UnixStream) -> Process {
    Process::spawn(Command::new("sleep").arg("1000").stdin(Stdio::from(OwnedFd::from(stream))))
}

#[test]
fn one_whose_descriptor_lives_on_in_a_child_stays_until_the_child_ends() {
    let mut watched = LeakCheckedServer::start(1, &[]);
    let mut client = watched.server.member(1);
    let id = client.id();
    let child = holder(client.stream.try_clone().unwrap());
    client.bells.clear();
    drop(client);
    // Somebody else's coming and going shows that the server has looked meanwhile.
    let other = watched.server.member(1).id();
    watched.hears_that_it_left(other);
    let present: Vec<_> = watched.status().peers.iter().map(|peer| peer.id).collect();
    assert_eq!(present, [0, id.0]);
    drop(child);
    watched.hears_that_it_left(id);
    watched.ends_as_before();
}

#[test]
fn one_that_is_stopped_is_cut_off_if_it_misses_too_much_and_disturbs_nobody_when_it_goes_on() {
    // As above: what the stopped one is told does not fit into its socket, what the others are told does.
    let mut watched = LeakCheckedServer::start(80, &["--stall-timeout", "300ms"]);
    let client = watched.server.client();
    let child = holder(client.stream.try_clone().unwrap());
    drop(client);
    kill_process(child.pid(), Signal::STOP).unwrap();
    drop(watched.server.member(80));
    let other = watched.server.member(80);
    watched.hears_that_it_left(PeerId(1));
    kill_process(child.pid(), Signal::CONT).unwrap();
    let present: Vec<_> = watched.status().peers.iter().map(|peer| peer.id).collect();
    assert_eq!(present, [0, other.id().0]);
    drop((child, other));
    watched.ends_as_before();
}

#[test]
fn readers_of_the_status_who_do_not_read_keep_no_one_waiting() {
    let watched = LeakCheckedServer::start(1, &[]);
    let path = watched.server.socket().with_file_name("status");
    let rude: Vec<_> = (0..5).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let mut chatty = UnixStream::connect(&path).unwrap();
    let _ = chatty.write_all(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(watched.status().peers.len(), 1);
    let member = watched.server.member(1);
    eventually("the member is in the status", || watched.status().peers.len() == 2);
    drop((rude, chatty, member));
    watched.ends_as_before();
}

#[test]
fn the_pid_of_a_peer_is_the_one_that_the_kernel_says() {
    let watched = LeakCheckedServer::start(3, &[]);
    let _member = watched.server.member(3);
    let status = watched.status();
    let own = (Some(Pid::as_raw(Some(rustix::process::getpid()))), Some(rustix::process::getuid().as_raw()));
    for peer in &status.peers {
        assert_eq!((peer.pid, peer.uid, peer.vectors), (own.0, own.1, 3));
    }
    assert_eq!((status.next_id, status.ids_left, status.vectors), (2, 65_534, 3));
    assert_eq!(status.memory.seals, ["shrink", "grow", "seal"]);
}
