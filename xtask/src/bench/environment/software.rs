//! The compiler, QEMU's command line and the revision of this project.

use std::process::Command;

use report::result::environment::Software;

use crate::process::output_line;
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
    output_line(Command::new(rustc).arg("-V").current_dir(workspace_root()))
}

/// This project's git revision, with `-dirty` if the work tree differs; `None` outside a checkout.
pub(crate) fn git_revision() -> Option<String> {
    let mut git = Command::new("git");
    output_line(git.arg("-C").arg(workspace_root()).args(["describe", "--always", "--dirty", "--abbrev=12"]))
}
