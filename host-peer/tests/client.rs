//! The client library before servers that behave in every way a server can. The server's side is
//! played by the test over a real socket; against the real server it is tested with the server.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use host_peer::client::{Client, ClientError, JoinOptions, Membership};
use proto::fd_passing::send;
use proto::session::SessionError;
use proto::wire::{MEMORY, PeerId, REFUSAL, Vector};
use rustix::event::{EventfdFlags, eventfd};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

/// What a server says: a number, and what comes with it.
#[derive(Clone, Copy)]
enum Say {
    Plain(i64),
    Memory,
    Bell(i64),
}

const GREETING: [Say; 3] = [Say::Plain(0), Say::Plain(2), Say::Memory];

/// A server for one client.
struct Server {
    _folder: TempDir,
    path: PathBuf,
    /// Returns the open connection and one eventfd for each bell, in order.
    thread: JoinHandle<(UnixStream, Vec<OwnedFd>)>,
}

impl Server {
    fn that_says(words: &[Say]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let words = words.to_vec();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let bells = say(&stream, &words);
            (stream, bells)
        });
        Self { _folder: folder, path, thread }
    }

    fn join(&self, vectors: Option<u16>, timeout: Duration) -> Result<Client, ClientError> {
        join(&self.path, vectors, timeout)
    }

    fn connection(self) -> (UnixStream, Vec<OwnedFd>) {
        self.thread.join().unwrap()
    }
}

fn say(stream: &UnixStream, words: &[Say]) -> Vec<OwnedFd> {
    let memory = tempfile::tempfile().unwrap();
    memory.set_len(1 << 20).unwrap();
    let mut bells = Vec::new();
    for word in words {
        match *word {
            Say::Plain(value) => send(stream, value, None).unwrap(),
            Say::Memory => send(stream, MEMORY, Some(memory.as_fd())).unwrap(),
            Say::Bell(value) => {
                let bell = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
                send(stream, value, Some(bell.as_fd())).unwrap();
                bells.push(bell);
            }
        }
    }
    bells
}

fn join(path: &Path, vectors: Option<u16>, timeout: Duration) -> Result<Client, ClientError> {
    Client::join(&JoinOptions { socket: path.into(), vectors, timeout })
}

fn rings(bell: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    rustix::io::read(bell, &mut count).map_or(0, |_| u64::from_ne_bytes(count))
}

fn bells(peer: i64, count: usize) -> Vec<Say> {
    vec![Say::Bell(peer); count]
}

#[test]
fn the_hand_over_is_complete_when_the_client_has_as_many_vectors_as_the_others() {
    let words = [&GREETING[..], &bells(0, 2), &bells(1, 2), &bells(2, 2)].concat();
    let server = Server::that_says(&words);
    let client = server.join(None, LONG).unwrap();
    assert_eq!(client.id(), PeerId(2));
    assert_eq!(client.memory_size(), 1 << 20);
    assert_eq!(client.own_vectors().len(), 2);
    let counts: Vec<_> = client.peers().iter().map(|(id, v)| (id.0, v.len())).collect();
    assert_eq!(counts, [(0, 2), (1, 2)]);
}

#[test]
fn alone_the_hand_over_is_complete_when_the_line_is_quiet() {
    let server = Server::that_says(&[&GREETING[..], &bells(2, 3)].concat());
    assert_eq!(server.join(None, LONG).unwrap().own_vectors().len(), 3);
}

#[test]
fn a_doorbell_that_is_rung_is_the_one_that_was_meant() {
    let words = [&GREETING[..], &bells(0, 2), &bells(2, 2)].concat();
    let server = Server::that_says(&words);
    let client = server.join(Some(2), LONG).unwrap();
    let (_stream, bells) = server.connection();
    client.ring(PeerId(0), Vector(1)).unwrap();
    client.ring(PeerId(0), Vector(1)).unwrap();
    client.ring(PeerId(2), Vector(0)).unwrap();
    let seen: Vec<u64> = bells.iter().map(rings).collect();
    assert_eq!(seen, [0, 2, 1, 0]);
}

#[test]
fn waiting_returns_the_number_of_rings_or_nothing_in_time() {
    let server = Server::that_says(&[&GREETING[..], &bells(2, 2)].concat());
    let client = server.join(Some(2), LONG).unwrap();
    let (_stream, bells) = server.connection();
    assert_eq!(client.wait(Vector(1), Some(SHORT)).unwrap(), None);
    rustix::io::write(&bells[1], &3_u64.to_ne_bytes()).unwrap();
    assert_eq!(client.wait(Vector(1), None).unwrap(), Some(3));
    assert_eq!(client.wait(Vector(1), Some(Duration::ZERO)).unwrap(), None);
}

#[test]
fn unknown_peers_and_vectors_are_named() {
    let server = Server::that_says(&[&GREETING[..], &bells(0, 1), &bells(2, 1)].concat());
    let client = server.join(None, LONG).unwrap();
    let error = client.ring(PeerId(7), Vector(0)).unwrap_err();
    assert_eq!(error.to_string(), "there is no peer 7; present: 0");
    let error = client.ring(PeerId(0), Vector(1)).unwrap_err();
    assert!(matches!(error, ClientError::UnknownVector { count: 1, .. }), "{error}");
    let error = client.wait(Vector(1), None).unwrap_err();
    assert!(matches!(error, ClientError::UnknownVector { count: 1, .. }), "{error}");
}

#[test]
fn who_comes_and_goes_is_reported_in_order_and_so_is_the_end() {
    let server = Server::that_says(&[&GREETING[..], &bells(2, 1)].concat());
    let mut client = server.join(Some(1), LONG).unwrap();
    let (stream, _bells) = server.connection();
    assert_eq!(client.pump(SHORT).unwrap(), []);
    say(&stream, &[Say::Bell(5), Say::Bell(5), Say::Bell(6), Say::Plain(5)]);
    drop(stream);
    let [five, six] = [PeerId(5), PeerId(6)];
    let expected = [
        Membership::Joined { peer: five },
        Membership::VectorAdded { peer: five, vector: Vector(1) },
        Membership::Joined { peer: six },
        Membership::Left { peer: five },
    ];
    assert_eq!(client.pump(LONG).unwrap(), expected);
    assert!(client.peers().keys().eq([&six]));
    for _ in 0..2 {
        let error = client.pump(LONG).unwrap_err();
        assert!(matches!(error, ClientError::ServerGone(_)), "{error}");
    }
    client.ring(six, Vector(0)).unwrap();
}

#[test]
fn without_a_server_the_error_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let error = join(&path, None, LONG).unwrap_err();
    assert!(matches!(error, ClientError::NoSocket(_)), "{error}");
    assert!(error.to_string().contains("ivshmem-server -S"), "{error}");

    drop(UnixListener::bind(&path).unwrap());
    let error = join(&path, None, LONG).unwrap_err();
    assert!(matches!(error, ClientError::NobodyAnswers(_)), "{error}");
}

#[test]
fn a_silent_server_is_a_timeout_wherever_it_falls_silent() {
    for said in 0..=GREETING.len() {
        let server = Server::that_says(&GREETING[..said]);
        let error = server.join(None, SHORT).unwrap_err();
        match error {
            ClientError::Silent { .. } => assert!(said < 3),
            ClientError::TooFewVectors { wanted: 1, received: 0, .. } => assert_eq!(said, 3),
            other => panic!("after {said}: {other}"),
        }
        server.connection();
    }
}

#[test]
fn a_server_that_does_not_accept_is_a_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let error = join(&path, None, SHORT).unwrap_err();
    assert!(matches!(error, ClientError::Silent { .. }), "{error}");
}

#[test]
fn too_few_vectors_are_named_with_the_cure() {
    let server = Server::that_says(&[&GREETING[..], &bells(2, 1)].concat());
    let error = server.join(Some(4), SHORT).unwrap_err();
    let counts = matches!(error, ClientError::TooFewVectors { wanted: 4, received: 1, .. });
    assert!(counts, "{error}");
    assert!(error.to_string().contains("ivshmem-server -n 4"), "{error}");
}

#[test]
fn a_server_that_closes_in_mid_hand_over_is_gone() {
    let server = Server::that_says(&GREETING[..2]);
    let path = server.path.clone();
    let joining = thread::spawn(move || join(&path, None, LONG).map(|_| ()));
    drop(server.connection());
    let error = joining.join().unwrap().unwrap_err();
    assert!(matches!(error, ClientError::ServerGone(_)), "{error}");
}

#[test]
fn a_refusal_and_another_protocol_are_told_apart() {
    let error = Server::that_says(&[Say::Plain(REFUSAL)]).join(None, LONG).unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error}");
    let error = Server::that_says(&[Say::Plain(1)]).join(None, LONG).unwrap_err();
    let wrong = SessionError::WrongVersion(1);
    assert!(matches!(error, ClientError::Protocol { source, .. } if source == wrong));
}
