//! The host's programs, built by cargo; cargo itself decides what is fresh.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::provision::workspace_root;

/// Where they are.
#[derive(Debug, Clone)]
pub(crate) struct HostPrograms {
    pub(crate) server: PathBuf,
    pub(crate) host_peer: PathBuf,
}

/// Builds the server and the host peer.
pub(crate) fn host_programs(progress: &dyn Fn(&str)) -> anyhow::Result<HostPrograms> {
    progress("building ivshmem-server and host-peer");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet", "--package", "ivshmem-server", "--package", "host-peer"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    command.current_dir(workspace_root()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo could not build the host's programs; its messages are above");
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(HostPrograms { server: executable(&said, "ivshmem-server")?, host_peer: executable(&said, "host-peer")? })
}

/// The path of a program in cargo's messages: wherever the target folder is.
fn executable(messages: &str, name: &str) -> anyhow::Result<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    artifacts
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .find(|path| path.file_name() == Path::new(name).file_name())
        .with_context(|| format!("cargo built no {name}"))
}
