//! An ivshmem server: hands one memory object and everybody's eventfds to QEMU and to other peers,
//! and tells each of them who comes and who goes. It is not on the way of any message between peers.
//!
//! It does not look into the memory, ring a doorbell, or trust a client: one that is slow, hostile or
//! dead costs nobody but itself.
//!
//! Read in this order:
//! 1. [`config`]: what can be chosen.
//! 2. `server`: the life of the server, from bind to shutdown. `doors`: who is taken in, refused, seen off; `repeats`: what
//!    is said of that again and again.
//! 3. `registry`, `ids` and `view`: present peers, their ids, and the notices for each client. `hall`: what all tasks share.
//! 4. `peer` and `outbox`: one client's connection, from its first message to its last.
//! 5. [`memory`]: the shared memory object. [`size`]: how its size is written.
//! 6. [`status`]: what the server says of itself.
//! 7. [`access`], [`activation`], `socket_file`, `pid_file`, [`descriptors`], `in_flight`: what the server takes from
//!    the machine, shares out, and gives back.

pub mod access;
pub mod activation;
pub mod config;
pub mod descriptors;
mod doors;
mod hall;
mod ids;
mod in_flight;
pub mod memory;
mod outbox;
mod peer;
mod pid_file;
mod registry;
mod repeats;
mod server;
mod socket_file;
pub mod status;
mod view;

// Sizes are written as in every program of this project.
pub use cli_common::size;
pub use config::Config;
pub use server::{Server, ServerError};
pub use socket_file::SocketError;
