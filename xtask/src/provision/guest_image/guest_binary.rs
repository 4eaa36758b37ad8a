//! Builds `guest-uio` as a static program, because the guest lacks libraries.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::files::PathContext as _;
use crate::provision::command;
use crate::provision::elf;

/// The host's target. Without `--target`, the static flags would also apply to procedural macros, which must be dynamic.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the program below `target` and returns its content.
pub(crate) fn build(workspace: &Path, target: &Path, progress: &dyn Fn(&str)) -> anyhow::Result<Vec<u8>> {
    // A separate directory, because other flags would rebuild everything each time.
    let folder = target.join("guest");
    let path = folder.join(TARGET).join("guest/guest-uio");
    if !path.is_file() {
        progress("building the guest program");
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace)
        .args(["build", "--package", "guest-uio", "--bin", "guest-uio", "--profile", "guest", "--target", TARGET])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        // It would override RUSTFLAGS.
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command::run("building the guest program", &mut cargo)?;

    let program = fs::read(&path).at("read", &path)?;
    elf::check_static(&path, &program)?;
    Ok(program)
}
