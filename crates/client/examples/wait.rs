//! Waits up to ten seconds for a doorbell and prints the peers that join and leave.
//!
//! `cargo run -p client --example wait -- /tmp/ivshmem_socket`

use std::error::Error;
use std::time::{Duration, Instant};

use client::{Client, ClientEvent, JoinOptions, PeerChange};

fn main() -> Result<(), Box<dyn Error>> {
    let socket = std::env::args().nth(1).unwrap_or_else(|| "/tmp/ivshmem_socket".into());
    let mut client = Client::join(&JoinOptions::at(socket))?;
    println!("ring peer {}", client.id());
    let end = Instant::now() + Duration::from_secs(10);
    while let Some(event) = client.next(Some(end.saturating_duration_since(Instant::now())))? {
        match event {
            ClientEvent::Peer(PeerChange::Joined { peer }) => println!("peer {peer} joined"),
            ClientEvent::Peer(PeerChange::Left { peer }) => println!("peer {peer} left"),
            ClientEvent::Peer(PeerChange::VectorAdded { .. }) => {}
            ClientEvent::Rung { vector, rings } => {
                let mut greeting = [0; 5];
                client.read_at(0x1000, &mut greeting)?;
                println!("vector {vector} was rung {rings} times: {}", String::from_utf8_lossy(&greeting));
                return Ok(());
            }
        }
    }
    Err("no doorbell within ten seconds".into())
}
