//! Detects other benchmarks on the same host through abstract UNIX sockets.
//!
//! Each run binds a datagram socket whose name contains its process id and its CPUs. The kernel lists these names for every
//! user in /proc/net/unix, and removes a name when its process ends, even by SIGKILL. A starting run sends its name to all
//! others, so an earlier run detects it even if it has already ended. Runs in different network namespaces do not find each
//! other.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use report::result::environment::OtherBenchmark;

/// Prefix of the names.
const PREFIX: &str = "ivshmem-doorbell-bench";
/// Maximum length of an abstract name (unix(7)).
const MAX_NAME: usize = 107;
/// More than can usefully run. A limit, because any user of the host can bind such names.
const MAX_OTHERS: usize = 16;

/// This run's entry and the other runs.
#[derive(Debug)]
pub(super) struct ConcurrentRuns {
    prefix: String,
    /// `None` if no socket could be bound. The run works without.
    socket: Option<UnixDatagram>,
    own: OtherBenchmark,
    known: Vec<OtherBenchmark>,
}

impl ConcurrentRuns {
    /// Registers this process with its CPUs and notifies the other runs.
    pub(super) fn join(cpus: &[usize]) -> Self {
        Self::join_as(PREFIX, std::process::id(), cpus)
    }

    fn join_as(prefix: &str, pid: u32, cpus: &[usize]) -> Self {
        let mut own = OtherBenchmark { pid, cpus: cpu_list(cpus) };
        if name(prefix, &own).len() > MAX_NAME {
            own.cpus.clear();
        }
        let bind = || {
            let socket = UnixDatagram::bind_addr(&address(&name(prefix, &own))?)?;
            socket.set_nonblocking(true)?;
            std::io::Result::Ok(socket)
        };
        let mut runs = Self { prefix: prefix.to_owned(), socket: bind().ok(), own, known: Vec::new() };
        runs.known = runs.listed();
        if let Some(socket) = &runs.socket {
            let message = entry(&runs.own);
            for other in &runs.known {
                // It may have ended.
                let _ = address(&name(prefix, other)).and_then(|to| socket.send_to_addr(message.as_bytes(), &to));
            }
        }
        runs
    }

    /// The other runs at the start of this one.
    pub(super) fn now(&self) -> &[OtherBenchmark] {
        &self.known
    }

    /// Every other run since the last call, or since the start of this one.
    pub(super) fn since_last(&mut self) -> Vec<OtherBenchmark> {
        let mut seen = std::mem::take(&mut self.known);
        let mut message = [0; MAX_NAME];
        while let Some(length) = self.socket.as_ref().and_then(|socket| socket.recv(&mut message).ok()) {
            seen.extend(std::str::from_utf8(&message[..length]).ok().and_then(parse));
        }
        self.known = self.listed();
        seen.extend(self.known.iter().cloned());
        seen.sort_by_key(|other| other.pid);
        seen.dedup_by_key(|other| other.pid);
        seen.truncate(MAX_OTHERS);
        seen
    }

    fn listed(&self) -> Vec<OtherBenchmark> {
        // A socket's name can be any bytes: one that is not UTF-8 must not hide the others.
        let table = fs::read("/proc/net/unix").unwrap_or_default();
        let mut others = listed_in(&String::from_utf8_lossy(&table), &self.prefix);
        others.retain(|other| other.pid != self.own.pid);
        others.truncate(MAX_OTHERS);
        others
    }
}

/// The entries in /proc/net/unix, which shows the first byte of an abstract name as `@`.
fn listed_in(table: &str, prefix: &str) -> Vec<OtherBenchmark> {
    let names = table.lines().filter_map(|line| line.split_whitespace().nth(7)?.strip_prefix('@'));
    names.filter_map(|name| parse(name.strip_prefix(prefix)?.strip_prefix('/')?)).collect()
}

fn address(name: &str) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name)
}

fn name(prefix: &str, run: &OtherBenchmark) -> String {
    format!("{prefix}/{}", entry(run))
}

fn entry(run: &OtherBenchmark) -> String {
    format!("{}/{}", run.pid, run.cpus)
}

/// Parses an entry. Any user may have written it, so only digits and list characters are accepted.
fn parse(entry: &str) -> Option<OtherBenchmark> {
    let (pid, cpus) = entry.split_once('/')?;
    let is_list = cpus.chars().all(|c| c.is_ascii_digit() || "-,".contains(c));
    is_list.then_some(OtherBenchmark { pid: pid.parse().ok()?, cpus: cpus.to_owned() })
}

/// CPUs in the kernel's list format, such as `0-2,5`.
fn cpu_list(cpus: &[usize]) -> String {
    let mut sorted = cpus.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for cpu in sorted {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let shown =
        |(first, last): &(usize, usize)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(shown).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn prefix(test: &str) -> String {
        format!("test-{test}-{}", std::process::id())
    }

    fn run(pid: u32, cpus: &str) -> OtherBenchmark {
        OtherBenchmark { pid, cpus: cpus.into() }
    }

    #[test]
    fn runs_detect_each_other() {
        let prefix = prefix("both");
        let mut first = ConcurrentRuns::join_as(&prefix, 1, &[0, 1]);
        assert_eq!(first.now(), []);
        let mut second = ConcurrentRuns::join_as(&prefix, 2, &[3]);
        assert_eq!(second.now(), [run(1, "0-1")]);
        assert_eq!(first.since_last(), [run(2, "3")]);
        assert_eq!(second.since_last(), [run(1, "0-1")]);
    }

    #[test]
    fn ended_run_is_reported_once() {
        let prefix = prefix("ended");
        let mut first = ConcurrentRuns::join_as(&prefix, 1, &[0]);
        drop(ConcurrentRuns::join_as(&prefix, 2, &[1]));
        assert_eq!(first.since_last(), [run(2, "1")]);
        assert_eq!(first.since_last(), [], "it ended before the next part");
        let third = ConcurrentRuns::join_as(&prefix, 3, &[1]);
        assert_eq!(third.now(), [run(1, "0")]);
    }

    /// The kernel's table also lists processes of other users.
    #[test]
    fn foreign_entries_are_bounded_and_checked() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0: 00000002 00000000 00000000 0002 01 1 @p/7/0-1,4\n\
                     0: 00000002 00000000 00000000 0002 01 2 @p/8/\n\
                     0: 00000002 00000000 00000000 0002 01 3 @p/x/0\n\
                     0: 00000002 00000000 00000000 0002 01 4 @p/9/<script>\n\
                     0: 00000002 00000000 00000000 0002 01 5 /p/9/0\n\
                     0: 00000002 00000000 00000000 0002 01 6 @pp/9/0\n\
                     0: 00000002 00000000 00000000 0002 01 7\n";
        assert_eq!(listed_in(table, "p"), [run(7, "0-1,4"), run(8, "")]);
        let prefix = prefix("flood");
        let mut own = ConcurrentRuns::join_as(&prefix, 1, &[0]);
        let flood: Vec<ConcurrentRuns> = (2..30).map(|pid| ConcurrentRuns::join_as(&prefix, pid, &[0])).collect();
        assert!(own.since_last().len() == MAX_OTHERS && flood.iter().all(|run| run.now().len() <= MAX_OTHERS));
    }

    #[test]
    fn killed_process_leaves_no_entry() {
        let prefix = prefix("killed");
        // Stands for a run: the kernel closes a killed process's sockets.
        let socket = UnixDatagram::bind_addr(&address(&format!("{prefix}/5/0")).unwrap()).unwrap();
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::from(std::os::fd::OwnedFd::from(socket))).spawn();
        let child = child.as_mut().unwrap();
        assert_eq!(ConcurrentRuns::join_as(&prefix, 1, &[0]).now(), [run(5, "0")]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(ConcurrentRuns::join_as(&prefix, 1, &[0]).now(), []);
    }

    #[test]
    fn cpus_have_the_kernels_list_format() {
        assert_eq!(cpu_list(&[]), "");
        assert_eq!(cpu_list(&[5, 0, 1, 2, 1]), "0-2,5");
        let many: Vec<usize> = (0..200).step_by(2).collect();
        let runs = ConcurrentRuns::join_as(&prefix("many"), 1, &many);
        assert_eq!(runs.own.cpus, "", "too long for a name");
    }
}
