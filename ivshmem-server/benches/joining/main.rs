//! How fast peers join, and what a peer costs the server.
//!
//! `cargo bench -p ivshmem-server` starts the server as a process and joins peers to it until each knows all others.
//! Everything counts: the connections, the eventfds, the messages on both sides. `-- --example-server PATH` does the
//! same with QEMU's example server, as far as it goes. Beside it stands the least that a message can cost on this
//! machine: one sendmsg and one recvmsg with a descriptor, in one thread, on a socket pair.

mod clients;
mod process;
mod socketpair_baseline;

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use ivshmem_server::fd_limit;

use clients::ManyClients;
use process::{ServerProcess, Usage};

/// How often each server is measured when two are compared.
const ROUNDS: usize = 5;

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(2);

/// What to join.
#[derive(Debug, Parser)]
struct Args {
    /// Pairs of peers and vectors
    #[arg(long, value_name = "PEERSxVECTORS", value_delimiter = ',', value_parser = parse_size,
        default_value = "450x1,2000x1,500x8")]
    sizes: Vec<(usize, u16)>,

    /// QEMU's example server, to be compared with this one
    #[arg(long, value_name = "PATH")]
    example_server: Option<PathBuf>,

    /// At which size to compare; QEMU's drops what does not fit into a socket, some 280 messages
    #[arg(long, value_name = "PEERSxVECTORS", value_parser = parse_size, default_value = "250x1")]
    example_size: (usize, u16),

    /// Given by cargo bench; without it this is a test, and small
    #[arg(long, hide = true)]
    bench: bool,
}

fn parse_size(text: &str) -> Result<(usize, u16), String> {
    let parsed = text.split_once('x').and_then(|(peers, vectors)| Some((peers.parse().ok()?, vectors.parse().ok()?)));
    parsed.filter(|&(peers, vectors)| peers > 0 && vectors > 0).ok_or_else(|| "expected such as 450x1".into())
}

/// What joining a crowd took.
struct Joined {
    seconds: f64,
    messages: u64,
}

fn main() {
    let args = Args::parse();
    fd_limit::raise_limit().expect("the limit of open files can be raised to the hard one");
    let sizes = if args.bench { args.sizes } else { vec![(12, 2)] };
    let bare = socketpair_baseline::cost(if args.bench { 100_000 } else { 1000 });
    println!("a bare sendmsg and recvmsg with a descriptor: {:.2} µs", micros(bare));

    for &(peers, vectors) in &sizes {
        measure(peers, vectors, bare);
    }
    if let Some(path) = args.example_server {
        let (peers, vectors) = args.example_size;
        compare(&path, peers, vectors, bare);
    }
}

/// Alternates, so that what else the machine does hits both.
fn compare(example: &Path, peers: usize, vectors: u16, bare: Duration) {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for which in [round % 2, 1 - round % 2] {
            let (name, server) = match which {
                0 => ("this server", ServerProcess::ours(vectors)),
                _ => ("QEMU's example server", ServerProcess::example(example, vectors)),
            };
            println!("\n{name}, {peers} peers with {vectors} vectors:");
            let before = server.usage();
            let (joined, _crowd) = join(&server, peers, vectors);
            print_joined(&joined, peers, bare);
            print_usage(&before, &server.usage(), &joined, peers);
            times[which].push(joined.seconds);
        }
    }
    let [ours, theirs] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("\nmedians of {ROUNDS}: {ours:.2} s and {theirs:.2} s: QEMU's takes {:.2} times as long", theirs / ours);
}

fn measure(peers: usize, vectors: u16, bare: Duration) {
    println!("\n{peers} peers with {vectors} vectors:");
    let server = ServerProcess::ours(vectors);
    let before = server.usage();
    let (joined, mut crowd) = join(&server, peers, vectors);
    print_joined(&joined, peers, bare);
    print_usage(&before, &server.usage(), &joined, peers);
    let before = server.usage();
    sleep(IDLE);
    let idle = server.usage().cpu.saturating_sub(before.cpu);
    println!("  idle for {} s: {:.0} µs of CPU", IDLE.as_secs(), micros(idle));
    let checked = crowd.check_identities();
    println!("  {checked} descriptors of the last peer ring the vectors that they were announced for");

    let gone = peers / 2;
    let begun = Instant::now();
    crowd.leave(gone);
    let notifications = crowd.read_leaves(gone);
    println!("  {gone} peers leave: {notifications} notices in {:.2} s", begun.elapsed().as_secs_f64());

    let begun = Instant::now();
    server.stop();
    let notifications = crowd.read_to_end();
    println!("  the server stops: {notifications} notices in {:.2} s", begun.elapsed().as_secs_f64());
}

fn join(server: &ServerProcess, peers: usize, vectors: u16) -> (Joined, ManyClients) {
    let begun = Instant::now();
    let crowd = ManyClients::join(&server.socket, peers, vectors);
    let seconds = begun.elapsed().as_secs_f64();
    (Joined { seconds, messages: crowd.messages }, crowd)
}

fn print_joined(joined: &Joined, peers: usize, bare: Duration) {
    let Joined { seconds, messages } = joined;
    let each = seconds * 1e6 / *messages as f64;
    println!("  all know all after {seconds:.2} s: {:.0} joins/s, {messages} messages", peers as f64 / seconds);
    println!(
        "  {:.0} messages/s, {each:.2} µs each: {:.2} times the bare pair",
        *messages as f64 / seconds,
        each / micros(bare)
    );
}

fn print_usage(before: &Usage, after: &Usage, joined: &Joined, peers: usize) {
    println!(
        "  server: {:.2} µs of CPU per message, {:.1} KiB of resident memory and {} descriptors per peer",
        micros(after.cpu.saturating_sub(before.cpu)) / joined.messages as f64,
        after.resident_kib.saturating_sub(before.resident_kib) as f64 / peers as f64,
        (after.descriptors - before.descriptors) / peers,
    );
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
