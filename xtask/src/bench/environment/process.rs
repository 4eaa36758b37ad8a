//! Limits and scheduling of this process, which its children inherit.

use std::path::Path;

use report::result::environment::HostMachine;
use rustix::process::{Resource, getrlimit};

use super::sysroot::SysRoot;

/// Fills in limits and scheduling.
pub(super) fn read(sysroot: &SysRoot, host: &mut HostMachine) {
    host.timer_slack_ns = sysroot.number("proc/self/timerslack_ns");
    host.memlock_limit =
        Some(getrlimit(Resource::Memlock).current.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string()));
    if let Some(scheduling) = sysroot.text("proc/self/stat").as_deref().and_then(scheduling) {
        host.scheduling_policy = Some(scheduling.policy);
        host.nice = Some(scheduling.nice);
    }
    host.cpu_quota = sysroot.text("proc/self/cgroup").and_then(|groups| cpu_quota(sysroot, &groups));
}

#[derive(Debug, PartialEq, Eq)]
struct Scheduling {
    policy: String,
    nice: i64,
}

/// Fields 19, 40 and 41 of [proc_pid_stat(5)](https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html). Field 2 is a name
/// in parentheses, which may contain any character.
fn scheduling(stat: &str) -> Option<Scheduling> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
    let policy = match number(41)? {
        0 => "other".to_owned(),
        1 => format!("fifo {}", number(40)?),
        2 => format!("rr {}", number(40)?),
        3 => "batch".to_owned(),
        5 => "idle".to_owned(),
        6 => "deadline".to_owned(),
        other => other.to_string(),
    };
    Some(Scheduling { policy, nice: number(19)? })
}

/// CPU quota of the control group (version 2), in CPUs: the minimum of its limit and those of its ancestors.
fn cpu_quota(sysroot: &SysRoot, groups: &str) -> Option<f64> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let limits = Path::new(group).ancestors().filter_map(|group| {
        let limit = sysroot.text(Path::new("sys/fs/cgroup").join(group).join("cpu.max"))?;
        let (quota, period) = limit.split_once(' ')?;
        Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok().filter(|period| *period > 0.0)?)
    });
    limits.min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn stat(nice: i64, priority: u32, policy: u32) -> String {
        let middle = vec!["0"; 20].join(" ");
        format!("7 (a) b) S 1 7 7 0 -1 4194304 0 0 0 0 1 2 0 0 20 {nice} {middle} {priority} {policy} 0 0 0")
    }

    #[test]
    fn policy_has_name_and_priority() {
        let of = |nice, priority, policy| scheduling(&stat(nice, priority, policy));
        let is = |policy: &str, nice| Some(Scheduling { policy: policy.to_owned(), nice });
        assert_eq!(of(0, 0, 0), is("other", 0));
        assert_eq!(of(-5, 0, 3), is("batch", -5));
        assert_eq!(of(19, 0, 5), is("idle", 19));
        assert_eq!(of(0, 50, 1), is("fifo 50", 0));
        assert_eq!(scheduling("7 (a"), None);
        assert_eq!(scheduling("7 (a) S 1"), None);
    }

    #[test]
    fn reads_scheduling_of_this_process() {
        let mut host = HostMachine::default();
        read(&SysRoot::real(), &mut host);
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        assert_eq!(host.nice, scheduling(&own).map(|own| own.nice));
        assert!(host.scheduling_policy.is_some_and(|policy| policy.parse::<u32>().is_err()), "by name");
    }

    #[test]
    fn smallest_quota_of_all_ancestors_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join("sys/fs/cgroup").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let quota = |groups: &str| cpu_quota(&SysRoot::at(root.path()), groups);
        assert_eq!(quota("0::/a/b\n"), None);
        write("a/b/cpu.max", "max 100000\n");
        assert_eq!(quota("0::/a/b\n"), None, "no limit");
        write("a/cpu.max", "150000 100000\n");
        assert_eq!(quota("1:cpu:/x\n0::/a/b\n"), Some(1.5));
        write("a/b/cpu.max", "50000 100000\n");
        assert_eq!(quota("0::/a/b\n"), Some(0.5));
        write("a/b/cpu.max", "50000 0\n");
        assert_eq!(quota("0::/a/b\n"), Some(1.5), "a zero period is ignored");
        assert_eq!(quota("3:cpu:/a\n"), None, "version 1 is ignored");
    }
}
