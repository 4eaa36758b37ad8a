//! Takes three doorbells as a stream, beside whatever else the runtime does.
//!
//! `cargo run -p client --features tokio --example stream -- /tmp/ivshmem_socket`

use std::error::Error;

use client::stream::Happenings;
use client::{Happening, JoinOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let socket = std::env::args().nth(1).unwrap_or_else(|| "/tmp/ivshmem_socket".into());
    let mut happenings = Happenings::join(JoinOptions::at(socket)).await?;
    println!("ring peer {}", happenings.client().id());
    let mut seen = 0;
    while seen < 3
        && let Some(happening) = happenings.next().await
    {
        if let Happening::Rung { vector, rings } = happening? {
            println!("vector {vector} was rung {rings} times");
            // Rings that come faster than they are taken merge.
            seen += rings;
        }
    }
    Ok(())
}
