//! Writes a greeting into the shared memory and rings every peer.
//!
//! `cargo run -p client --example ring -- /tmp/ivshmem_socket`

use std::error::Error;

use client::Vector;
use client::{Client, JoinOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let socket = std::env::args().nth(1).unwrap_or_else(|| "/tmp/ivshmem_socket".into());
    let client = Client::join(&JoinOptions::at(socket))?;
    // `client.map()?` would be faster, and fails if a mapping is not safe.
    client.write_at(0x1000, b"hello")?;
    for &peer in client.peers().keys() {
        client.ring(peer, Vector(0))?;
        println!("rang peer {peer}");
    }
    Ok(())
}
