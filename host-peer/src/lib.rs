//! A host process as a peer of an ivshmem server: joins, maps the memory, rings, waits; judges servers; and the measured
//! initiator. It starts no other process, draws nothing, and computes no statistics: `report` does, from what it writes.
//!
//! To join, share and wait takes a few lines:
//!
//! ```
//! # use ivshmem_server::{Config, Server};
//! # let folder = tempfile::tempdir()?;
//! # let socket = folder.path().join("socket");
//! # let config = Config { socket: socket.clone(), size: 1 << 20, ..Config::default() };
//! # let server = Server::bind(&config)?;
//! # std::thread::spawn(move || {
//! #     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! #     runtime.block_on(server.run(std::future::pending())).unwrap();
//! # });
//! use std::time::Duration;
//! use host_peer::Vector;
//! use host_peer::client::{Client, JoinOptions};
//!
//! let here = Client::join(&JoinOptions::at(&socket))?;
//! let there = Client::join(&JoinOptions::at(&socket))?;
//! there.map()?.copy_in(0x1000, b"hello")?;
//! there.ring(here.id(), Vector(0))?;
//! let rings = here.wait(Vector(0), Some(Duration::from_secs(5)))?;
//! let mut seen = [0; 5];
//! here.map()?.copy_out(0x1000, &mut seen)?;
//! assert_eq!((rings, &seen), (Some(1), b"hello"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! More in `examples/`: waiting with a deadline, for everything at once, and as a stream in tokio (feature `tokio`).
//!
//! Read in this order:
//! 1. [`client`]: join, map, ring, wait, and who else is there. [`descriptors`]: for servers with many peers.
//! 2. [`check`]: whether a server keeps the rules.
//! 3. [`status`]: who is connected, without joining.
//! 4. [`mod@bench`]: the initiator, block by block.

pub mod bench;
pub mod check;
pub mod client;
pub mod descriptors;
pub mod status;
// For the command too.
#[doc(hidden)]
pub mod words;

// What a peer and a doorbell are called by, so that a program needs no other crate for them.
pub use proto::wire::{PeerId, Vector};
