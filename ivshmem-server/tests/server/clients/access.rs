//! Allowed users and groups.

use std::time::Instant;

use rustix::process::{getgid, getuid};

use crate::support::harness::ServerProcess;

#[test]
fn refuses_users_and_groups_that_are_not_listed() {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    for flags in [["--allow-uid", &(uid + 1).to_string()], ["--allow-gid", &(gid + 1).to_string()]] {
        let server = ServerProcess::start(&flags);
        assert!(server.client().is_refused(), "{flags:?}");
        server.log_until("its user is not allowed");
    }
}

#[test]
fn a_listed_user_or_a_listed_group_is_enough() {
    let (uid, gid) = (getuid().as_raw().to_string(), getgid().as_raw().to_string());
    for flags in
        [["--allow-uid", &uid, "--allow-gid", "4000000000"], ["--allow-uid", "4000000000", "--allow-gid", &gid]]
    {
        let server = ServerProcess::start(&flags);
        server.member(1);
    }
}

#[test]
fn repeated_refusals_do_not_fill_the_log() {
    const REFUSED: usize = 200;
    let other_uid = (getuid().as_raw() + 1).to_string();
    let server = ServerProcess::start(&["--allow-uid", &other_uid]);
    let start = Instant::now();
    for _ in 0..REFUSED {
        assert!(server.client().is_refused());
    }
    // With --verbose the log has each of them.
    let lines: Vec<String> = (0..REFUSED).flat_map(|_| server.log_until("its user is not allowed")).collect();
    let warnings = lines.iter().filter(|line| line.contains("WARN")).count();
    assert!(lines[0].contains("WARN") && !lines[0].contains("left_out"), "{}", lines[0]);
    let max_warnings = 1 + start.elapsed().as_secs() / 10;
    assert!(warnings as u64 <= max_warnings, "{warnings} warnings, more than {max_warnings}");
}
