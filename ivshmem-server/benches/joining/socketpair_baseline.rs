//! Minimum cost of a message with a descriptor.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use proto::fd_passing::{Received, receive, send_batch};
use proto::wire::{Decoder, Message};
use rustix::event::{EventfdFlags, eventfd};

/// Messages sent before they are received. They must fit into the socket's buffer.
const ROUND: usize = 64;

/// Cost of one message: sendmsg, recvmsg, and closing the descriptor.
pub(crate) fn cost(messages: usize) -> Duration {
    let (ours, theirs) = UnixStream::pair().expect("create a socket pair");
    let doorbell = eventfd(0, EventfdFlags::CLOEXEC).expect("create an eventfd");
    let mut decoder = Decoder::new();
    let rounds = messages.div_ceil(ROUND);
    let start = Instant::now();
    for _ in 0..rounds {
        for _ in 0..ROUND {
            let message = Message { value: 1, fd: Some(doorbell.as_fd()) };
            assert_eq!(send_batch(&ours, &[message], 0).expect("the socket has room"), 8);
        }
        for _ in 0..ROUND {
            let received = receive(&theirs, &mut decoder).expect("the message arrives");
            assert!(matches!(received, Received::Message(Message { fd: Some(_), .. })));
        }
    }
    start.elapsed() / u32::try_from(rounds * ROUND).expect("the message count fits")
}
