//! Copies a child's stderr to a log file. The last part stays in memory: it names the cause of a failure even if the log
//! cannot be written, for instance on a full disk.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::child::{Process, SpawnOptions};

/// Bytes kept in memory: more than a message with its backtrace.
const KEPT: usize = 64 << 10;
/// Time limit for the rest of the output after the child has ended. A grandchild may hold the pipe longer.
const REST: Duration = Duration::from_secs(1);

/// The output of a child.
#[derive(Debug)]
pub(crate) struct CapturedOutput {
    path: PathBuf,
    output: Arc<Mutex<OutputTail>>,
    reader: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct OutputTail {
    /// The last part of the output. It may start within a line.
    tail: Vec<u8>,
    /// The error that makes the log incomplete.
    unwritten: Option<io::Error>,
}

/// A child with its captured stderr.
#[derive(Debug)]
pub(crate) struct LoggedProcess {
    pub(crate) process: Process,
    pub(crate) output: CapturedOutput,
}

impl LoggedProcess {
    /// Starts a child without stdin. Its stderr goes to a new file at `log`.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        options: SpawnOptions,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let mut process = Process::start(name, command.stdin(Stdio::null()).stderr(Stdio::piped()), options)?;
        let stderr = process.take_stderr().with_context(|| format!("{name}'s stderr was not piped"))?;
        Ok(Self { process, output: CapturedOutput::start(stderr, log)? })
    }
}

impl CapturedOutput {
    /// Copies `pipe` to a new file at `path` in a thread.
    pub(crate) fn start(mut pipe: impl Read + Send + 'static, path: &Path) -> anyhow::Result<Self> {
        let mut log = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let output = Arc::new(Mutex::new(OutputTail::default()));
        let shared = Arc::clone(&output);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(bytes) => {
                        let written = log.write_all(&buffer[..bytes]);
                        locked(&shared).add(&buffer[..bytes], written);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        });
        Ok(Self { path: path.to_owned(), output, reader })
    }

    /// The last part of the output so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&locked(&self.output).tail).into_owned()
    }

    /// The last part of the output of an ended child.
    pub(crate) fn rest(&self) -> String {
        let start = Instant::now();
        while !self.reader.is_finished() && start.elapsed() < REST {
            sleep(Duration::from_millis(5));
        }
        self.text()
    }

    /// The error that makes the log incomplete, with its path.
    pub(crate) fn unwritten(&self) -> Option<String> {
        locked(&self.output).unwritten.as_ref().map(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

impl OutputTail {
    fn add(&mut self, bytes: &[u8], written: io::Result<()>) {
        self.tail.extend_from_slice(bytes);
        let surplus = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..surplus);
        if let Err(error) = written {
            self.unwritten.get_or_insert(error);
        }
    }
}

/// The data is consistent even if the reader panicked.
fn locked(output: &Mutex<OutputTail>) -> MutexGuard<'_, OutputTail> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(script: &str, log: &Path) -> CapturedOutput {
        let mut command = Command::new("sh");
        let mut child = command.args(["-c", script]).stderr(Stdio::piped()).spawn().unwrap();
        let capture = CapturedOutput::start(child.stderr.take().unwrap(), log).unwrap();
        child.wait().unwrap();
        capture
    }

    #[test]
    fn output_is_in_log_and_in_memory() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let capture = captured("echo one >&2; echo two >&2", log.path());
        assert_eq!(capture.rest(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "one\ntwo\n");
        assert_eq!(capture.unwritten(), None);
    }

    #[test]
    fn full_disk_loses_only_the_log() {
        let capture = captured("echo the cause >&2", Path::new("/dev/full"));
        assert_eq!(capture.rest(), "the cause\n");
        let error = capture.unwritten().unwrap();
        assert!(error.starts_with("cannot write /dev/full: No space left on device"), "{error}");
    }

    #[test]
    fn memory_contains_the_end_of_a_long_output() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let text = captured("yes 0123456789 | head -c 200000 >&2; echo end >&2", log.path()).rest();
        assert!(text.len() == KEPT && text.ends_with("end\n"), "{}", text.len());
        assert_eq!(log.path().metadata().unwrap().len(), 200_004);
    }
}
