//! The server of a guest, either started here or an existing one, and the host peers started here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use super::peer_process::PeerProcess;
use crate::exit_status::{MISSING, missing_dependency, usage};
use crate::host_programs::HostPrograms;
use crate::vm::qemu::Ivshmem;
use crate::vm::server::{ServerOptions, ServerProcess, private_socket};

/// A server with the host peers started here.
#[derive(Debug)]
pub(super) struct ServerHandle {
    socket: PathBuf,
    vectors: u16,
    // Dropped in this order: the peers leave before the server ends.
    peers: Vec<PeerProcess>,
    own: Option<ServerProcess>,
}

impl ServerHandle {
    /// Connects to an existing server, with `wanted` or all of its vectors.
    pub(super) fn connect(host_peer: &Path, socket: PathBuf, wanted: Option<u16>) -> anyhow::Result<Self> {
        let vectors = vectors_at(host_peer, &socket, wanted)?;
        Ok(Self { socket, vectors, peers: Vec::new(), own: None })
    }

    /// Starts a server. Dropping the handle ends it.
    pub(super) fn start(programs: &HostPrograms, memory_bytes: u64, vectors: u16, logs: &Path) -> anyhow::Result<Self> {
        let program = programs.server.clone();
        let server = ServerOptions { program, socket: private_socket(), memory_bytes, vectors };
        let own = server.start(&logs.join("server.log"))?;
        Ok(Self { socket: server.socket, vectors, peers: Vec::new(), own: Some(own) })
    }

    /// Starts host peers, which print received doorbells on stderr.
    pub(super) fn with_peers(mut self, host_peer: &Path, count: u16) -> anyhow::Result<Self> {
        for _ in 0..count {
            self.peers.push(PeerProcess::start(host_peer, &self.socket, crate::ui::status)?);
        }
        Ok(self)
    }

    /// The device for the guest.
    pub(super) fn device(&self) -> Ivshmem {
        Ivshmem::Doorbell { socket: self.socket.clone(), vectors: self.vectors }
    }

    /// Prints the commands that reach the memory and the peers from another terminal.
    pub(super) fn print_hints(&self, program: &Path) {
        let socket = self.socket.display();
        let host_peer = format!("{} -S {socket}", crate::ui::display_path(program));
        // On a new server the guest's id follows those of the host peers.
        let guest = if self.own.is_some() { self.peers.len().to_string() } else { "PEER".to_owned() };
        crate::ui::status(&format!("read the memory: {host_peer} read 0 64 --hex"));
        crate::ui::status(&format!("list the peers:  {host_peer} list"));
        crate::ui::status(&format!("ring the guest:  {host_peer} ring {guest} 0"));
        if self.own.is_none() {
            crate::ui::status("this guest's id: run `guest-uio probe` in the guest");
        }
        if !self.peers.is_empty() {
            let ids: Vec<String> = self.peers.iter().map(|peer| peer.id.to_string()).collect();
            crate::ui::status(&format!("host peers:      {}", ids.join(", ")));
        }
        crate::ui::status(&format!("another guest:   cargo xtask vm --server {socket}"));
    }
}

/// The number of vectors for a guest on the server at a socket: `wanted`, or all. Checked with a host peer, because QEMU hangs
/// on a silent server and aborts when the guest enables a vector that the server lacks.
fn vectors_at(host_peer: &Path, socket: &Path, wanted: Option<u16>) -> anyhow::Result<u16> {
    let output = Command::new(host_peer).arg("-S").arg(socket).args(["list", "--json"]).output();
    let output = output.with_context(|| format!("cannot run {}", host_peer.display()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        let absent = output.status.code() == Some(MISSING.into());
        return Err(if absent { missing_dependency(message) } else { anyhow::Error::msg(message) });
    }
    let document = String::from_utf8_lossy(&output.stdout);
    let available =
        vectors_in(&document).with_context(|| format!("unexpected output of host-peer list --json: {document:?}"))?;
    match wanted {
        Some(wanted) if wanted > available => Err(usage(format!(
            "--vectors {wanted}: the server at {} has {available} per peer; use --vectors {available}, or omit it",
            socket.display()
        ))),
        wanted => Ok(wanted.unwrap_or(available)),
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

    /// Runs a script in place of host-peer.
    fn vectors(script: &str, wanted: Option<u16>) -> anyhow::Result<u16> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("host-peer");
        // Written by another process. If this process had it open for writing, a child forked by another test could
        // inherit the descriptor, and running it would fail with ETXTBSY.
        let mut writer = Command::new("sh");
        writer.args(["-c", r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#]).arg(&program).arg(script);
        assert!(writer.status().unwrap().success());
        vectors_at(&program, "/the/socket".as_ref(), wanted)
    }

    #[test]
    fn guest_gets_all_or_the_wanted_vectors() {
        let three = r#"echo '{"peer": 1, "vectors": 3}'"#;
        assert_eq!(vectors(three, None).unwrap(), 3);
        assert_eq!(vectors(three, Some(2)).unwrap(), 2);
        let error = vectors(three, Some(4)).unwrap_err();
        assert!(error.is::<Failure>() && error.to_string().contains("/the/socket has 3"), "{error}");
    }

    #[test]
    fn missing_server_has_exit_status_3() {
        let absent = vectors("echo missing: $2 >&2; exit 3", None).unwrap_err();
        assert!(absent.is::<Failure>(), "{absent}");
        assert_eq!(absent.to_string(), "missing: /the/socket");
        let broken = vectors("echo broken >&2; exit 1", None).unwrap_err();
        assert!(!broken.is::<Failure>(), "{broken}");
        assert_eq!(broken.to_string(), "broken");
    }

    #[test]
    fn unexpected_output_is_shown() {
        for wrong in ["", "{}", r#"{"vectors": 70000}"#] {
            let error = vectors(&format!("echo '{wrong}'"), None).unwrap_err();
            assert!(error.to_string().contains("unexpected output of host-peer list --json"), "{error}");
        }
    }
}
