//! Each protocol violation of a server is a specific error, never a hang.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use client::ClientError;
use proto::fd_passing::{ReceiveError, send};
use proto::session::SessionError;
use proto::wire::{DecodeError, MEMORY, PeerId, Vector};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::write;

use test_support::mock_server::{INIT_MESSAGES, MockServer, Msg, eventfds, send_messages};
use test_support::{LONG, SHORT};

/// The error of a client whose server sends these messages and closes.
#[track_caller]
fn error_of(words: &[Msg]) -> ClientError {
    MockServer::sending(words).join(Some(9), LONG).unwrap_err()
}

#[track_caller]
fn assert_breaks(words: &[Msg], expected: SessionError) {
    match error_of(words) {
        ClientError::Protocol { source, .. } => assert_eq!(source, expected),
        other => panic!("{words:?}: {other}"),
    }
}

#[test]
fn rejects_init_messages_in_wrong_form() {
    use Msg::{Eventfd, Memory, Plain};
    let id = PeerId(2);
    assert_breaks(&[Plain(1)], SessionError::WrongVersion(1));
    assert_breaks(&[Eventfd(0)], SessionError::VersionWithDescriptor);
    assert_breaks(&[Plain(0), Plain(65_536)], SessionError::OwnIdOutOfRange(65_536));
    assert_breaks(&[Plain(0), Eventfd(2)], SessionError::OwnIdWithDescriptor(id));
    assert_breaks(&[Plain(0), Memory], SessionError::OwnIdOutOfRange(-1));
    assert_breaks(&[Plain(0), Plain(2), Eventfd(2)], SessionError::MemoryExpected(2));
    assert_breaks(&[Plain(0), Plain(2), Plain(-1)], SessionError::MemoryWithoutDescriptor);
}

#[test]
fn rejects_impossible_peers() {
    let after_greeting = |words: &[Msg]| [&INIT_MESSAGES[..], words].concat();
    let (own, other) = (PeerId(2), PeerId(5));
    assert_breaks(&after_greeting(&[Msg::Memory]), SessionError::PeerIdOutOfRange(-1));
    assert_breaks(&after_greeting(&[Msg::Plain(2)]), SessionError::OwnVectorWithoutDescriptor(own));
    assert_breaks(&after_greeting(&[Msg::Plain(5)]), SessionError::UnknownPeerLeft(other));
    assert_breaks(
        &after_greeting(&[Msg::Eventfd(5), Msg::Plain(5), Msg::Plain(5)]),
        SessionError::UnknownPeerLeft(other),
    );
    assert_breaks(&after_greeting(&[Msg::Eventfd(5), Msg::Plain(5), Msg::Eventfd(5)]), SessionError::IdReused(other));
}

#[test]
fn rejects_wrong_vector_count_in_handshake() {
    let after_greeting = |batches: &[(i64, usize)]| {
        let bells = batches.iter().flat_map(|&(peer, count)| eventfds(peer, count));
        error_of(&INIT_MESSAGES.into_iter().chain(bells).collect::<Vec<_>>())
    };
    let other = PeerId(5);
    let error = after_greeting(&[(4, 2), (5, 3)]);
    assert!(matches!(error, ClientError::SurplusVector { peer, each: 2, .. } if peer == other), "{error}");
    let error = after_greeting(&[(4, 2), (5, 1), (2, 1)]);
    assert!(
        matches!(error, ClientError::MissingVectors { peer, received: 1, each: 2, .. } if peer == other),
        "{error}"
    );
    // No further message shows it, so the timeout does.
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(2, 2), &eventfds(5, 1)].concat());
    let error = server.join(None, Duration::from_secs(1)).unwrap_err();
    assert!(
        matches!(error, ClientError::MissingVectors { peer, received: 1, each: 2, .. } if peer == other),
        "{error}"
    );
}

#[test]
fn rejects_wrong_vector_count_after_handshake() {
    let news_of = |words: &[Msg]| {
        let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(0, 2), &eventfds(2, 2)].concat());
        let mut client = server.join(None, LONG).unwrap();
        let (stream, _bells) = server.connection();
        send_messages(&stream, words);
        let error = loop {
            if let Err(error) = client.poll_events(LONG) {
                break error;
            }
        };
        assert!(matches!(client.poll_events(SHORT), Err(ClientError::ServerGone(_))), "nothing more is believed");
        error
    };
    for surplus in [&eventfds(2, 1), &eventfds(0, 1), &eventfds(5, 3)] {
        let error = news_of(surplus);
        assert!(matches!(error, ClientError::SurplusVector { each: 2, .. }), "{error}");
    }
    for somebody_else in [Msg::Eventfd(7), Msg::Plain(0)] {
        let error = news_of(&[Msg::Eventfd(5), somebody_else, Msg::Eventfd(5)]);
        let of_five = matches!(error, ClientError::MissingVectors { peer: PeerId(5), received: 1, each: 2, .. });
        assert!(of_five, "{error}");
    }
}

#[test]
fn rejects_endless_vectors() {
    for peer in [2, 5] {
        let server = MockServer::running(move |stream| {
            send_messages(stream, &INIT_MESSAGES);
            let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
            while send(stream, peer, Some(bell.as_fd())).is_ok() {}
            Vec::new()
        });
        let error = server.join(None, LONG).unwrap_err();
        assert!(matches!(error, ClientError::TooManyVectors { peer: p, .. } if p.to_wire() == peer), "{error}");
    }
}

#[test]
fn first_client_expects_its_own_vector_count() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(2, 2)].concat());
    let mut client = server.join(None, LONG).unwrap();
    let (stream, _bells) = server.connection();
    send_messages(&stream, &[Msg::Eventfd(5), Msg::Eventfd(7), Msg::Eventfd(7), Msg::Eventfd(5)]);
    let error = loop {
        if let Err(error) = client.poll_events(LONG) {
            break error;
        }
    };
    assert!(matches!(error, ClientError::MissingVectors { peer: PeerId(5), received: 1, each: 2, .. }), "{error}");
}

#[test]
fn full_blocking_doorbell_blocks_neither_ring_nor_wait() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(0, 1), &eventfds(2, 1)].concat());
    let client = server.join(Some(1), LONG).unwrap();
    let (_stream, bells) = server.connection();
    let make_blocking = |bell: &OwnedFd| fcntl_setfl(bell, fcntl_getfl(bell).unwrap() - OFlags::NONBLOCK).unwrap();
    let fill = |bell: &OwnedFd| write(bell, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    fill(&bells[0]);
    bells.iter().for_each(make_blocking);
    let (sender, outcome) = channel();
    thread::spawn(move || {
        let rung = client.ring(PeerId(0), Vector(0));
        let waited = client.wait(Vector(0), Some(Duration::ZERO));
        sender.send((rung, waited)).unwrap();
    });
    let (rung, waited) = outcome.recv_timeout(LONG).expect("it is held by the doorbell");
    assert!(matches!((rung, waited), (Ok(()), Ok(None))));
}

#[test]
fn rejects_surplus_descriptor_and_partial_message() {
    let error = error_of(&[&INIT_MESSAGES[..], &[Msg::Two(2)]].concat());
    let surplus = |source: &ReceiveError| matches!(source, ReceiveError::TooManyDescriptors(2));
    assert!(matches!(&error, ClientError::Receive { source, .. } if surplus(source)), "{error}");

    let server = MockServer::sending(&[&INIT_MESSAGES[..], &[Msg::Part(2, 5)]].concat());
    let path = server.path.clone();
    let joining = thread::spawn(move || test_support::mock_server::join(&path, None, LONG).map(|_| ()));
    drop(server.connection());
    let error = joining.join().unwrap().unwrap_err();
    let half =
        |source: &ReceiveError| matches!(source, ReceiveError::Decode(DecodeError::EndWithinMessage { received: 5 }));
    assert!(matches!(&error, ClientError::Receive { source, .. } if half(source)), "{error}");
}

#[test]
fn rejects_unusable_memory() {
    let of = |memory| error_of(&[Msg::Plain(0), Msg::Plain(2), memory]);
    assert!(matches!(of(Msg::MemoryOf(0)), ClientError::EmptyMemory));
    assert!(matches!(of(Msg::MemoryOf(2048)), ClientError::InvalidMemorySize { size: 2048, .. }));
    assert!(matches!(of(Msg::MemoryOf(12_288)), ClientError::InvalidMemorySize { size: 12_288, .. }));
    assert!(matches!(of(Msg::Pipe(-1)), ClientError::NotAMemoryObject(_)));
    assert!(matches!(of(Msg::Eventfd(-1)), ClientError::NotAMemoryObject(_)));
    let needed = "a memfd, a file or a shared memory object is needed";
    assert_eq!(of(Msg::Pipe(-1)).to_string(), format!("the server sent a FIFO as the shared memory; {needed}"));
    for (path, kind) in [("/dev/null", "a character device"), ("/", "a folder")] {
        let server = MockServer::running(move |stream| {
            send_messages(stream, &INIT_MESSAGES[..2]);
            send(stream, MEMORY, Some(File::open(path).unwrap().as_fd())).unwrap();
            Vec::new()
        });
        let error = server.join(None, LONG).unwrap_err();
        assert_eq!(error.to_string(), format!("the server sent {kind} as the shared memory; {needed}"));
    }
}

#[test]
fn rejects_doorbell_that_is_not_an_eventfd() {
    let error = error_of(&[&INIT_MESSAGES[..], &[Msg::Eventfd(5), Msg::Pipe(5)]].concat());
    let (peer, one) = (PeerId(5), Vector(1));
    match &error {
        ClientError::NotAnEventfd { peer: p, vector, kind } => {
            assert_eq!((*p, *vector), (peer, one));
            assert!(kind.contains("pipe"), "{error}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn full_doorbell_does_not_block_the_ring() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &[Msg::BlockingEventfd(2)]].concat());
    let client = server.join(Some(1), LONG).unwrap();
    let (_stream, own) = server.connection();
    // The largest count of an eventfd.
    rustix::io::write(&own[0], &(u64::MAX - 1).to_ne_bytes()).unwrap();
    client.ring(PeerId(2), Vector(0)).unwrap();
    assert_eq!(client.wait(Vector(0), None).unwrap(), Some(u64::MAX - 1));
}

/// A server that announces joins and leaves until all ids are used or the client is gone.
fn endless_server() -> MockServer {
    MockServer::running(|stream| {
        send_messages(stream, &INIT_MESSAGES);
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = eventfd(0, flags).unwrap();
        let tell = |id| send(stream, id, Some(bell.as_fd())).and_then(|()| send(stream, id, None));
        let mut ids = 3..=i64::from(u16::MAX);
        while ids.next().is_some_and(|id| tell(id).is_ok()) {}
        Vec::new()
    })
}

#[test]
fn endless_messages_do_not_block_the_client() {
    // Too short to use all ids. Repeated in case the server gets no CPU time to start.
    let errors = (0..20).map(|_| endless_server().join(Some(1), Duration::from_millis(200)).unwrap_err());
    let is_late =
        |error: &ClientError| matches!(error, ClientError::HandshakeTimeout { .. } | ClientError::TooFewVectors { .. });
    let error = errors.into_iter().find(|error| !is_late(error)).expect("a server that begins in time");
    assert!(matches!(error, ClientError::HandshakeTooLong { .. }), "{error}");
}

#[test]
fn ignores_messages_after_a_violation() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(2, 1)].concat());
    let mut client = server.join(Some(1), LONG).unwrap();
    let (stream, _bells) = server.connection();
    send_messages(&stream, &[Msg::Plain(9), Msg::Eventfd(5)]);
    let error = client.poll_events(LONG).unwrap_err();
    assert!(matches!(error, ClientError::Protocol { source: SessionError::UnknownPeerLeft(PeerId(9)), .. }), "{error}");
    let error = client.poll_events(SHORT).unwrap_err();
    assert!(matches!(error, ClientError::ServerGone(_)), "{error}");
    assert!(client.peers().is_empty());
}
