//! `host-peer`: a host process as a peer of an ivshmem server, for scripts, and the benchmark's measured initiator.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Parser, Subcommand};
use host_peer::bench;
use host_peer::client::{Client, JoinOptions};
use proto::region::{SharedRegion, may_shrink};
use proto::wire::{PeerId, Vector};

/// Joins an ivshmem server as a peer.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  host-peer list                           who is there
  host-peer ring 0 0                       ring peer 0 on vector 0
  host-peer wait --count 1 --timeout 5s    block until a doorbell
  host-peer read 0x1000 64 | xxd           look at the shared memory
  echo -n hello | host-peer write 0x1000   change it

Exit status: 0 ok, 1 failed, 2 wrong usage."
)]
struct Arguments {
    /// The server's socket
    #[arg(short = 'S', long, global = true, default_value = "/tmp/ivshmem_socket")]
    socket: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows the peers, their vectors, and the memory
    List,
    /// Rings a peer
    Ring {
        /// The peer's id
        peer: u16,
        /// The peer's vector
        vector: u16,
        /// How often
        #[arg(long, default_value_t = 1)]
        count: u64,
    },
    /// Blocks until doorbells arrive; says its own id on stderr, so that others can ring it
    Wait {
        /// Own vector
        #[arg(long, default_value_t = 0)]
        vector: u16,
        /// Doorbells to wait for
        #[arg(long, default_value_t = 1)]
        count: u64,
        /// How long at most, such as 500ms or 5s; for ever if absent
        #[arg(long, value_parser = humantime::parse_duration)]
        timeout: Option<Duration>,
    },
    /// Writes bytes of the shared memory to stdout
    Read {
        /// Offset in the memory, decimal or 0x…
        #[arg(value_parser = number)]
        offset: usize,
        /// Bytes
        #[arg(value_parser = number)]
        len: usize,
    },
    /// Writes stdin into the shared memory
    Write {
        /// Offset in the memory, decimal or 0x…
        #[arg(value_parser = number)]
        offset: usize,
    },
    /// The measured initiator; `cargo xtask bench` calls it
    Bench {
        /// What to measure, JSON
        #[arg(long)]
        plan: PathBuf,
        /// Folder for samples.csv and measured.json
        #[arg(long)]
        out: PathBuf,
    },
}

fn number(text: &str) -> Result<usize, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => usize::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "a number of bytes, decimal or 0x…".to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter("info").init();
    match act(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("host-peer: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn act(arguments: &Arguments) -> anyhow::Result<()> {
    match arguments.verb {
        Verb::List => list(&join(arguments)?),
        Verb::Ring { peer, vector, count } => {
            let client = join(arguments)?;
            for _ in 0..count {
                client.ring(PeerId(peer), Vector(vector))?;
            }
        }
        Verb::Wait { vector, count, timeout } => {
            let client = join(arguments)?;
            eprintln!("waiting as peer {}", client.id());
            println!("{}", wait(&client, Vector(vector), count, timeout)?);
        }
        Verb::Read { offset, len } => {
            let memory = map(&join(arguments)?)?;
            anyhow::ensure!(len <= memory.len(), "the memory has {} bytes", memory.len());
            let mut bytes = vec![0; len];
            memory.copy_out(offset, &mut bytes)?;
            std::io::stdout().write_all(&bytes)?;
        }
        Verb::Write { offset } => {
            let memory = map(&join(arguments)?)?;
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes)?;
            memory.copy_in(offset, &bytes)?;
        }
        Verb::Bench { ref plan, ref out } => {
            let stop = Arc::new(AtomicBool::new(false));
            for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
                signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot catch signals")?;
            }
            bench::run(plan, out, stop)?;
        }
    }
    Ok(())
}

fn join(arguments: &Arguments) -> anyhow::Result<Client> {
    let timeout = Duration::from_secs(5);
    let client = Client::join(&JoinOptions { socket: arguments.socket.clone(), vectors: None, timeout })?;
    if may_shrink(client.memory()) {
        tracing::warn!("the server's memory is not sealed: whoever shrinks it ends every process that uses it");
    }
    Ok(client)
}

fn map(client: &Client) -> anyhow::Result<SharedRegion> {
    Ok(SharedRegion::map_object(client.memory())?)
}

fn list(client: &Client) {
    println!("memory  {} bytes", client.memory_size());
    println!("peer {}  {} vectors (this one)", client.id(), client.own_vectors().len());
    for (peer, vectors) in client.peers() {
        println!("peer {peer}  {} vectors", vectors.len());
    }
}

fn wait(client: &Client, vector: Vector, count: u64, timeout: Option<Duration>) -> anyhow::Result<u64> {
    let start = Instant::now();
    let mut seen = 0;
    while seen < count {
        let left = timeout.map(|limit| limit.saturating_sub(start.elapsed()));
        let Some(events) = client.wait(vector, left)? else {
            anyhow::bail!(
                "{seen} of {count} doorbells came on vector {vector} within {:?}",
                timeout.unwrap_or_default()
            );
        };
        seen += events;
    }
    Ok(seen)
}
