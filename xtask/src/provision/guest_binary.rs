//! Builds `guest-uio` as a static program: the guest has no libraries.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::command;
use super::elf;
use super::error::ProvisionError;

/// The host's own target, named nevertheless: without `--target`, the static flags would reach procedural macros, which
/// must be dynamic.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the program below `target` and returns its content. Cargo decides whether there is anything to do.
pub(crate) fn build(workspace: &Path, target: &Path, progress: &dyn Fn(&str)) -> Result<Vec<u8>, ProvisionError> {
    // Own folder: other flags in the same one would rebuild everything at each change of hands.
    let folder = target.join("guest");
    let path = folder.join(TARGET).join("guest/guest-uio");
    if !path.is_file() {
        progress("building the guest's program");
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace)
        .args(["build", "--package", "guest-uio", "--bin", "guest-uio", "--profile", "guest", "--target", TARGET])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        // It would win over RUSTFLAGS.
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command::run("building the guest's program", &mut cargo)?;

    let program = fs::read(&path).map_err(ProvisionError::io("read", &path))?;
    match elf::not_static(&program) {
        None => Ok(program),
        Some(why) => Err(ProvisionError::NotStatic { path, why }),
    }
}

/// The checkout that this program was built from, or that Cargo runs it in.
pub(crate) fn workspace_root() -> PathBuf {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// Cargo's target folder: everything that is made goes below it.
pub(crate) fn target_folder(workspace: &Path) -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) if !folder.is_empty() => std::path::absolute(&folder).unwrap_or_else(|_| workspace.join(&folder)),
        _ => workspace.join("target"),
    }
}
