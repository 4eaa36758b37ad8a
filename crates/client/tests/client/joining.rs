//! The handshake and events of a client, with mock servers over a real socket and with ivshmem-server.

use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use client::{ClientError, ClientEvent, ConnectError, PeerChange};
use proto::session::SessionError;
use proto::wire::{PeerId, REFUSAL, Vector};

use test_support::mock_server::{INIT_MESSAGES, MockServer, Msg, eventfds, join, send_messages};
use test_support::real_server::RealServer;
use test_support::{LONG, SHORT, take_rings};

#[test]
fn handshake_ends_with_as_many_vectors_as_other_peers() {
    let words = [&INIT_MESSAGES[..], &eventfds(0, 2), &eventfds(1, 2), &eventfds(2, 2)].concat();
    let server = MockServer::sending(&words);
    let client = server.join(None, LONG).unwrap();
    assert_eq!(client.id(), PeerId(2));
    assert_eq!(client.memory_size(), 1 << 20);
    assert_eq!(client.own_vectors().len(), 2);
    let counts: Vec<_> = client.peers().iter().map(|(id, v)| (id.0, v.len())).collect();
    assert_eq!(counts, [(0, 2), (1, 2)]);
}

#[test]
fn handshake_without_peers_ends_after_a_pause() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(2, 3)].concat());
    assert_eq!(server.join(None, LONG).unwrap().own_vectors().len(), 3);
}

#[test]
fn pause_does_not_end_handshake_if_peers_give_the_number() {
    let server = MockServer::running(|stream| {
        let mut all = send_messages(stream, &[&INIT_MESSAGES[..], &eventfds(0, 4), &eventfds(2, 1)].concat());
        // Longer than the pause that completes a client without peers.
        thread::sleep(Duration::from_millis(300));
        all.extend(send_messages(stream, &eventfds(2, 3)));
        all
    });
    let client = server.join(None, LONG).unwrap();
    assert_eq!(client.own_vectors().len(), 4);
    let (_stream, bells) = server.connection();
    client.ring(PeerId(2), Vector(3)).unwrap();
    assert_eq!(take_rings(&bells[7]), 1);
}

#[test]
fn fewer_vectors_than_other_peers_is_an_error() {
    for asked in [None, Some(1), Some(3)] {
        let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(0, 4), &eventfds(2, 3)].concat());
        let error = server.join(asked, Duration::from_secs(1)).unwrap_err();
        let counts = matches!(error, ClientError::TooFewVectors { wanted: 4, received: 3, asked: false, .. });
        assert!(counts, "{asked:?}: {error}");
    }
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(0, 4), &eventfds(2, 4)].concat());
    let error = server.join(Some(6), LONG).unwrap_err();
    let counts = matches!(error, ClientError::TooFewVectors { wanted: 6, received: 4, asked: true, .. });
    assert!(counts, "{error}");
}

#[test]
fn peers_that_left_do_not_delay_the_handshake() {
    // A peer that leaves between its vectors does not give their number.
    let server =
        MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(0, 1), &[Msg::Plain(0)], &eventfds(2, 2)].concat());
    assert_eq!(server.join(None, LONG).unwrap().own_vectors().len(), 2);
    let left = [Msg::Plain(0), Msg::Plain(1)];
    let server =
        MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(0, 2), &eventfds(1, 2), &left, &eventfds(2, 2)].concat());
    let client = server.join(None, LONG).unwrap();
    assert_eq!((client.own_vectors().len(), client.peers().len()), (2, 0));
}

#[test]
fn joins_while_other_peers_join_and_leave() {
    let server = RealServer::start(4);
    let mut witness = server.client();
    let joined: usize = thread::scope(|scope| {
        let lives = [(); 4].map(|()| {
            scope.spawn(|| (0..50).map(|_| server.client()).filter(|client| client.own_vectors().len() == 4).count())
        });
        lives.into_iter().map(|lives| lives.join().unwrap()).sum()
    });
    assert_eq!(joined, 200);
    let last = server.client();
    while !witness.peers().contains_key(&last.id()) {
        witness.poll_events(LONG).unwrap();
    }
}

#[test]
fn rings_exactly_the_requested_doorbell() {
    let words = [&INIT_MESSAGES[..], &eventfds(0, 2), &eventfds(2, 2)].concat();
    let server = MockServer::sending(&words);
    let client = server.join(Some(2), LONG).unwrap();
    let (_stream, bells) = server.connection();
    client.ring(PeerId(0), Vector(1)).unwrap();
    client.ring(PeerId(0), Vector(1)).unwrap();
    client.ring(PeerId(2), Vector(0)).unwrap();
    let seen: Vec<u64> = bells.iter().map(take_rings).collect();
    assert_eq!(seen, [0, 2, 1, 0]);
}

#[test]
fn wait_returns_rings_or_none_after_timeout() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(2, 2)].concat());
    let client = server.join(Some(2), LONG).unwrap();
    let (_stream, bells) = server.connection();
    assert_eq!(client.wait(Vector(1), Some(SHORT)).unwrap(), None);
    rustix::io::write(&bells[1], &3_u64.to_ne_bytes()).unwrap();
    assert_eq!(client.wait(Vector(1), None).unwrap(), Some(3));
    assert_eq!(client.wait(Vector(1), Some(Duration::ZERO)).unwrap(), None);
}

#[test]
fn unknown_peers_and_vectors_are_errors() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(0, 1), &eventfds(2, 1)].concat());
    let client = server.join(None, LONG).unwrap();
    let error = client.ring(PeerId(7), Vector(0)).unwrap_err();
    assert_eq!(error.to_string(), "peer 7 is not connected; connected: 0");
    let error = client.ring(PeerId(0), Vector(1)).unwrap_err();
    assert!(matches!(error, ClientError::UnknownVector { count: 1, .. }), "{error}");
    let error = client.wait(Vector(1), None).unwrap_err();
    assert!(matches!(error, ClientError::UnknownVector { count: 1, .. }), "{error}");
}

#[test]
fn reports_joins_leaves_and_server_end_in_order() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(2, 2)].concat());
    let mut client = server.join(Some(2), LONG).unwrap();
    let (stream, _bells) = server.connection();
    assert_eq!(client.poll_events(SHORT).unwrap(), []);
    send_messages(&stream, &[&eventfds(5, 2)[..], &eventfds(6, 2), &[Msg::Plain(5)]].concat());
    drop(stream);
    let [five, six] = [PeerId(5), PeerId(6)];
    let expected = [
        PeerChange::Joined { peer: five },
        PeerChange::VectorAdded { peer: five, vector: Vector(1) },
        PeerChange::Joined { peer: six },
        PeerChange::VectorAdded { peer: six, vector: Vector(1) },
        PeerChange::Left { peer: five },
    ];
    assert_eq!(client.poll_events(LONG).unwrap(), expected);
    assert!(client.peers().keys().eq([&six]));
    for _ in 0..2 {
        let error = client.poll_events(LONG).unwrap_err();
        assert!(matches!(error, ClientError::ServerGone(_)), "{error}");
    }
    client.ring(six, Vector(0)).unwrap();
}

#[test]
fn error_without_server_has_start_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let error = join(&path, None, LONG).unwrap_err();
    assert!(matches!(error, ClientError::Connect(ConnectError::NoSocket(_))), "{error}");
    assert!(error.to_string().contains("ivshmem-server -S"), "{error}");

    drop(UnixListener::bind(&path).unwrap());
    let error = join(&path, None, LONG).unwrap_err();
    assert!(matches!(error, ClientError::Connect(ConnectError::NotListening(_))), "{error}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for other in [file.as_path(), folder.path()] {
        let error = join(other, None, LONG).unwrap_err();
        assert!(matches!(error, ClientError::Connect(ConnectError::NotASocket(_))), "{error}");
    }
}

#[test]
fn silent_server_is_a_timeout_at_any_step() {
    let falls_silent_after = |said: usize| {
        let server = MockServer::sending(&INIT_MESSAGES[..said]);
        let error = server.join(None, Duration::from_secs(1)).unwrap_err();
        match error {
            ClientError::HandshakeTimeout { .. } => assert!(said < 3),
            ClientError::TooFewVectors { wanted: 1, received: 0, .. } => assert_eq!(said, 3),
            other => panic!("after {said}: {other}"),
        }
        server.connection();
    };
    thread::scope(|scope| {
        for said in 0..=INIT_MESSAGES.len() {
            scope.spawn(move || falls_silent_after(said));
        }
    });
}

#[test]
fn server_that_does_not_accept_is_a_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let error = join(&path, None, SHORT).unwrap_err();
    assert!(matches!(error, ClientError::HandshakeTimeout { .. }), "{error}");
}

#[test]
fn too_few_vectors_error_has_a_hint() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(2, 1)].concat());
    let error = server.join(Some(4), Duration::from_secs(1)).unwrap_err();
    let counts = matches!(error, ClientError::TooFewVectors { wanted: 4, received: 1, .. });
    assert!(counts, "{error}");
    assert!(error.to_string().contains("ivshmem-server -n 4"), "{error}");
}

#[test]
fn close_during_handshake_is_server_gone() {
    let server = MockServer::sending(&INIT_MESSAGES[..2]);
    let path = server.path.clone();
    let joining = thread::spawn(move || join(&path, None, LONG).map(|_| ()));
    drop(server.connection());
    let error = joining.join().unwrap().unwrap_err();
    assert!(matches!(error, ClientError::ServerGone(_)), "{error}");
}

#[test]
fn distinguishes_refusal_from_other_protocol() {
    for messages in [1, 3] {
        let error = MockServer::sending(&vec![Msg::Plain(REFUSAL); messages]).join(None, LONG).unwrap_err();
        assert!(matches!(error, ClientError::Refused(_)), "{error}");
    }
    let error = MockServer::sending(&[Msg::Plain(1)]).join(None, LONG).unwrap_err();
    let wrong = SessionError::WrongVersion(1);
    assert!(matches!(error, ClientError::Protocol { source, .. } if source == wrong));
}

#[test]
fn busy_doorbell_does_not_starve_other_events() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(2, 2)].concat());
    let mut client = server.join(Some(2), LONG).unwrap();
    let (stream, own) = server.connection();
    assert_eq!(client.next(Some(SHORT)).unwrap(), None);
    for bell in &own {
        rustix::io::write(bell, &2_u64.to_ne_bytes()).unwrap();
    }
    send_messages(&stream, &[Msg::Eventfd(7), Msg::Plain(7)]);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(client.next(Some(LONG)).unwrap().unwrap());
        // The first doorbell rings without pause.
        if !seen.iter().any(|event| matches!(event, ClientEvent::Peer(_))) {
            rustix::io::write(&own[0], &1_u64.to_ne_bytes()).unwrap();
        }
    }
    let peer = PeerId(7);
    assert!(seen.contains(&ClientEvent::Rung { vector: Vector(1), rings: 2 }), "{seen:?}");
    assert!(seen.contains(&ClientEvent::Peer(PeerChange::Joined { peer })), "{seen:?}");
    assert!(seen.contains(&ClientEvent::Peer(PeerChange::Left { peer })), "{seen:?}");
}

#[test]
fn waits_for_doorbells_without_the_server() {
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(2, 2)].concat());
    let mut client = server.join(Some(2), LONG).unwrap();
    let (stream, own) = server.connection();
    drop(stream);
    for _ in 0..2 {
        let error = client.next(None).unwrap_err();
        assert!(matches!(error, ClientError::ServerGone(_)), "{error}");
    }
    assert_eq!(client.wait_any(Some(SHORT)).unwrap(), None);
    rustix::io::write(&own[1], &3_u64.to_ne_bytes()).unwrap();
    assert_eq!(client.wait_any(None).unwrap(), Some((Vector(1), 3)));
    rustix::io::write(&own[0], &3_u64.to_ne_bytes()).unwrap();
    rustix::io::write(&own[1], &1_u64.to_ne_bytes()).unwrap();
    assert_eq!(client.drain().unwrap(), 4);
    assert_eq!(client.drain().unwrap(), 0);
}
