//! Explains why a hardware counter is not available, with a hint.

use std::fs;
use std::io;

use nix::errno::Errno;

/// Support for performance counters on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PerfSupport {
    /// `/proc/sys/kernel/perf_event_paranoid`: 2 and above hide the kernel's part from unprivileged users, 3 and above
    /// (some distributions) everything.
    pub(super) paranoid: Option<i32>,
    /// Whether this machine is virtual.
    pub(super) virtual_machine: bool,
}

impl PerfSupport {
    pub(super) fn here() -> Self {
        let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok();
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = cpus.lines().find(|line| line.starts_with("flags"));
        Self {
            paranoid: paranoid.and_then(|text| text.trim().parse().ok()),
            virtual_machine: flags.is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
        }
    }
}

/// Describes an error of `perf_event_open(2)`.
pub(super) fn describe_errno(error: &io::Error, support: PerfSupport) -> String {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw) else { return error.to_string() };
    let reason = match (errno, support.paranoid) {
        (Errno::EACCES | Errno::EPERM, Some(level)) if level >= 2 => {
            return format!("perf_event_paranoid is {level}: sysctl kernel.perf_event_paranoid=1, or CAP_PERFMON");
        }
        (Errno::EACCES | Errno::EPERM, _) => {
            "not permitted: grant CAP_PERFMON, or allow perf_event_open in the sandbox"
        }
        (Errno::ENOENT | Errno::EOPNOTSUPP | Errno::ENODEV, _) if support.virtual_machine => {
            "the host is a virtual machine without them"
        }
        (Errno::ENOENT | Errno::EOPNOTSUPP | Errno::ENODEV, _) => {
            "this processor or its kernel driver does not support it"
        }
        (Errno::ENOSYS, _) => "the kernel has no perf events, or a sandbox hides them",
        (Errno::EINVAL, _) => "the processor has too few counters",
        (Errno::EBUSY, _) => "another program uses the counters exclusively",
        (Errno::EMFILE, _) => "too many open files: ulimit -n",
        (Errno::ESRCH, _) => "the thread has ended",
        (errno, _) => errno.desc(),
    };
    format!("{reason} ({errno:?})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(errno: Errno, paranoid: i32, virtual_machine: bool) -> String {
        let support = PerfSupport { paranoid: Some(paranoid), virtual_machine };
        describe_errno(&io::Error::from_raw_os_error(errno as i32), support)
    }

    #[test]
    fn forbidden_counter_has_the_setting() {
        assert!(describe(Errno::EACCES, 3, false).starts_with("perf_event_paranoid is 3: sysctl"));
        assert!(describe(Errno::EPERM, 4, true).starts_with("perf_event_paranoid is 4: sysctl"));
        assert!(describe(Errno::EPERM, 1, false).contains("sandbox"));
    }

    #[test]
    fn missing_counter_depends_on_the_machine() {
        let hidden = "the host is a virtual machine without them (ENOENT)";
        assert_eq!(describe(Errno::ENOENT, 2, true), hidden);
        assert!(describe(Errno::ENOENT, 2, false).starts_with("this processor"));
        assert!(describe(Errno::EOPNOTSUPP, 2, true).contains("virtual machine"));
    }

    #[test]
    fn every_error_has_a_description() {
        for errno in [Errno::ENOSYS, Errno::EINVAL, Errno::EBUSY, Errno::EMFILE, Errno::ESRCH, Errno::EIO] {
            let text = describe(errno, 2, false);
            assert!(text.len() > 10 && text.ends_with(&format!("({errno:?})")), "{text}");
        }
        let unnamed = io::Error::new(io::ErrorKind::Unsupported, "an attribute too new");
        assert_eq!(describe_errno(&unnamed, PerfSupport::here()), "an attribute too new");
    }
}
