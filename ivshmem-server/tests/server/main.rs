//! The server as its clients and its operator see it: the real command, real sockets, real signals.

mod crowd;
mod hand_over;
mod harness;
mod host_peer;
mod lifecycle;
mod limits;
mod memory;
mod misbehaviour;
