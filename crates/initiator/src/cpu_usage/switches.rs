//! Voluntary and involuntary context switches of a thread.

use bench_model::thread_usage::Switches;
use nix::sys::resource::{UsageWho, getrusage};

use super::proc_file::ProcFile;

/// Context switches of another thread, from `/proc/PID/task/TID/status` (see `proc_pid_status(5)`).
pub(super) struct SwitchCount(Option<ProcFile>);

impl SwitchCount {
    pub(super) fn of(pid: u32, tid: u32) -> Self {
        Self(ProcFile::open(&format!("/proc/{pid}/task/{tid}/status")).ok())
    }

    pub(super) fn read(&mut self) -> Option<Switches> {
        parse(self.0.as_mut()?.text()?)
    }
}

/// The two lines are at the end of the file.
fn parse(status: &str) -> Option<Switches> {
    let count = |key: &str| status.lines().rev().find_map(|line| line.strip_prefix(key))?.trim().parse().ok();
    let (voluntary, involuntary) = (count("voluntary_ctxt_switches:")?, count("nonvoluntary_ctxt_switches:")?);
    Some(Switches { voluntary, involuntary })
}

/// Context switches of the calling thread.
pub(super) fn own() -> Option<Switches> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).ok()?;
    Some(Switches {
        voluntary: usage.voluntary_context_switches().try_into().ok()?,
        involuntary: usage.involuntary_context_switches().try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn finds_both_lines() {
        let known = Some(Switches { voluntary: 7, involuntary: 3 });
        assert_eq!(parse("Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n"), known);
        assert_eq!(parse("nonvoluntary_ctxt_switches:\t3\nvoluntary_ctxt_switches:\t7\nx86_Thread_features:\n"), known);
        assert_eq!(parse("Name:\tx\nvoluntary_ctxt_switches:\t7\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn sleep_is_a_voluntary_switch_in_both_sources() {
        let (pid, tid) = (std::process::id(), nix::unistd::gettid().as_raw().cast_unsigned());
        let mut count = SwitchCount::of(pid, tid);
        let (before, seen_before) = (own().unwrap(), count.read().unwrap());
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(own().unwrap().since(before).voluntary >= 3);
        assert!(count.read().unwrap().since(seen_before).voluntary >= 3);
    }

    #[test]
    fn missing_thread_is_unknown() {
        assert_eq!(SwitchCount::of(std::process::id(), 0).read(), None);
    }
}
