//! Receives three doorbells as a stream.
//!
//! `cargo run -p client --features tokio --example stream -- /tmp/ivshmem_socket`

use std::error::Error;

use client::stream::EventStream;
use client::{ClientEvent, JoinOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let socket = std::env::args().nth(1).unwrap_or_else(|| "/tmp/ivshmem_socket".into());
    let mut events = EventStream::join(JoinOptions::at(socket)).await?;
    println!("ring peer {}", events.client().id());
    let mut total = 0;
    while total < 3
        && let Some(event) = events.next().await
    {
        if let ClientEvent::Rung { vector, rings } = event? {
            println!("vector {vector} was rung {rings} times");
            // Rings that arrive before a read are counted together.
            total += rings;
        }
    }
    Ok(())
}
