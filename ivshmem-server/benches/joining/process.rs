//! The server as a process, and its resource usage.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Time limit for a start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A server process, ended when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) socket: PathBuf,
    _folder: TempDir,
}

/// Resources of a process.
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: usize,
}

impl ServerProcess {
    pub(crate) fn ours(vectors: u16) -> Self {
        Self::start(Path::new(env!("CARGO_BIN_EXE_ivshmem-server")), vectors, &[])
    }

    /// QEMU's example server. Its default memory name could be in use.
    pub(crate) fn example(program: &Path, vectors: u16) -> Self {
        let name = format!("ivshmem-bench-{}", std::process::id());
        Self::start(program, vectors, &["-F", "-M", &name])
    }

    fn start(program: &Path, vectors: u16, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("create a temporary directory");
        let socket = folder.path().join("socket");
        let mut command = Command::new(program);
        command.arg("-S").arg(&socket).args(["-l", "4M", "-n", &vectors.to_string()]).args(more);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start the server");
        let start = Instant::now();
        while !socket.exists() {
            assert!(start.elapsed() < START_TIMEOUT, "{} does not listen", program.display());
            sleep(Duration::from_millis(5));
        }
        Self { child, socket, _folder: folder }
    }

    pub(crate) fn usage(&self) -> Usage {
        let pid = self.child.id();
        let read = |name| fs::read_to_string(format!("/proc/{pid}/{name}")).expect("the server runs");
        // User and system time in ticks: fields 14 and 15 of proc_pid_stat(5). The command name, field 2, may contain spaces.
        let stat = read("stat");
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let fields = after_name.split(' ').skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().expect("ticks are a number")).sum();
        let per_second = rustix::param::clock_ticks_per_second();
        let status = read("status");
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Usage {
            cpu: Duration::from_secs_f64(ticks as f64 / per_second as f64),
            resident_kib: resident.expect("a process has resident memory"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).expect("the server runs").count(),
        }
    }

    /// Sends SIGTERM.
    pub(crate) fn stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the server runs");
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
