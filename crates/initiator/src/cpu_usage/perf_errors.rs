//! Why a counter of the processor cannot be had, in words that name the cure.

use std::fs;
use std::io;

use nix::errno::Errno;

/// What the machine says of its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PerfSupport {
    /// `/proc/sys/kernel/perf_event_paranoid`: 2 and above keep the kernel's part from ordinary users, 3 and above (in
    /// some distributions' kernels) everything.
    pub(super) paranoid: Option<i32>,
    /// Whether this machine is itself virtual.
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

/// What an error of `perf_event_open(2)` means under these circumstances.
pub(super) fn describe_errno(error: &io::Error, around: PerfSupport) -> String {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw) else { return error.to_string() };
    let reason = match (errno, around.paranoid) {
        (Errno::EACCES | Errno::EPERM, Some(level)) if level >= 2 => {
            return format!("perf_event_paranoid is {level}: sysctl kernel.perf_event_paranoid=1, or CAP_PERFMON");
        }
        (Errno::EACCES | Errno::EPERM, _) => "not allowed here; a sandbox may forbid perf_event_open: CAP_PERFMON",
        (Errno::ENOENT | Errno::EOPNOTSUPP | Errno::ENODEV, _) if around.virtual_machine => {
            "the processor's counters are not visible in this virtual machine"
        }
        (Errno::ENOENT | Errno::EOPNOTSUPP | Errno::ENODEV, _) => "this processor or its kernel driver has none",
        (Errno::ENOSYS, _) => "the kernel has no perf events, or a sandbox hides them",
        (Errno::EINVAL, _) => "the processor has too few counters to count this beside the others",
        (Errno::EBUSY, _) => "another program holds the processor's counters for itself",
        (Errno::EMFILE, _) => "too many open files: ulimit -n",
        (Errno::ESRCH, _) => "the thread has ended",
        (errno, _) => errno.desc(),
    };
    format!("{reason} ({errno:?})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(errno: Errno, paranoid: i32, virtual_machine: bool) -> String {
        let around = PerfSupport { paranoid: Some(paranoid), virtual_machine };
        describe_errno(&io::Error::from_raw_os_error(errno as i32), around)
    }

    #[test]
    fn a_machine_that_forbids_it_names_the_setting() {
        assert!(told(Errno::EACCES, 3, false).starts_with("perf_event_paranoid is 3: sysctl"));
        assert!(told(Errno::EPERM, 4, true).starts_with("perf_event_paranoid is 4: sysctl"));
        assert!(told(Errno::EPERM, 1, false).contains("sandbox"));
    }

    #[test]
    fn counters_that_are_not_there_are_a_matter_of_the_machine() {
        let hidden = "the processor's counters are not visible in this virtual machine (ENOENT)";
        assert_eq!(told(Errno::ENOENT, 2, true), hidden);
        assert!(told(Errno::ENOENT, 2, false).starts_with("this processor"));
        assert!(told(Errno::EOPNOTSUPP, 2, true).contains("virtual machine"));
    }

    #[test]
    fn every_error_has_words() {
        for errno in [Errno::ENOSYS, Errno::EINVAL, Errno::EBUSY, Errno::EMFILE, Errno::ESRCH, Errno::EIO] {
            let text = told(errno, 2, false);
            assert!(text.len() > 10 && text.ends_with(&format!("({errno:?})")), "{text}");
        }
        let unnamed = io::Error::new(io::ErrorKind::Unsupported, "an attribute too new");
        assert_eq!(describe_errno(&unnamed, PerfSupport::here()), "an attribute too new");
    }
}
