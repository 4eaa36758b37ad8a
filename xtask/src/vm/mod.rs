//! QEMU and the ivshmem server as child processes.

pub(crate) mod cpu_model;
pub(crate) mod guest_console;
pub(crate) mod host_memory;
pub(crate) mod qemu;
pub(crate) mod qmp;
pub(crate) mod server;

use std::process::{Command, Stdio};

/// The emulator.
pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// The first line of `qemu-system-x86_64 --version`.
pub(crate) fn qemu_version() -> Option<String> {
    let output = Command::new(QEMU).arg("--version").stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
}
