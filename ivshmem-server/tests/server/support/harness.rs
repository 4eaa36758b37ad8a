//! A running server, and a client that sees each single message.

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

/// Far beyond what anything here takes: it only turns a hang into a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The command, not yet run.
pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ivshmem-server"))
}

/// What a command that ends by itself returned and logged.
pub(crate) fn outcome(args: &[&str]) -> (Option<i32>, String) {
    let output = command().args(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A server in a folder of its own, killed when dropped.
pub(crate) struct Server {
    process: Process,
    log: Receiver<String>,
    /// What it logged until it listened.
    pub(crate) first_lines: Vec<String>,
    folder: TempDir,
}

/// Ends with the test, however that ends.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }

    /// Its status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), command(), args)
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn start_in(folder: TempDir, mut command: Command, args: &[&str]) -> Self {
        // The tests' own clients hold many descriptors too.
        fd_limit::raise_limit().unwrap();
        command.arg("-v").arg("-S").arg(folder.path().join("socket"));
        let mut process = Process::spawn(command.args(args).stderr(Stdio::piped()));
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
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(error) => panic!("the log never said {text:?} ({error}), but {lines:#?}"),
            }
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket())
    }

    /// A client that was told all of its own vectors, in a server with so many.
    pub(crate) fn member(&self, vectors: u16) -> Client {
        let mut client = self.client();
        client.join(vectors);
        client
    }

    /// Sends a signal and waits for the end. Returns the folder for a look at what is left.
    pub(crate) fn stop(self, signal: Signal) -> (ExitStatus, TempDir) {
        let Self { mut process, folder, .. } = self;
        kill_process(Pid::from_child(&process.0), signal).unwrap();
        (process.0.wait().unwrap(), folder)
    }
}

/// A client that reads one message at a time, and fails the test when the protocol is broken.
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    decoder: Decoder<OwnedFd>,
    session: Session,
    pub(crate) id: Option<PeerId>,
    pub(crate) memory: Option<OwnedFd>,
    /// What was announced, in order, with the descriptors of the first vectors.
    pub(crate) bells: Vec<(PeerId, Vector, OwnedFd)>,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> Self {
        Self::of(UnixStream::connect(socket).unwrap())
    }

    /// A client on a connection of its own.
    pub(crate) fn of(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, decoder: Decoder::new(), session: Session::new(), id: None, memory: None, bells: Vec::new() }
    }

    /// The next message, or nothing when the server closed the connection.
    pub(crate) fn message(&mut self) -> Option<Message<OwnedFd>> {
        match receive(&self.stream, &mut self.decoder).unwrap() {
            Received::Message(message) => Some(message),
            Received::Closed => None,
            Received::NotYet => panic!("the server said nothing"),
        }
    }

    /// The next message's meaning.
    pub(crate) fn event(&mut self) -> Event<OwnedFd> {
        let message = self.message().expect("the server closed the connection");
        self.feed(message)
    }

    /// What a message means.
    pub(crate) fn feed(&mut self, message: Message<OwnedFd>) -> Event<OwnedFd> {
        self.session.feed(message.value, message.fd).unwrap()
    }

    /// Reads the first message: whether the server refused the client, with three messages and then by closing.
    pub(crate) fn is_refused(&mut self) -> bool {
        let message = self.message().expect("the server closed the connection without a word");
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

    /// Reads up to the last of its own vectors.
    pub(crate) fn join(&mut self, vectors: u16) {
        let mut own = 0;
        while own < vectors {
            match self.event() {
                Event::VersionAgreed | Event::PeerLeft(_) => {}
                Event::Joined(id) => self.id = Some(id),
                Event::Memory(fd) => self.memory = Some(fd),
                Event::OwnVector { vector, fd } => {
                    own += 1;
                    self.bells.push((self.id.unwrap(), vector, fd));
                }
                Event::PeerVector { peer, vector, fd } => self.bells.push((peer, vector, fd)),
            }
        }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.id.unwrap()
    }

    /// A peer's eventfd, as this client got it.
    pub(crate) fn bell(&self, peer: PeerId, vector: u16) -> &OwnedFd {
        let mut bells = self.bells.iter();
        let found = bells.find(|(p, v, _)| (*p, v.0) == (peer, vector));
        &found.expect("no such bell was announced").2
    }

    /// Reads the announcement of a peer with so many vectors, and nothing else.
    pub(crate) fn sees_join(&mut self, peer: PeerId, vectors: u16) {
        for expected in 0..vectors {
            match self.event() {
                Event::PeerVector { peer: came, vector, fd } => {
                    assert_eq!((came, vector), (peer, Vector(expected)));
                    self.bells.push((came, vector, fd));
                }
                other => panic!("expected vector {expected} of peer {peer}, got {other:?}"),
            }
        }
    }

    /// Reads the notice that a peer left, and nothing else.
    pub(crate) fn sees_leave(&mut self, peer: PeerId) {
        match self.event() {
            Event::PeerLeft(left) => assert_eq!(left, peer),
            other => panic!("expected that peer {peer} left, got {other:?}"),
        }
    }

    /// Reads to the end of the connection.
    pub(crate) fn sees_the_end(&mut self) {
        while self.message().is_some() {}
    }
}

/// Rings an eventfd.
pub(crate) fn ring(bell: &OwnedFd) {
    rustix::io::write(bell, &1_u64.to_ne_bytes()).unwrap();
}

/// How often an eventfd was rung since the last look.
pub(crate) fn rings(bell: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    rustix::io::read(bell, &mut count).map_or(0, |_| u64::from_ne_bytes(count))
}
