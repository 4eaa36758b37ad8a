//! A server for one client that sends the messages of a test.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use client::{Client, ClientError, JoinOptions};
use proto::fd_passing::send;
use proto::wire::{MEMORY, encode};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tempfile::TempDir;

/// A message: a number and its descriptor.
#[derive(Debug, Clone, Copy)]
pub enum Msg {
    Plain(i64),
    Memory,
    Eventfd(i64),
    /// A file of this size as the memory.
    MemoryOf(u64),
    /// The number with the write end of a pipe.
    Pipe(i64),
    /// The number with a blocking eventfd.
    BlockingEventfd(i64),
    /// The number with two descriptors.
    Two(i64),
    /// Only the first bytes of the number.
    Part(i64, usize),
}

pub const INIT_MESSAGES: [Msg; 3] = [Msg::Plain(0), Msg::Plain(2), Msg::Memory];

/// A server for one client.
pub struct MockServer {
    _folder: TempDir,
    pub path: PathBuf,
    /// Returns the open connection and its eventfds, in order.
    thread: JoinHandle<(UnixStream, Vec<OwnedFd>)>,
}

impl MockServer {
    pub fn sending(messages: &[Msg]) -> Self {
        let messages = messages.to_vec();
        Self::running(move |stream| send_messages(stream, &messages))
    }

    /// Calls `act` with the connection of the client.
    pub fn running(act: impl FnOnce(&UnixStream) -> Vec<OwnedFd> + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let eventfds = act(&stream);
            (stream, eventfds)
        });
        Self { _folder: folder, path, thread }
    }

    pub fn join(&self, vectors: Option<u16>, timeout: Duration) -> Result<Client, ClientError> {
        join(&self.path, vectors, timeout)
    }

    pub fn connection(self) -> (UnixStream, Vec<OwnedFd>) {
        self.thread.join().unwrap()
    }
}

/// A file, which cannot be sealed.
pub fn unsealed(bytes: u64) -> File {
    let memory = tempfile::tempfile().unwrap();
    memory.set_len(bytes).unwrap();
    memory
}

pub fn send_messages(stream: &UnixStream, messages: &[Msg]) -> Vec<OwnedFd> {
    let mut eventfds = Vec::new();
    for message in messages {
        match *message {
            Msg::Plain(value) => send(stream, value, None).unwrap(),
            Msg::Memory => send(stream, MEMORY, Some(unsealed(1 << 20).as_fd())).unwrap(),
            Msg::MemoryOf(bytes) => send(stream, MEMORY, Some(unsealed(bytes).as_fd())).unwrap(),
            Msg::Eventfd(value) => {
                eventfds.push(send_eventfd(stream, value, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))
            }
            Msg::BlockingEventfd(value) => eventfds.push(send_eventfd(stream, value, EventfdFlags::CLOEXEC)),
            Msg::Pipe(value) => send(stream, value, Some(std::io::pipe().unwrap().1.as_fd())).unwrap(),
            Msg::Two(value) => try_send_many(stream, &encode(value), &[stream.as_fd(); 2], SendFlags::empty()).unwrap(),
            Msg::Part(value, bytes) => (&mut &*stream).write_all(&encode(value)[..bytes]).unwrap(),
        }
    }
    eventfds
}

fn send_eventfd(stream: &UnixStream, value: i64, flags: EventfdFlags) -> OwnedFd {
    let doorbell = eventfd(0, flags).unwrap();
    send(stream, value, Some(doorbell.as_fd())).unwrap();
    doorbell
}

/// Sends bytes with any number of descriptors.
pub fn try_send_many(stream: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>], flags: SendFlags) -> Result<(), Errno> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds)));
    let sent = sendmsg(stream, &[IoSlice::new(bytes)], &mut control, flags | SendFlags::NOSIGNAL)?;
    assert_eq!(sent, bytes.len());
    Ok(())
}

pub fn join(path: &Path, vectors: Option<u16>, timeout: Duration) -> Result<Client, ClientError> {
    Client::join(&JoinOptions { socket: path.into(), vectors, timeout })
}

pub fn eventfds(peer: i64, count: usize) -> Vec<Msg> {
    vec![Msg::Eventfd(peer); count]
}
