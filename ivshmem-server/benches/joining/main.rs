//! How fast peers join, and what a peer costs the server.
//!
//! `cargo bench -p ivshmem-server` starts the server as a process and joins peers to it until each knows all others.
//! Everything counts: the connections, the eventfds, the messages on both sides. `-- --example-server PATH` does the
//! same with QEMU's example server, as far as it goes. Beside it stands the least that a message can cost on this
//! machine: one sendmsg and one recvmsg with a descriptor, in one thread, on a socket pair.

mod bare_pair;
mod crowd;
mod process;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use ivshmem_server::descriptors;

use crowd::Crowd;
use process::ServerProcess;

/// What to join.
#[derive(Debug, Parser)]
struct Args {
    /// Pairs of peers and vectors
    #[arg(long, value_name = "PEERSxVECTORS", value_delimiter = ',', value_parser = parse_size,
        default_value = "450x1,2000x1,500x8")]
    sizes: Vec<(usize, u16)>,

    /// QEMU's example server, to be compared at the first size
    #[arg(long, value_name = "PATH")]
    example_server: Option<PathBuf>,

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
    descriptors::raise_limit().expect("the limit of open files can be raised to the hard one");
    let sizes = if args.bench { args.sizes } else { vec![(12, 2)] };
    let bare = bare_pair::cost(if args.bench { 100_000 } else { 1000 });
    println!("a bare sendmsg and recvmsg with a descriptor: {:.2} µs", micros(bare));

    let mut first = None;
    for &(peers, vectors) in &sizes {
        let joined = measure(peers, vectors, bare);
        first.get_or_insert(joined);
    }
    if let (Some(path), Some(ours)) = (args.example_server, first) {
        let (peers, vectors) = sizes[0];
        let server = ServerProcess::example(&path, vectors);
        let theirs = join(&server, peers, vectors).0;
        println!("\nQEMU's example server, {peers} peers with {vectors} vectors:");
        print_joined(&theirs, peers, bare);
        println!("  {:.2} times the time of this server", theirs.seconds / ours.seconds);
    }
}

fn measure(peers: usize, vectors: u16, bare: Duration) -> Joined {
    println!("\n{peers} peers with {vectors} vectors:");
    let server = ServerProcess::ours(vectors);
    let before = server.usage();
    let (joined, mut crowd) = join(&server, peers, vectors);
    print_joined(&joined, peers, bare);
    let after = server.usage();
    let cpu = after.cpu - before.cpu;
    println!(
        "  server: {:.2} µs of CPU per message, {:.1} KiB of resident memory and {} descriptors per peer",
        micros(cpu) / joined.messages as f64,
        after.resident_kib.saturating_sub(before.resident_kib) as f64 / peers as f64,
        (after.descriptors - before.descriptors) / peers,
    );
    let checked = crowd.check_identities();
    println!("  {checked} descriptors of the last peer ring the vectors that they were announced for");

    let gone = peers / 2;
    let begun = Instant::now();
    crowd.leave(gone);
    let notices = crowd.hear_of_leaving(gone);
    println!("  {gone} peers leave: {notices} notices in {:.2} s", begun.elapsed().as_secs_f64());

    let begun = Instant::now();
    server.stop();
    let notices = crowd.hear_the_end();
    println!("  the server stops: {notices} notices in {:.2} s", begun.elapsed().as_secs_f64());
    joined
}

fn join(server: &ServerProcess, peers: usize, vectors: u16) -> (Joined, Crowd) {
    let begun = Instant::now();
    let crowd = Crowd::join(&server.socket, peers, vectors);
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

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
