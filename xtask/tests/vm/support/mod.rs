//! Helpers of these tests: start the CLI, check its output, its files and its processes.

pub(crate) mod guest;
pub(crate) mod terminal;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Time limit of every wait.
const TIMEOUT: Duration = Duration::from_secs(420);

/// A running `bench`, with the directory of its results.
pub(crate) struct Run {
    /// `None` after its end.
    child: Option<Child>,
    /// Moved to `FinishedBench`.
    folder: Option<tempfile::TempDir>,
}

impl Drop for Run {
    /// A failed test leaves no processes.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            end_now(child);
        }
    }
}

/// Ends the CLI, which ends its children.
pub(crate) fn end_now(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
        let _ = child.wait();
    }
}

/// Waits until a process ends. Kills it at the time limit.
pub(crate) fn wait_for_end(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > TIMEOUT {
            end_now(child);
            panic!("hangs");
        }
        sleep(Duration::from_millis(20));
    }
}

/// An ended `bench`.
pub(crate) struct FinishedBench {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    folder: tempfile::TempDir,
}

/// `cargo xtask` with these arguments.
pub(crate) fn xtask(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(words.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts `bench` with its own directory of results.
pub(crate) fn bench(words: &str) -> Run {
    start(words, tempfile::tempdir().unwrap())
}

/// A successful run that several tests use. The first call for these arguments measures.
#[track_caller]
pub(crate) fn measured_once(words: &'static str) -> Arc<FinishedBench> {
    static RUNS: Mutex<Vec<(&str, Arc<FinishedBench>)>> = Mutex::new(Vec::new());
    // A failed test leaves consistent data.
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, ended)) = runs.iter().find(|(other, _)| *other == words) {
        return Arc::clone(ended);
    }
    // Statics are not dropped, so the next process removes the directory.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("measured-once");
    if runs.is_empty() && kept.exists() {
        fs::remove_dir_all(&kept).unwrap();
    }
    fs::create_dir_all(&kept).unwrap();
    let ended = start(words, tempfile::tempdir_in(kept).unwrap()).end();
    ended.assert_status(0);
    let ended = Arc::new(ended);
    runs.push((words, Arc::clone(&ended)));
    ended
}

/// Starts `bench` with a command that `change` modifies, for instance with a variable.
pub(crate) fn bench_with(words: &str, change: impl FnOnce(&mut Command)) -> Run {
    start_with(words, tempfile::tempdir().unwrap(), change)
}

fn start(words: &str, folder: tempfile::TempDir) -> Run {
    start_with(words, folder, |_| {})
}

fn start_with(words: &str, folder: tempfile::TempDir, change: impl FnOnce(&mut Command)) -> Run {
    let mut command = xtask("bench --accel tcg");
    change(&mut command);
    command.args(words.split_whitespace()).arg("--out").arg(folder.path().join("run"));
    Run { child: Some(command.spawn().unwrap()), folder: Some(folder) }
}

impl Run {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().unwrap().id().cast_signed())
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.as_ref().unwrap().path().join("run").join(name)
    }

    /// Waits until a child runs `program` and the file `name` contains `text`. Returns the child's id.
    pub(crate) fn child_when(&mut self, program: &str, name: &str, text: &str) -> Pid {
        let start = Instant::now();
        loop {
            let written = fs::read(self.file(name)).unwrap_or_default();
            if String::from_utf8_lossy(&written).contains(text)
                && let Some(pid) = children(self.pid()).into_iter().find(|pid| name_of(*pid) == program)
            {
                return pid;
            }
            let child = self.child.as_mut().unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                let mut stderr = String::new();
                child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
                panic!("ended before {program} ran: {status}\n{stderr}");
            }
            assert!(start.elapsed() < TIMEOUT, "no {program} with {text:?} in {name}");
            sleep(Duration::from_millis(20));
        }
    }

    /// Whether it still runs.
    pub(crate) fn is_on(&mut self) -> bool {
        matches!(self.child.as_mut().unwrap().try_wait(), Ok(None))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits until it ends.
    pub(crate) fn end(mut self) -> FinishedBench {
        let mut child = self.child.take().unwrap();
        // Reads while it runs, because the output may exceed a pipe's capacity.
        let (stdout, stderr) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
        let status = wait_for_end(&mut child);
        FinishedBench {
            status: status.code(),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
            folder: self.folder.take().unwrap(),
        }
    }
}

/// Reads a pipe to its end in a thread.
fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}

impl FinishedBench {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("run").join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.stderr))
    }

    /// The valid result.json.
    #[track_caller]
    pub(crate) fn result(&self) -> Value {
        let result = serde_json::from_str(&self.text("result.json")).unwrap();
        assert_valid(&result);
        result
    }

    /// The ids of the self-checks that failed.
    pub(crate) fn failed_checks(&self) -> Vec<u64> {
        let result = self.result();
        let checks = result["self_checks"].as_array().unwrap().iter();
        checks.filter(|check| check["pass"] == false).map(|check| check["id"].as_u64().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn assert_status(&self, status: i32) {
        assert_eq!(self.status, Some(status), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
    }

    #[track_caller]
    pub(crate) fn assert_stderr_contains(&self, text: &str) {
        assert!(self.stderr.contains(text), "{text:?} is not in:\n{}", self.stderr);
    }
}

/// Validates a result against docs/result.schema.json.
#[track_caller]
pub(crate) fn assert_valid(result: &Value) {
    let schema = serde_json::from_str(include_str!("../../../../docs/result.schema.json")).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors = validator.iter_errors(result).map(|error| format!("{}: {error}", error.instance_path()));
    assert_eq!(errors.collect::<Vec<_>>(), [""; 0], "result.json violates docs/result.schema.json");
}

/// The processes whose parent this is.
pub(crate) fn children(parent: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace().map(|id| Pid::from_raw(id.parse().unwrap())).collect()
}

pub(crate) fn name_of(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Waits until a process is gone.
#[track_caller]
pub(crate) fn assert_gone(pid: Pid) {
    let start = Instant::now();
    // A zombie counts as ended.
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(start.elapsed() < Duration::from_secs(20), "{pid} still runs");
        sleep(Duration::from_millis(20));
    }
}

/// Waits until a file is gone.
#[track_caller]
pub(crate) fn assert_no_file(path: &Path) {
    let start = Instant::now();
    while path.exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "{} is still there", path.display());
        sleep(Duration::from_millis(20));
    }
}

/// The server's socket, from the commands that a run wrote down.
pub(crate) fn socket_in(commands: &str) -> PathBuf {
    let mut words = commands.split_whitespace().skip_while(|word| *word != "--socket");
    PathBuf::from(words.nth(1).expect("a server with a socket"))
}
