//! Runs the examples against a real server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use proto::wire::{PeerId, Vector};

use test_support::real_server::RealServer;
use test_support::run_to_end;

/// Cargo builds them next to the tests.
fn example(name: &str, server: &RealServer) -> Command {
    let tests = std::env::current_exe().unwrap();
    let folder: PathBuf = tests.ancestors().nth(2).unwrap().join("examples");
    let mut command = Command::new(folder.join(name));
    command.arg(server.socket());
    command
}

/// Starts an example that waits, and reads its peer id.
fn started(name: &str, server: &RealServer) -> (Child, impl Iterator<Item = String>, PeerId) {
    let mut child = example(name, server).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let id = lines.next().unwrap().strip_prefix("ring peer ").unwrap().parse().unwrap();
    (child, lines, PeerId(id))
}

#[test]
fn ring_example_wakes_wait_example() {
    let server = RealServer::start(1);
    let (mut waiting, mut lines, peer) = started("wait", &server);
    let (status, out, error) = run_to_end(&mut example("ring", &server));
    assert_eq!((status, out), (Some(0), format!("rang peer {peer}\n")), "{error}");
    let rung = lines.find(|line| line.starts_with("vector")).unwrap();
    assert_eq!(rung, "vector 0 was rung 1 times: hello");
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn stream_example_ends_after_three_rings() {
    let server = RealServer::start(2);
    let (mut streaming, mut lines, peer) = started("stream", &server);
    let client = server.client();
    for vector in [0, 1, 0] {
        client.ring(peer, Vector(vector)).unwrap();
        assert_eq!(lines.next().unwrap(), format!("vector {vector} was rung 1 times"));
    }
    assert_eq!(streaming.wait().unwrap().code(), Some(0));
}

/// The source files in a directory of this crate.
fn sources(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn examples_need_no_crate_but_client() {
    let mut examples = 0;
    for path in [sources("examples"), sources("src")].concat() {
        let is_example = path.parent().unwrap().ends_with("examples");
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().map(str::trim_start) {
            let code = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! ")).unwrap_or(line);
            let is_shown = is_example || code.len() < line.len();
            examples += usize::from(is_shown && code.starts_with("use client::"));
            assert!(!(is_shown && code.starts_with("use proto")), "{}: {line}", path.display());
        }
    }
    assert!(examples >= 6, "only {examples} uses of this crate found");
}
