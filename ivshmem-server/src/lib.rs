//! An ivshmem server: gives the shared memory and the eventfds of all peers to QEMU and other clients, and notifies them of
//! joins and leaves. Messages between peers do not pass through it.
//!
//! It does not access the memory, ring a doorbell, or trust a client. A slow, hostile or dead client affects only itself.
//!
//! Read in this order:
//! 1. [`config`]: the settings.
//! 2. `server`: from bind to shutdown.
//! 3. `clients`: accepts, rejects and disconnects clients. `clients::connection` and `clients::outbox`: one client's
//!    connection. `clients::fd_budget`: how many descriptors may be in flight. `clients::log_throttle`: repeated warnings.
//! 4. `registry`: present peers, their ids, and the notifications for each client, without sockets. `shared`: the state that
//!    all tasks share.
//! 5. [`memory`]: the shared memory object. [`size`]: how sizes are written.
//! 6. `status`: the status document ([`proto::status`]) and its server.
//! 7. [`access`], [`socket_activation`], [`fd_limit`], `socket_file`, `pid_file`, `regular_file`: resources of the system.

pub mod access;
mod clients;
pub mod config;
pub mod fd_limit;
pub mod memory;
mod pid_file;
mod registry;
mod regular_file;
mod server;
mod shared;
pub mod socket_activation;
mod socket_file;
mod status;

// Sizes are written as in every program of this project.
pub use cli_common::size;
pub use config::Config;
pub use server::{Server, ServerError, check_paths};
pub use socket_file::SocketError;
