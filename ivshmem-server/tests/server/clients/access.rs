//! Who is let in.

use std::time::Instant;

use rustix::process::{getgid, getuid};

use crate::support::harness::Server;

#[test]
fn a_user_or_a_group_that_is_not_listed_is_refused_in_words() {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    for flags in [["--allow-uid", &(uid + 1).to_string()], ["--allow-gid", &(gid + 1).to_string()]] {
        let server = Server::start(&flags);
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
        let server = Server::start(&flags);
        server.member(1);
    }
}

#[test]
fn who_is_refused_again_and_again_fills_the_log_of_nobody_who_did_not_ask_for_it() {
    const REFUSED: usize = 200;
    let stranger = (getuid().as_raw() + 1).to_string();
    let server = Server::start(&["--allow-uid", &stranger]);
    let begun = Instant::now();
    for _ in 0..REFUSED {
        assert!(server.client().is_refused());
    }
    // --verbose tells each.
    let said: Vec<String> = (0..REFUSED).flat_map(|_| server.log_until("its user is not allowed")).collect();
    let warnings = said.iter().filter(|line| line.contains("WARN")).count();
    assert!(said[0].contains("WARN") && !said[0].contains("left_out"), "{}", said[0]);
    let most = 1 + begun.elapsed().as_secs() / 10;
    assert!(warnings as u64 <= most, "{warnings} warnings, and not {most}");
}
