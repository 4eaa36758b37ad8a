//! The compiler and QEMU's command line.

use std::process::{Command, Stdio};

use report::result::environment::Software;

use crate::vm::cpu_model::CpuModel;
use crate::vm::qemu::QemuOptions;
use crate::workspace::workspace_root;

/// The build profile of the host's programs.
const PROFILE: &str = "release";

/// Describes the compiler of the programs and QEMU.
pub(crate) fn software(qemu: &QemuOptions) -> Software {
    Software {
        rustc_version: rustc_version(),
        build_profile: Some(PROFILE.to_owned()),
        qemu_command: Some(crate::process::child::command_line(&qemu.command())),
        qemu_cpu: Some(CpuModel::or_default(qemu.cpu.as_ref(), qemu.accelerator).to_string()),
    }
}

/// Runs in the workspace, where a toolchain file may select another compiler.
fn rustc_version() -> Option<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.arg("-V").current_dir(workspace_root()).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
