//! QEMU and the ivshmem server as child processes.

pub(crate) mod cpu_model;
pub(crate) mod guest_console;
pub(crate) mod host_memory;
pub(crate) mod qemu;
pub(crate) mod qmp;
pub(crate) mod server;

use std::process::Command;

/// The emulator.
pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// The first line of `qemu-system-x86_64 --version`.
pub(crate) fn qemu_version() -> Option<String> {
    crate::process::output_line(Command::new(QEMU).arg("--version"))
}
