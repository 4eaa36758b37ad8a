//! The conformance check with conforming servers, and with a misbehaving server per rule.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use host_peer::conformance::{ConformanceReport, Rule, Verdict, run};
use ivshmem_server::Config;
use ivshmem_server::memory::Backing;
use proto::fd_passing::{SendError, send};
use proto::wire::{MEMORY, REFUSAL, encode};
use rustix::net::SendFlags;
use tempfile::TempDir;

use crate::host_peer;
use crate::misbehaving_server::{MisbehavingServer, ServerFault, VECTORS};
use test_support::LONG;
use test_support::mock_server::{MockServer, Msg, send_messages, try_send_many, unsealed};
use test_support::real_server::RealServer;
use test_support::run_to_end;

/// Each rule with faults that violate it and no other rule.
const FAULTS: [(Rule, &[ServerFault]); 18] = [
    (Rule::Version, &[ServerFault::Version1]),
    (Rule::OwnId, &[ServerFault::IdWithDescriptor]),
    (Rule::Memory, &[ServerFault::NoMemory, ServerFault::PipeAsMemory]),
    (Rule::MemorySize, &[ServerFault::OddMemorySize, ServerFault::ShrunkMemory, ServerFault::EnlargedMemory]),
    (Rule::SameMemory, &[ServerFault::SeparateMemories]),
    (Rule::UniqueIds, &[ServerFault::DuplicateId]),
    (
        Rule::HandshakeOrder,
        &[
            ServerFault::OwnVectorsFirst,
            ServerFault::InterleavedVectors,
            ServerFault::IncompletePeerList,
            ServerFault::EmptyPeerList,
        ],
    ),
    (Rule::OneDescriptor, &[ServerFault::TwoDescriptors]),
    (Rule::Eventfds, &[ServerFault::PipesAsDoorbells]),
    (Rule::NonBlocking, &[ServerFault::BlockingDoorbells]),
    (Rule::EqualVectors, &[ServerFault::FewerPeerVectors, ServerFault::FewerVectorsForLaterClients]),
    (Rule::Doorbells, &[ServerFault::SwappedVectors, ServerFault::SemaphoreEventfds]),
    (Rule::JoinNotices, &[ServerFault::MissingJoinVector, ServerFault::NoJoinNotice]),
    (Rule::LeaveNotices, &[ServerFault::DuplicateLeave, ServerFault::NoLeaveNotice]),
    (Rule::NoReuse, &[ServerFault::ReusedId, ServerFault::ReusedIdLater]),
    (Rule::SplitReading, &[ServerFault::LateDescriptors]),
    (Rule::SlowReader, &[ServerFault::DropsWhenFull, ServerFault::BlocksOnSlowReader]),
    (Rule::EarlyDisconnect, &[ServerFault::ExitsOnEarlyDisconnect]),
];

fn check(socket: &Path, timeout: Duration) -> ConformanceReport {
    run(socket, timeout).unwrap()
}

fn rules(report: &ConformanceReport, verdict: Verdict) -> Vec<Rule> {
    report.with(verdict).collect()
}

#[test]
fn ivshmem_server_passes_every_rule() {
    for vectors in [1, 4] {
        let server = RealServer::start(vectors);
        // Other clients do not affect the result.
        let _present = server.client();
        let report = check(&server.socket(), LONG);
        assert_eq!(rules(&report, Verdict::Pass), Rule::value_variants(), "{report}");
        assert_eq!(report.vectors, Some(vectors.into()));
    }
}

#[test]
fn unsealed_memory_is_a_note() {
    let backing = Backing::Directory(std::env::temp_dir());
    let server = RealServer::with(&Config { backing, size: 1 << 20, vectors: 8, ..Config::default() });
    let report = check(&server.socket(), LONG);
    assert_eq!(rules(&report, Verdict::Note), [Rule::MemorySize, Rule::MemorySeals], "{report}");
    assert!(report.to_string().contains("may have truncated it before this check"), "{report}");
    assert!(!report.failed(), "{report}");
}

#[test]
fn test_server_without_fault_passes_every_rule() {
    let report = check(&MisbehavingServer::start(ServerFault::NoFault).socket(), LONG);
    assert_eq!(rules(&report, Verdict::Pass), Rule::value_variants(), "{report}");
    assert_eq!(report.vectors, Some(VECTORS));
    let report = check(&MisbehavingServer::start(ServerFault::UnsealedMemory).socket(), LONG);
    assert_eq!(rules(&report, Verdict::Note), [Rule::MemorySize, Rule::MemorySeals], "{report}");
    assert!(!report.failed(), "{report}");
}

#[test]
fn every_mandatory_rule_has_a_fault() {
    let tried: BTreeSet<Rule> = FAULTS.iter().map(|(rule, _)| *rule).collect();
    let untried: Vec<Rule> = Rule::value_variants().iter().copied().filter(|rule| !tried.contains(rule)).collect();
    assert_eq!(untried, [Rule::MemorySeals]);
}

#[test]
fn each_fault_fails_exactly_its_rule() {
    let pairs = |(rule, faults): (Rule, &'static [ServerFault])| faults.iter().map(move |fault| (rule, *fault));
    let mut faults: Vec<(Rule, ServerFault)> = FAULTS.into_iter().flat_map(pairs).collect();
    // Slow ones run together.
    faults.sort_by_key(|(_, fault)| needs_timeout(*fault));
    // Limited by the number of open files.
    for some in faults.chunks(6) {
        thread::scope(|scope| {
            for (rule, fault) in some {
                scope.spawn(|| assert_fails(*rule, *fault));
            }
        });
    }
}

fn assert_fails(rule: Rule, fault: ServerFault) {
    let server = MisbehavingServer::start(fault);
    let report = check(&server.socket(), if needs_timeout(fault) { Duration::from_secs(3) } else { LONG });
    assert_eq!(rules(&report, Verdict::Fail), [rule], "{fault:?}:\n{report}");
    let result = report.rules.iter().find(|result| result.rule == rule).unwrap();
    assert!(!result.detail.is_empty(), "{fault:?}:\n{report}");
}

/// Whether the check has to wait for its timeout.
fn needs_timeout(fault: ServerFault) -> bool {
    let silent = [
        ServerFault::NoJoinNotice,
        ServerFault::NoLeaveNotice,
        ServerFault::DropsWhenFull,
        ServerFault::BlocksOnSlowReader,
    ];
    silent.contains(&fault)
}

#[test]
fn reports_refusal_and_silent_server() {
    // Some servers send three, for clients that ignore the first.
    for words in [1, 3] {
        let refusing = MockServer::sending(&vec![Msg::Plain(REFUSAL); words]);
        let report = check(&refusing.path, LONG);
        assert_eq!(rules(&report, Verdict::Skip), Rule::value_variants(), "{report}");
        assert!(report.refused && report.to_string().contains("version          "), "{report}");
        assert!(report.to_string().contains("the server refused this client: it is full, rejects"), "{report}");
    }
    let with_descriptor = MockServer::sending(&[Msg::Eventfd(REFUSAL)]);
    let report = check(&with_descriptor.path, LONG);
    assert_eq!((rules(&report, Verdict::Fail), report.refused), (vec![Rule::Version], false), "{report}");
    assert!(report.to_string().contains("protocol version without a descriptor, got one with it"), "{report}");
    let silent = MockServer::sending(&[Msg::Plain(0)]);
    let report = check(&silent.path, Duration::from_secs(1));
    assert_eq!(rules(&report, Verdict::Fail), [Rule::OwnId]);
    assert!(report.to_string().contains("no message within 1s"), "{report}");
}

#[test]
fn full_server_breaks_no_rule() {
    // Full for the first client of the check, for later ones, and never.
    for (places, passed) in [(1, 0), (2, 5), (4, 8), (16, Rule::value_variants().len())] {
        let server = RealServer::with(&Config { max_peers: Some(places), size: 1 << 20, ..Config::default() });
        let _present = server.client();
        let (status, out, error) = run_to_end(host_peer(&server.socket()).args(["check", "--json"]));
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        let verdicts =
            |verdict| report["rules"].as_array().unwrap().iter().filter(|rule| rule["verdict"] == verdict).count();
        assert_eq!(verdicts("fail"), 0, "{places}: {out}{error}");
        assert!(verdicts("pass") >= passed, "{places}: {out}");
        let is_full = passed < Rule::value_variants().len();
        assert_eq!((status, report["refused"].as_bool()), (Some(i32::from(is_full)), Some(is_full)), "{places}: {out}");
        let (_, out, _) = run_to_end(host_peer(&server.socket()).arg("check"));
        assert_eq!(out.contains("skip  "), is_full, "{out}");
        assert_eq!(out.matches("is full").count(), usize::from(is_full), "{out}");
    }
}

#[test]
fn resized_memory_fails_its_rule_without_signal() {
    let name = format!("host-peer-test-{}", std::process::id());
    let backing = Backing::Shm(name.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let status_socket = Some(folder.path().join("socket.status"));
    let server = RealServer::at(folder, &Config { backing, size: 1 << 20, status_socket, ..Config::default() });
    let object = OpenOptions::new().write(true).open(format!("/dev/shm/{name}")).unwrap();
    let report = check(&server.socket(), LONG);
    assert_eq!(rules(&report, Verdict::Note), [Rule::MemorySeals], "{report}");
    assert!(report.to_string().contains("can truncate it"), "{report}");
    // Half of the size is a power of two too: only the status shows it.
    for (bytes, change) in
        [(0, "truncated"), (12_288, "truncated"), (100, "truncated"), (1 << 19, "truncated"), (3 << 20, "enlarged")]
    {
        object.set_len(bytes).unwrap();
        let (status, out, error) = run_to_end(host_peer(&server.socket()).arg("check"));
        assert_eq!(status, Some(1), "{bytes}: {error}");
        let failed: Vec<&str> = out.lines().filter(|line| line.starts_with("FAIL  ")).collect();
        assert!(failed.len() == 1 && failed[0].contains("memory-size") && failed[0].contains(change), "{out}");
    }
}

#[test]
fn ids_may_be_reused_after_all_clients_left() {
    let server = MisbehavingServer::start(ServerFault::IdsRestartWhenEmpty);
    for _ in 0..2 {
        let report = check(&server.socket(), LONG);
        assert_eq!(rules(&report, Verdict::Pass), Rule::value_variants(), "{report}");
    }
}

/// A server that completes the handshake and then sends messages of `notice` without end, with increasing ids and an
/// eventfd.
fn endless(notice: fn(&UnixStream, i64, &OwnedFd) -> Result<(), SendError>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let memory = unsealed(1 << 20);
    thread::spawn(move || {
        for (own, stream) in (0..).zip(listener.incoming()) {
            let (stream, memory) = (stream.unwrap(), memory.try_clone().unwrap());
            thread::spawn(move || {
                send_messages(&stream, &[Msg::Plain(0), Msg::Plain(own)]);
                send(&stream, MEMORY, Some(memory.as_fd())).unwrap();
                let eventfd = send_messages(&stream, &[Msg::Eventfd(own)]).remove(0);
                let mut ids = (100..60_000).cycle();
                while notice(&stream, ids.next().unwrap_or(0), &eventfd).is_ok() {}
            });
        }
    });
    (folder, path)
}

#[test]
fn endless_notices_fail_the_waiting_rule() {
    // Few descriptors: a fast machine must not reach the limit of open files first.
    let (_folder, path) = endless(|stream, id, eventfd| {
        if id % 64 == 0 {
            send(stream, id, Some(eventfd.as_fd()))?;
        }
        send(stream, id, None)
    });
    let report = check(&path, Duration::from_millis(300));
    assert_eq!(rules(&report, Verdict::Fail), [Rule::JoinNotices], "{report}");
    assert!(report.to_string().contains("other messages"), "{report}");
    assert!(!report.is_complete(), "{report}");
}

#[test]
fn slow_bytes_fail_the_rule_at_the_timeout() {
    let server = MockServer::running(|stream| {
        // Each byte arrives before the timeout, the handshake does not. Ends when the client disconnects.
        let byte = |byte| {
            thread::sleep(Duration::from_millis(50));
            (&mut &*stream).write_all(&[byte]).is_ok()
        };
        while byte(0) {}
        Vec::new()
    });
    // Shorter than the eight bytes of a message take.
    let report = check(&server.path, Duration::from_millis(350));
    assert_eq!(rules(&report, Verdict::Fail).len(), 1, "{report}");
    assert!(report.to_string().contains("bytes of another)"), "{report}");
    server.connection();
}

#[test]
fn lack_of_descriptors_is_no_success() {
    let (_folder, path) = endless(|stream, id, eventfd| send(stream, id, Some(eventfd.as_fd())));
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\" check"]);
    let verb = host_peer(&path);
    let (status, out, error) = run_to_end(shell.arg(verb.get_program()).args(verb.get_args()));
    assert_eq!(status, Some(1), "{out}{error}");
    assert!(out.contains("ulimit -n") && out.contains(" 0 failed") && out.contains(" not checked"), "{out}");
}

#[test]
fn two_hundred_descriptors_fail_one_descriptor_rule() {
    let server = MockServer::running(|stream| {
        send_messages(stream, &[Msg::Plain(0), Msg::Plain(2)]);
        try_send_many(stream, &encode(MEMORY), &[stream.as_fd(); 200], SendFlags::empty()).unwrap();
        Vec::new()
    });
    let (status, out, error) = run_to_end(host_peer(&server.path).arg("check"));
    assert_eq!(status, Some(1), "{error}");
    let failed: Vec<&str> = out.lines().filter(|line| line.starts_with("FAIL  ")).collect();
    assert_eq!(failed.len(), 1, "{out}");
    assert!(failed[0].contains("one-descriptor") && failed[0].contains("more than 16"), "{out}");
}

#[test]
fn command_prints_line_per_rule_and_fails_with_one() {
    let server = RealServer::start(8);
    let (status, out, error) = run_to_end(host_peer(&server.socket()).arg("check"));
    assert_eq!(status, Some(0), "{error}");
    assert_eq!(out.lines().filter(|line| line.starts_with("pass  ")).count(), Rule::value_variants().len());
    assert!(out.ends_with("19 rules: 19 passed, 0 failed, 0 noted\n"), "{out}");

    let server = MisbehavingServer::start(ServerFault::OddMemorySize);
    let (status, out, error) = run_to_end(host_peer(&server.socket()).args(["check", "--json"]));
    assert_eq!(status, Some(1), "{error}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let rules = report["rules"].as_array().unwrap();
    assert_eq!(rules.len(), Rule::value_variants().len());
    let failed: Vec<_> = rules.iter().filter(|rule| rule["verdict"] == "fail").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["rule"], "memory-size");
    assert!(failed[0]["detail"].as_str().unwrap().contains("12288"));
}
