//! A small language for these tests: start the front door, look at what it says, at what it leaves, at who still runs.

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

/// No wait in a test is longer; a run that takes this long hangs.
const DEADLINE: Duration = Duration::from_secs(420);

/// A front door that was started, and the folder for its results.
pub(crate) struct Run {
    /// Taken when it has ended.
    child: Option<Child>,
    /// Taken by what is looked at afterwards.
    folder: Option<tempfile::TempDir>,
}

impl Drop for Run {
    /// A test that fails leaves nobody.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            end_now(child);
        }
    }
}

/// Asks a front door to end, which ends all that it started.
pub(crate) fn end_now(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
        let _ = child.wait();
    }
}

/// Waits until a process ends by itself; kills it if it hangs.
pub(crate) fn ended_within_deadline(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > DEADLINE {
            end_now(child);
            panic!("hangs");
        }
        sleep(Duration::from_millis(20));
    }
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    folder: tempfile::TempDir,
}

/// `cargo xtask` with these words.
pub(crate) fn xtask(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(words.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts `bench` with its results in a folder of its own.
pub(crate) fn bench(words: &str) -> Run {
    start(words, tempfile::tempdir().unwrap())
}

/// A good run that several tests look at: whoever asks first for these words has it measured.
#[track_caller]
pub(crate) fn measured_once(words: &'static str) -> Arc<Ended> {
    static KNOWN: Mutex<Vec<(&str, Arc<Ended>)>> = Mutex::new(Vec::new());
    // A test that fails while it holds the lock leaves no run behind.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, ended)) = known.iter().find(|(asked, _)| *asked == words) {
        return Arc::clone(ended);
    }
    // What is kept to the end of the process removes nothing then: the next process does.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("measured-once");
    if known.is_empty() && kept.exists() {
        fs::remove_dir_all(&kept).unwrap();
    }
    fs::create_dir_all(&kept).unwrap();
    let ended = start(words, tempfile::tempdir_in(kept).unwrap()).end();
    ended.assert_status(0);
    let ended = Arc::new(ended);
    known.push((words, Arc::clone(&ended)));
    ended
}

/// Starts `bench` with a command that `change` adds to, such as a variable or a path with blanks.
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

    /// Waits until a child of the front door runs `program` and the file `name` holds `text`; the child's id.
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
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("ended before {program} was there: {status}\n{said}");
            }
            assert!(start.elapsed() < DEADLINE, "no {program} with {text:?} in {name}");
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
    pub(crate) fn end(mut self) -> Ended {
        let mut child = self.child.take().unwrap();
        // Read while it runs: a document is larger than a pipe.
        let (stdout, stderr) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
        let status = ended_within_deadline(&mut child);
        Ended {
            status: status.code(),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
            folder: self.folder.take().unwrap(),
        }
    }
}

/// Reads a pipe to its end, beside whatever else is done.
fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = String::new();
        pipe.read_to_string(&mut said).unwrap();
        said
    })
}

impl Ended {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("run").join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.stderr))
    }

    /// The document, which is what its schema says.
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
    pub(crate) fn assert_says(&self, text: &str) {
        assert!(self.stderr.contains(text), "{text:?} is not in:\n{}", self.stderr);
    }
}

/// Holds a result against docs/result.schema.json.
#[track_caller]
pub(crate) fn assert_valid(result: &Value) {
    let schema = serde_json::from_str(include_str!("../../../../docs/result.schema.json")).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors = validator.iter_errors(result).map(|error| format!("{}: {error}", error.instance_path()));
    assert_eq!(errors.collect::<Vec<_>>(), [""; 0], "result.json is not what docs/result.schema.json says");
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
    // A zombie that nobody has collected yet is gone as well.
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
