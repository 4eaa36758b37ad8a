//! The least that a message with a descriptor can cost.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use proto::fd_passing::{Received, receive, send_batch};
use proto::wire::{Decoder, Message};
use rustix::event::{EventfdFlags, eventfd};

/// How many messages a socket takes before it is full, and more.
const ROUND: usize = 64;

/// One message, sent by a system call of its own, received, and its descriptor closed.
pub(crate) fn cost(messages: usize) -> Duration {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair can be made");
    let bell = eventfd(0, EventfdFlags::CLOEXEC).expect("an eventfd can be made");
    let mut decoder = Decoder::new();
    let rounds = messages.div_ceil(ROUND);
    let begun = Instant::now();
    for _ in 0..rounds {
        for _ in 0..ROUND {
            let message = Message { value: 1, fd: Some(bell.as_fd()) };
            assert_eq!(send_batch(&ours, &[message], 0).expect("the socket has room"), 8);
        }
        for _ in 0..ROUND {
            let received = receive(&theirs, &mut decoder).expect("what was sent arrives");
            assert!(matches!(received, Received::Message(Message { fd: Some(_), .. })));
        }
    }
    begun.elapsed() / u32::try_from(rounds * ROUND).expect("a benchmark has fewer messages")
}
