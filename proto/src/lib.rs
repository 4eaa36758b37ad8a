//! The ivshmem client-server protocol. No policy, no async, no printing.
//!
//! Read in this order:
//! 1. [`wire`]: the messages and their incremental decoder.
//! 2. [`session`]: the client's side of the protocol as a pure state machine.
//! 3. [`fd_passing`]: file descriptors over a UNIX stream socket.

pub mod fd_passing;
pub mod session;
pub mod wire;
