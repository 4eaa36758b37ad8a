//! Servers and child processes for the tests of this workspace.
#![expect(missing_docs, reason = "helpers for tests, most of which their names explain")]

pub mod mock_server;
pub mod real_server;

use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

/// Limit for steps that must succeed: it only turns a hang into a failure.
pub const LONG: Duration = Duration::from_secs(60);
/// Limit for steps that must time out.
pub const SHORT: Duration = Duration::from_millis(100);

/// Runs a command to its end and returns status, stdout and stderr.
pub fn run_to_end(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Reads and clears the counter of an eventfd; 0 if it was not rung.
#[must_use]
pub fn take_rings(eventfd: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    rustix::io::read(eventfd, &mut count).map_or(0, |_| u64::from_ne_bytes(count))
}
