//! The ivshmem client-server protocol. No policy, no async, no printing.
//!
//! Read in this order:
//! 1. [`wire`]: the messages and their incremental decoder.
//! 2. [`session`]: the client's side of the protocol as a pure state machine.
//! 3. [`fd_passing`]: file descriptors over a UNIX stream socket. [`fd_limit`]: for servers with many peers.
//! 4. [`connect`](mod@connect): a connection to a server, by a deadline.
//! 5. [`status`]: the server's status document, and its reader.

pub mod connect;
pub mod deadline;
pub mod fd_limit;
pub mod fd_passing;
pub mod session;
#[cfg(feature = "status")]
pub mod status;
pub mod wire;
