//! A child's stderr, copied to its log through a pipe. The last part stays in memory, so that the cause of a failure is
//! known even where the log cannot be written, for instance on a full disk.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::Context;

/// Bytes that stay in memory: more than any message with its backtrace.
const KEPT: usize = 64 << 10;
/// How long the rest of the output may take after the child has ended. A grandchild may hold the pipe for longer.
const REST: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct CapturedOutput {
    path: PathBuf,
    seen: Arc<Mutex<Seen>>,
    reader: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The last part of the output, whole lines or not.
    tail: Vec<u8>,
    /// Why the log is not complete.
    unwritten: Option<io::Error>,
}

impl CapturedOutput {
    /// Copies `pipe` to a new file at `path` until its end, on a thread of its own.
    pub(crate) fn start(mut pipe: impl Read + Send + 'static, path: &Path) -> anyhow::Result<Self> {
        let mut log = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
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
        Ok(Self { path: path.to_owned(), seen, reader })
    }

    /// The last part of the output so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&locked(&self.seen).tail).into_owned()
    }

    /// The last part of the output of a child that has ended.
    pub(crate) fn rest(&self) -> String {
        let start = Instant::now();
        while !self.reader.is_finished() && start.elapsed() < REST {
            sleep(Duration::from_millis(5));
        }
        self.text()
    }

    /// Why the log is not complete, as an error with its path; `None` if it is.
    pub(crate) fn unwritten(&self) -> Option<String> {
        locked(&self.seen).unwritten.as_ref().map(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

impl Seen {
    fn add(&mut self, bytes: &[u8], written: io::Result<()>) {
        self.tail.extend_from_slice(bytes);
        let surplus = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..surplus);
        if let Err(error) = written {
            self.unwritten.get_or_insert(error);
        }
    }
}

/// A panic of the reader leaves nothing half done.
fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

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
    fn full_disk_loses_the_log_and_not_the_cause() {
        let capture = captured("echo the cause >&2", Path::new("/dev/full"));
        assert_eq!(capture.rest(), "the cause\n");
        let error = capture.unwritten().unwrap();
        assert!(error.starts_with("cannot write /dev/full: No space left on device"), "{error}");
    }

    #[test]
    fn memory_holds_the_end_of_a_long_output() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let text = captured("yes 0123456789 | head -c 200000 >&2; echo end >&2", log.path()).rest();
        assert!(text.len() == KEPT && text.ends_with("end\n"), "{}", text.len());
        assert_eq!(log.path().metadata().unwrap().len(), 200_004);
    }
}
