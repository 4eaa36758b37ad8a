//! Client of QEMU's monitor (QMP): accelerator, vCPU threads, version.
//!
//! JSON, one object per line (QEMU, docs/interop/qmp-spec). The connection is a socket pair: without a path, two runs
//! cannot collide.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::timeouts::scaled;

/// Time limit of an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection in command mode.
#[derive(Debug)]
pub(crate) struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Waits for the greeting and switches to command mode.
    pub(crate) fn connect(socket: UnixStream) -> anyhow::Result<Self> {
        socket.set_read_timeout(Some(scaled(TIMEOUT)))?;
        let mut qmp = Self { reader: BufReader::new(socket) };
        let greeting = qmp.line()?;
        anyhow::ensure!(greeting.get("QMP").is_some(), "unexpected greeting of QEMU's monitor: {greeting}");
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Runs a command without arguments; its result.
    pub(crate) fn execute(&mut self, command: &str) -> anyhow::Result<Value> {
        let request = json!({ "execute": command });
        writeln!(self.reader.get_mut(), "{request}").context("cannot write to QEMU's monitor")?;
        loop {
            let mut response = self.line()?;
            if let Some(error) = response.get("error") {
                bail!("QEMU refuses {command}: {}", error["desc"].as_str().unwrap_or("no reason given"));
            }
            // Events may precede the result.
            if let Some(result) = response.get_mut("return") {
                return Ok(result.take());
            }
        }
    }

    fn line(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).context("cannot read from QEMU's monitor")?;
        anyhow::ensure!(read > 0, "QEMU closed its monitor");
        serde_json::from_str(&line).with_context(|| format!("unexpected line of QEMU's monitor: {line:?}"))
    }

    /// Whether KVM runs the guest.
    pub(crate) fn is_kvm(&mut self) -> anyhow::Result<bool> {
        Ok(self.execute("query-kvm")?["enabled"] == true)
    }

    /// Thread ids of the virtual CPUs.
    pub(crate) fn vcpus(&mut self) -> anyhow::Result<Vec<u32>> {
        let cpus = self.execute("query-cpus-fast")?;
        let ids = cpus.as_array().into_iter().flatten();
        ids.map(|cpu| {
            cpu["thread-id"].as_u64().and_then(|id| u32::try_from(id).ok()).context("a vCPU without thread id")
        })
        .collect()
    }

    /// QEMU's version.
    pub(crate) fn version(&mut self) -> anyhow::Result<String> {
        let version = self.execute("query-version")?;
        let number = |part: &str| version["qemu"][part].as_u64().unwrap_or(0);
        let package = version["package"].as_str().unwrap_or("");
        Ok(format!("{}.{}.{} {package}", number("major"), number("minor"), number("micro")).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answering(lines: &'static str) -> UnixStream {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(lines.as_bytes()).unwrap();
        // Keeps the monitor open.
        std::mem::forget(theirs);
        ours
    }

    #[test]
    fn skips_events_before_the_result() {
        let lines = "{\"QMP\": {}}\n{\"return\": {}}\n{\"event\": \"RESUME\"}\n{\"return\": {\"enabled\": true}}\n";
        assert!(Qmp::connect(answering(lines)).unwrap().is_kvm().unwrap());
    }

    #[test]
    fn error_contains_qemus_reason() {
        let lines =
            "{\"QMP\": {}}\n{\"return\": {}}\n{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\n";
        let error = Qmp::connect(answering(lines)).unwrap().vcpus().unwrap_err();
        assert!(error.to_string().contains("not now"), "{error}");
    }

    #[test]
    fn closed_monitor_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(Qmp::connect(ours).is_err());
    }
}
