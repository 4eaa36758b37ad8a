//! QEMU's monitor, for what is claimed: which accelerator runs, which threads are virtual CPUs.
//!
//! JSON, one object per line (QEMU, docs/interop/qmp-spec). The socket is a pair made here, so that it has no name that
//! two runs could share.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::timeouts::scaled;

/// How long QEMU may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that has passed the greeting.
#[derive(Debug)]
pub(crate) struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Waits for the greeting and switches to command mode.
    pub(crate) fn greet(socket: UnixStream) -> anyhow::Result<Self> {
        socket.set_read_timeout(Some(scaled(TIMEOUT)))?;
        let mut qmp = Self { reader: BufReader::new(socket) };
        let greeting = qmp.line()?;
        anyhow::ensure!(greeting.get("QMP").is_some(), "QEMU's monitor began with {greeting}");
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Runs a command without arguments; its result.
    pub(crate) fn execute(&mut self, command: &str) -> anyhow::Result<Value> {
        let request = json!({ "execute": command });
        writeln!(self.reader.get_mut(), "{request}").context("QEMU's monitor takes no commands")?;
        loop {
            let mut answer = self.line()?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {}", error["desc"].as_str().unwrap_or("no reason given"));
            }
            // Events come in between.
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
        }
    }

    fn line(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).context("QEMU's monitor does not answer")?;
        anyhow::ensure!(read > 0, "QEMU closed its monitor");
        serde_json::from_str(&line).with_context(|| format!("QEMU's monitor said {line:?}"))
    }

    /// Whether KVM runs the guest.
    pub(crate) fn is_kvm(&mut self) -> anyhow::Result<bool> {
        Ok(self.execute("query-kvm")?["enabled"] == true)
    }

    /// Thread ids of the virtual CPUs.
    pub(crate) fn vcpus(&mut self) -> anyhow::Result<Vec<u32>> {
        let cpus = self.execute("query-cpus-fast")?;
        let ids = cpus.as_array().into_iter().flatten();
        ids.map(|cpu| cpu["thread-id"].as_u64().and_then(|id| u32::try_from(id).ok()).context("a CPU has no thread"))
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
        // Kept open: a closed monitor is another test.
        std::mem::forget(theirs);
        ours
    }

    #[test]
    fn events_between_command_and_answer_are_passed_over() {
        let lines = "{\"QMP\": {}}\n{\"return\": {}}\n{\"event\": \"RESUME\"}\n{\"return\": {\"enabled\": true}}\n";
        assert!(Qmp::greet(answering(lines)).unwrap().is_kvm().unwrap());
    }

    #[test]
    fn a_refusal_carries_qemus_reason() {
        let lines =
            "{\"QMP\": {}}\n{\"return\": {}}\n{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\n";
        let error = Qmp::greet(answering(lines)).unwrap().vcpus().unwrap_err();
        assert!(error.to_string().contains("not now"), "{error}");
    }

    #[test]
    fn a_monitor_that_closes_is_an_error_and_no_hang() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(Qmp::greet(ours).is_err());
    }
}
