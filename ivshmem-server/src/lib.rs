//! An ivshmem server: hands one memory object and everybody's eventfds to QEMU and to other peers,
//! and tells each of them who comes and who goes. It is not on the way of any message between peers.
//!
//! It does not look into the memory, ring a doorbell, or trust a client: one that is slow, hostile or
//! dead costs nobody but itself.
//!
//! Read in this order:
//! 1. [`config`]: what can be chosen.
//! 2. `server`: the life of the server, from bind to shutdown.
//! 3. `registry`: who is there, and who must be told what.
//! 4. `outbox` and `peer`: one client's connection, from its first message to its last.
//! 5. [`memory`]: the shared memory object. [`size`]: how its size is written.
//! 6. `socket_file`, `pid_file`, [`descriptors`]: what the server takes from the machine and gives back.

pub mod config;
pub mod descriptors;
pub mod memory;
mod outbox;
mod peer;
mod pid_file;
mod registry;
mod server;
pub mod size;
mod socket_file;

pub use config::Config;
pub use server::{Server, ServerError};
pub use socket_file::SocketError;
