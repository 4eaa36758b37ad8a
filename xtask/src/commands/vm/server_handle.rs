//! The guest's server, its own or one that was there before, and the bare host peers that joined it from here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use super::peer_process::PeerProcess;
use crate::exit_status::{MISSING, missing_dependency, usage};
use crate::host_programs::HostPrograms;
use crate::vm::qemu::Ivshmem;
use crate::vm::server::{Server, ServerOptions, private_socket};

/// What a guest with doorbells is connected to.
#[derive(Debug)]
pub(super) struct ServerHandle {
    socket: PathBuf,
    vectors: u16,
    // Dropped in this order, so that a server of the guest's own hears the peers leave.
    peers: Vec<PeerProcess>,
    own: Option<Server>,
}

impl ServerHandle {
    /// On a server that was there before, with all vectors that it gives, or as many as wanted.
    pub(super) fn connect(host_peer: &Path, socket: PathBuf, wanted: Option<u16>) -> anyhow::Result<Self> {
        let vectors = vectors_at(host_peer, &socket, wanted)?;
        Ok(Self { socket, vectors, peers: Vec::new(), own: None })
    }

    /// On a server of its own, which ends with it.
    pub(super) fn start(programs: &HostPrograms, memory_bytes: u64, vectors: u16, logs: &Path) -> anyhow::Result<Self> {
        let program = programs.server.clone();
        let server = ServerOptions { program, socket: private_socket(), memory_bytes, vectors };
        let own = server.start(&logs.join("server.log"))?;
        Ok(Self { socket: server.socket, vectors, peers: Vec::new(), own: Some(own) })
    }

    /// Adds so many bare host peers, which say on stderr when they are rung.
    pub(super) fn with_peers(mut self, host_peer: &Path, count: u16) -> anyhow::Result<Self> {
        for _ in 0..count {
            self.peers.push(PeerProcess::start(host_peer, &self.socket, crate::ui::status)?);
        }
        Ok(self)
    }

    /// The guest's device.
    pub(super) fn device(&self) -> Ivshmem {
        Ivshmem::Doorbell { socket: self.socket.clone(), vectors: self.vectors }
    }

    /// Says how to reach the memory and everybody from another terminal.
    pub(super) fn print_hints(&self, host_peer: &Path) {
        let socket = self.socket.display();
        let reach = format!("{} -S {socket}", crate::ui::display_path(host_peer));
        // On its own server the guest comes right after the bare peers; elsewhere others may come in between.
        let guest = if self.own.is_some() { self.peers.len().to_string() } else { "PEER".to_owned() };
        crate::ui::status(&format!("read the memory: {reach} read 0 64 --hex"));
        crate::ui::status(&format!("list the peers:  {reach} list"));
        crate::ui::status(&format!("ring the guest:  {reach} ring {guest} 0"));
        if self.own.is_none() {
            crate::ui::status("this guest's id: `guest-uio probe` in the guest");
        }
        if !self.peers.is_empty() {
            let ids: Vec<String> = self.peers.iter().map(|peer| peer.id.to_string()).collect();
            crate::ui::status(&format!("bare host peers: {}", ids.join(", ")));
        }
        crate::ui::status(&format!("another guest:   cargo xtask vm --server {socket}"));
    }
}

/// How many vectors a guest can have on the server at a socket: all that it gives, or as many as wanted if it gives so
/// many. A host peer joins for a moment to see, because QEMU waits for ever for a server that is silent, and aborts when
/// the guest enables a vector that the server did not give.
fn vectors_at(host_peer: &Path, socket: &Path, wanted: Option<u16>) -> anyhow::Result<u16> {
    let output = Command::new(host_peer).arg("-S").arg(socket).args(["list", "--json"]).output();
    let output = output.with_context(|| format!("cannot run {}", host_peer.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        let absent = output.status.code() == Some(MISSING.into());
        return Err(if absent { missing_dependency(said) } else { anyhow::Error::msg(said) });
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let given = vectors_in(&said).with_context(|| format!("host-peer list --json said {said:?}"))?;
    match wanted {
        Some(wanted) if wanted > given => Err(usage(format!(
            "--vectors {wanted}: the server at {} gives {given} per peer; try --vectors {given}, or leave it out",
            socket.display()
        ))),
        wanted => Ok(wanted.unwrap_or(given)),
    }
}

fn vectors_in(document: &str) -> Option<u16> {
    let document: Value = serde_json::from_str(document).ok()?;
    u16::try_from(document["vectors"].as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_status::Failure;

    /// Asks a program that behaves like a host peer.
    fn vectors(script: &str, wanted: Option<u16>) -> anyhow::Result<u16> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("host-peer");
        // Written by another process: a file that this one has open for writing, and so a child that another test forks
        // at that moment, cannot be run.
        let mut writer = Command::new("sh");
        writer.args(["-c", r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#]).arg(&program).arg(script);
        assert!(writer.status().unwrap().success());
        vectors_at(&program, "/the/socket".as_ref(), wanted)
    }

    #[test]
    fn a_guest_gets_all_vectors_or_those_that_it_wants_but_no_more() {
        let three = r#"echo '{"peer": 1, "vectors": 3}'"#;
        assert_eq!(vectors(three, None).unwrap(), 3);
        assert_eq!(vectors(three, Some(2)).unwrap(), 2);
        let error = vectors(three, Some(4)).unwrap_err();
        assert!(error.is::<Failure>() && error.to_string().contains("/the/socket gives 3"), "{error}");
    }

    #[test]
    fn a_server_that_is_not_there_is_what_the_machine_lacks_and_one_that_is_broken_a_failure() {
        let absent = vectors("echo nobody at $2 >&2; exit 3", None).unwrap_err();
        assert!(absent.is::<Failure>(), "{absent}");
        assert_eq!(absent.to_string(), "nobody at /the/socket");
        let broken = vectors("echo it lies >&2; exit 1", None).unwrap_err();
        assert!(!broken.is::<Failure>(), "{broken}");
        assert_eq!(broken.to_string(), "it lies");
    }

    #[test]
    fn words_that_are_no_list_are_shown() {
        for wrong in ["", "{}", r#"{"vectors": 70000}"#] {
            let error = vectors(&format!("echo '{wrong}'"), None).unwrap_err();
            assert!(error.to_string().contains("host-peer list --json said"), "{error}");
        }
    }
}
