//! Builds the host's programs with cargo.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::workspace::workspace_root;

/// Minimum time between two progress lines of a long build.
const INTERVAL: Duration = Duration::from_secs(5);

/// Paths of the programs.
#[derive(Debug, Clone)]
pub(crate) struct HostPrograms {
    pub(crate) server: PathBuf,
    pub(crate) host_peer: PathBuf,
}

/// Builds the server and the host peer.
pub(crate) fn build(progress: &dyn Fn(&str)) -> anyhow::Result<HostPrograms> {
    progress("building ivshmem-server and host-peer");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet", "--package", "ivshmem-server", "--package", "host-peer"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    command.current_dir(workspace_root()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let mut cargo = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let stdout = cargo.stdout.take().context("cargo's stdout was not piped")?;
    let mut compiled = Compiled::new();
    let mut executables: Vec<PathBuf> = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read cargo's messages")?;
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        if let Some(step) = compiled.add(&message, Instant::now()) {
            progress(&step);
        }
        executables.extend(message["executable"].as_str().map(PathBuf::from));
    }
    if !cargo.wait().context("cannot wait for cargo")?.success() {
        bail!("cargo could not build the host's programs; see its messages above");
    }
    let path = |name: &str| {
        let found = executables.iter().find(|path| path.file_name() == Some(name.as_ref()));
        found.cloned().with_context(|| format!("cargo did not build {name}"))
    };
    Ok(HostPrograms { server: path("ivshmem-server")?, host_peer: path("host-peer")? })
}

/// Counts the compiled crates, for progress lines.
struct Compiled {
    crates: u32,
    last_line: Instant,
}

impl Compiled {
    fn new() -> Self {
        Self { crates: 0, last_line: Instant::now() }
    }

    /// Adds one of cargo's messages, and returns a progress line if one is due. Fresh crates do not count, so a build without
    /// work prints no lines.
    fn add(&mut self, message: &Value, now: Instant) -> Option<String> {
        if message.get("reason")? != "compiler-artifact" || message.get("fresh")? != false {
            return None;
        }
        self.crates += 1;
        if now.saturating_duration_since(self.last_line) < INTERVAL {
            return None;
        }
        self.last_line = now;
        let name = message.get("target")?.get("name")?.as_str()?;
        Some(format!("building ivshmem-server and host-peer: {} crates compiled, the last is {name}", self.crates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(name: &str, fresh: bool) -> Value {
        serde_json::json!({ "reason": "compiler-artifact", "target": { "name": name }, "fresh": fresh })
    }

    #[test]
    fn long_builds_print_progress_lines() {
        let mut compiled = Compiled::new();
        let start = compiled.last_line;
        assert_eq!(compiled.add(&artifact("serde", false), start), None);
        let line = compiled.add(&artifact("tokio", false), start + INTERVAL).unwrap();
        assert!(line.ends_with("2 crates compiled, the last is tokio"), "{line}");
        assert_eq!(compiled.add(&artifact("clap", false), start + INTERVAL), None);
        assert!(compiled.add(&artifact("nix", false), start + 2 * INTERVAL).is_some());
    }

    #[test]
    fn builds_without_work_print_nothing() {
        let mut compiled = Compiled::new();
        let late = compiled.last_line + INTERVAL;
        for message in [artifact("serde", true), serde_json::json!({ "reason": "build-finished" })] {
            assert_eq!(compiled.add(&message, late), None);
        }
    }
}
