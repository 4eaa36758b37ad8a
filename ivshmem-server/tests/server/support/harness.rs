//! A running server, and a client that checks each message.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use ivshmem_server::fd_limit;
use proto::fd_passing::{Received, receive};
use proto::session::{Event, Session, SessionError};
use proto::wire::{Decoder, Message, PeerId, REFUSAL, Vector};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Long time limit that only turns a hang into a failure.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The command, not yet run.
pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ivshmem-server"))
}

/// Runs a command to its end. Returns exit status and log.
pub(crate) fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = command().args(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A server in its own directory, killed when dropped.
pub(crate) struct ServerProcess {
    process: ChildGuard,
    log: Receiver<String>,
    /// The log until the server listened.
    pub(crate) first_lines: Vec<String>,
    folder: TempDir,
}

/// A child process, killed when dropped.
pub(crate) struct ChildGuard(Child);

impl ChildGuard {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }

    /// Its exit status, if it has ended.
    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl ServerProcess {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), command(), args)
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn start_in(folder: TempDir, mut command: Command, args: &[&str]) -> Self {
        // The clients of the tests need many descriptors as well.
        fd_limit::raise_limit().unwrap();
        command.arg("-v").arg("-S").arg(folder.path().join("socket"));
        let mut process = ChildGuard::spawn(command.args(args).stderr(Stdio::piped()));
        let stderr = BufReader::new(process.0.stderr.take().unwrap());
        let (sender, log) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The test may have ended.
                let _ = sender.send(line);
            }
        });
        let mut server = Self { process, log, first_lines: Vec::new(), folder };
        server.first_lines = server.log_until("listening on");
        server
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.process.0)
    }

    /// Waits for a line of the log that contains `text`, and returns it with those before it.
    pub(crate) fn log_until(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.log.recv_timeout(TIMEOUT) {
                Ok(line) => lines.push(line),
                Err(error) => panic!("the log does not contain {text:?} ({error}): {lines:#?}"),
            }
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
    }

    pub(crate) fn client(&self) -> TestClient {
        TestClient::connect(&self.socket())
    }

    /// A client that has joined a server with this number of vectors.
    pub(crate) fn member(&self, vectors: u16) -> TestClient {
        let mut client = self.client();
        client.join(vectors);
        client
    }

    /// Sends a signal and waits for the end. Returns the directory to check for remaining files.
    pub(crate) fn stop(self, signal: Signal) -> (ExitStatus, TempDir) {
        let Self { mut process, folder, .. } = self;
        kill_process(Pid::from_child(&process.0), signal).unwrap();
        (process.0.wait().unwrap(), folder)
    }
}

/// A client that reads one message at a time and fails the test at protocol errors.
pub(crate) struct TestClient {
    pub(crate) stream: UnixStream,
    decoder: Decoder<OwnedFd>,
    session: Session,
    pub(crate) id: Option<PeerId>,
    pub(crate) memory: Option<OwnedFd>,
    /// The received doorbells in order.
    pub(crate) doorbells: Vec<(PeerId, Vector, OwnedFd)>,
}

impl TestClient {
    pub(crate) fn connect(socket: &Path) -> Self {
        Self::from_stream(UnixStream::connect(socket).unwrap())
    }

    pub(crate) fn from_stream(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self { stream, decoder: Decoder::new(), session: Session::new(), id: None, memory: None, doorbells: Vec::new() }
    }

    /// The next message, or `None` at the end of the connection.
    pub(crate) fn message(&mut self) -> Option<Message<OwnedFd>> {
        match receive(&self.stream, &mut self.decoder).unwrap() {
            Received::Message(message) => Some(message),
            Received::Closed => None,
            Received::NotYet => panic!("no message before the timeout"),
        }
    }

    /// The event of the next message.
    pub(crate) fn event(&mut self) -> Event<OwnedFd> {
        let message = self.message().expect("the server closed the connection");
        self.feed(message)
    }

    /// The event of a message.
    pub(crate) fn feed(&mut self, message: Message<OwnedFd>) -> Event<OwnedFd> {
        self.session.feed(message.value, message.fd).unwrap()
    }

    /// Whether the server refused the client: with three messages and the end of the connection.
    pub(crate) fn is_refused(&mut self) -> bool {
        let message = self.message().expect("a message before the end of the connection");
        match self.session.feed(message.value, message.fd) {
            Ok(Event::VersionAgreed) => false,
            Err(SessionError::Refused) => {
                let rest: Vec<_> = std::iter::from_fn(|| self.message()).collect();
                assert_eq!(rest.iter().map(|message| message.value).collect::<Vec<_>>(), [REFUSAL; 2]);
                assert!(rest.iter().all(|message| message.fd.is_none()));
                true
            }
            other => panic!("expected a version or a refusal, got {other:?}"),
        }
    }

    /// Reads messages up to the last of its own vectors.
    pub(crate) fn join(&mut self, vectors: u16) {
        let mut own = 0;
        while own < vectors {
            match self.event() {
                Event::VersionAgreed | Event::PeerLeft(_) => {}
                Event::Joined(id) => self.id = Some(id),
                Event::Memory(fd) => self.memory = Some(fd),
                Event::OwnVector { vector, fd } => {
                    own += 1;
                    self.doorbells.push((self.id.unwrap(), vector, fd));
                }
                Event::PeerVector { peer, vector, fd } => self.doorbells.push((peer, vector, fd)),
            }
        }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.id.unwrap()
    }

    /// The eventfd received for a peer's vector.
    pub(crate) fn doorbell(&self, peer: PeerId, vector: u16) -> &OwnedFd {
        let mut doorbells = self.doorbells.iter();
        let doorbell = doorbells.find(|(owner, number, _)| (*owner, number.0) == (peer, vector));
        &doorbell.expect("the doorbell was received").2
    }

    /// Reads the join of a peer with this number of vectors.
    pub(crate) fn expect_join(&mut self, peer: PeerId, vectors: u16) {
        for expected in 0..vectors {
            match self.event() {
                Event::PeerVector { peer: joined, vector, fd } => {
                    assert_eq!((joined, vector), (peer, Vector(expected)));
                    self.doorbells.push((joined, vector, fd));
                }
                other => panic!("expected vector {expected} of peer {peer}, got {other:?}"),
            }
        }
    }

    /// Reads the disconnect notice of a peer.
    pub(crate) fn expect_leave(&mut self, peer: PeerId) {
        match self.event() {
            Event::PeerLeft(left) => assert_eq!(left, peer),
            other => panic!("expected that peer {peer} left, got {other:?}"),
        }
    }

    /// Reads to the end of the connection.
    pub(crate) fn read_to_end(&mut self) {
        while self.message().is_some() {}
    }
}

/// Rings an eventfd.
pub(crate) fn ring(doorbell: &OwnedFd) {
    rustix::io::write(doorbell, &1_u64.to_ne_bytes()).unwrap();
}

/// Reads and clears the counter of an eventfd; 0 if it was not rung.
pub(crate) fn take_rings(doorbell: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    rustix::io::read(doorbell, &mut count).map_or(0, |_| u64::from_ne_bytes(count))
}
