//! Measures how fast peers join, and the server's resources per peer.
//!
//! `cargo bench -p ivshmem-server` starts the server as a process and connects clients until each has all doorbells. The time
//! includes connections, eventfds and messages on both sides. `-- --example-server PATH` compares with QEMU's example server.
//! The baseline is the minimum cost of a message on this machine: sendmsg and recvmsg with a descriptor, in one thread, on a
//! socket pair.

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

/// Measurements of each server in a comparison.
const ROUNDS: usize = 5;

/// Duration of the idle measurement.
const IDLE: Duration = Duration::from_secs(2);

/// Join clients to a server and measure it
#[derive(Debug, Parser)]
struct BenchArgs {
    /// Pairs of peers and vectors
    #[arg(long, value_name = "PEERSxVECTORS", value_delimiter = ',', value_parser = parse_size,
        default_value = "450x1,2000x1,500x8")]
    sizes: Vec<(usize, u16)>,

    /// QEMU's example server to compare with
    #[arg(long, value_name = "PATH")]
    example_server: Option<PathBuf>,

    /// Size of the comparison. QEMU's server drops messages that do not fit into a socket, which holds about 280
    #[arg(long, value_name = "PEERSxVECTORS", value_parser = parse_size, default_value = "250x1")]
    example_size: (usize, u16),

    /// Set by cargo bench. Without it, a small test runs
    #[arg(long, hide = true)]
    bench: bool,
}

fn parse_size(text: &str) -> Result<(usize, u16), String> {
    let parsed = text.split_once('x').and_then(|(peers, vectors)| Some((peers.parse().ok()?, vectors.parse().ok()?)));
    parsed
        .filter(|&(peers, vectors)| peers > 0 && vectors > 0)
        .ok_or_else(|| "expected PEERSxVECTORS, such as 450x1".into())
}

/// Duration and messages of all joins.
struct Joined {
    seconds: f64,
    messages: u64,
}

fn main() {
    let args = BenchArgs::parse();
    fd_limit::raise_limit().expect("raise the limit of open files");
    let sizes = if args.bench { args.sizes } else { vec![(12, 2)] };
    let baseline = socketpair_baseline::cost(if args.bench { 100_000 } else { 1000 });
    println!("baseline, sendmsg and recvmsg with a descriptor: {:.2} µs", micros(baseline));

    for &(peers, vectors) in &sizes {
        measure(peers, vectors, baseline);
    }
    if let Some(path) = args.example_server {
        let (peers, vectors) = args.example_size;
        compare(&path, peers, vectors, baseline);
    }
}

/// Alternates the servers, so other load of the machine affects both.
fn compare(example: &Path, peers: usize, vectors: u16, baseline: Duration) {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for which in [round % 2, 1 - round % 2] {
            let (name, server) = match which {
                0 => ("this server", ServerProcess::ours(vectors)),
                _ => ("QEMU's example server", ServerProcess::example(example, vectors)),
            };
            println!("\n{name}, {peers} peers with {vectors} vectors:");
            let before = server.usage();
            let (joined, _clients) = join(&server, peers, vectors);
            print_joined(&joined, peers, baseline);
            print_usage(&before, &server.usage(), &joined, peers);
            times[which].push(joined.seconds);
        }
    }
    let [ours, theirs] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!(
        "\nmedians of {ROUNDS}: {ours:.2} s and {theirs:.2} s: QEMU's server takes {:.2} times as long",
        theirs / ours
    );
}

fn measure(peers: usize, vectors: u16, baseline: Duration) {
    println!("\n{peers} peers with {vectors} vectors:");
    let server = ServerProcess::ours(vectors);
    let before = server.usage();
    let (joined, mut clients) = join(&server, peers, vectors);
    print_joined(&joined, peers, baseline);
    print_usage(&before, &server.usage(), &joined, peers);
    let before = server.usage();
    sleep(IDLE);
    let idle = server.usage().cpu.saturating_sub(before.cpu);
    println!("  idle for {} s: {:.0} µs of CPU", IDLE.as_secs(), micros(idle));
    let checked = clients.check_identities();
    println!("  {checked} doorbells of the last client ring the right vectors");

    let leaving = peers / 2;
    let start = Instant::now();
    clients.leave(leaving);
    let notifications = clients.read_leaves(leaving);
    println!("  {leaving} peers leave: {notifications} notices in {:.2} s", start.elapsed().as_secs_f64());

    let start = Instant::now();
    server.stop();
    let notifications = clients.read_to_end();
    println!("  the server stops: {notifications} notices in {:.2} s", start.elapsed().as_secs_f64());
}

fn join(server: &ServerProcess, peers: usize, vectors: u16) -> (Joined, ManyClients) {
    let start = Instant::now();
    let clients = ManyClients::join(&server.socket, peers, vectors);
    let seconds = start.elapsed().as_secs_f64();
    (Joined { seconds, messages: clients.messages }, clients)
}

fn print_joined(joined: &Joined, peers: usize, baseline: Duration) {
    let Joined { seconds, messages } = joined;
    let each = seconds * 1e6 / *messages as f64;
    println!("  all joined after {seconds:.2} s: {:.0} joins/s, {messages} messages", peers as f64 / seconds);
    println!(
        "  {:.0} messages/s, {each:.2} µs each: {:.2} times the baseline",
        *messages as f64 / seconds,
        each / micros(baseline)
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
