//! Who is let in.

use rustix::process::{getgid, getuid};

use crate::harness::Server;

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
