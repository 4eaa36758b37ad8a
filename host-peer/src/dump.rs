//! `dump` of the shell and of the QEMU client: the peers with their descriptors.

use std::fmt::Write as _;
use std::os::fd::AsRawFd;

use client::Client;

/// This peer and the others with the descriptors of their vectors, in the format of QEMU's example client.
pub(crate) fn dump(client: &Client) -> String {
    let mut text = String::new();
    let own = (format!("our_id = {}", client.id()), client.own_vectors());
    let others = client.peers().iter().map(|(peer, vectors)| (format!("peer_id = {peer}"), vectors.as_slice()));
    for (name, vectors) in std::iter::once(own).chain(others) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}");
        for (vector, fd) in vectors.iter().enumerate() {
            let _ = writeln!(text, "  vector {vector} is enabled (fd={})", fd.as_raw_fd());
        }
    }
    text
}
