//! `cargo xtask doctor`: what the machine has, what it lacks, and the command that cures each. Installs nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::accelerator::{self, KvmProbe, ProbeOptions, Reuse};
use crate::arguments::AutoOr;
use crate::provision::host::{self, distro::HostDistro};
use crate::provision::host_packages::{self, InstallPolicy};
use crate::provision::{self, Options};
use crate::signals::StopFlag;
use crate::timeouts::TimeoutArgs;
use crate::vm::cpu_model::CpuModel;
use bench_model::Accelerator;

const MIB: u64 = 1 << 20;
/// The guest's memory, the shared region and QEMU itself.
const MEMORY_NEEDED: u64 = 1024 * MIB;
/// The kernel's packages, the build of the guest's program and a few archives.
const DISK_NEEDED: u64 = 2048 * MIB;
/// QEMU, the server and the peer with a few vectors each.
const DESCRIPTORS_NEEDED: u64 = 1024;

/// Shows what this machine has and lacks, and the command that cures each lack
#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON document instead of a table
    #[arg(long)]
    json: bool,
    /// Start a guest under KVM anew, instead of showing an earlier result since the last boot
    #[arg(long)]
    prove: bool,
    /// The guest's processor, as QEMU's -cpu takes it [default: host]
    #[arg(long, value_name = "MODEL[,FLAGS]")]
    cpu: Option<CpuModel>,
    #[command(flatten)]
    timeouts: TimeoutArgs,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Works, but not as well as it might.
    Warn,
    /// Without it there is no run.
    Missing,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: String,
    state: State,
    detail: String,
    /// The command, or what else to do.
    cure: Option<String>,
}

/// The whole answer.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether `bench` can run.
    ready: bool,
    checks: Vec<Check>,
}

/// Examines the machine and prints what it found. `true`: `bench` can run; `false` is exit status 3.
pub(crate) fn run(args: &DoctorArgs, stop: &StopFlag, progress: &dyn Fn(&str)) -> anyhow::Result<bool> {
    if let Some(cpu) = &args.cpu {
        cpu.check(AutoOr::Only(Accelerator::Kvm))?;
    }
    args.timeouts.apply();
    let distro = host::detect();
    let mut checks = package_checks(distro.as_ref());
    checks.extend(machine_checks());
    checks.push(kernel_check(distro.as_ref()));
    checks.push(kvm_check(args, &checks, stop, progress)?);
    let ready = checks.iter().all(|check| check.state != State::Missing);
    let report = Report { ready, checks };
    if args.json {
        crate::ui::print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        crate::ui::print(&table(&report))?;
    }
    Ok(ready)
}

fn ok(name: &str, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), state: State::Ok, detail: detail.into(), cure: None }
}

fn warn(name: &str, detail: impl Into<String>, cure: impl Into<String>) -> Check {
    Check { name: name.to_owned(), state: State::Warn, detail: detail.into(), cure: Some(cure.into()) }
}

fn package_checks(distro: &dyn HostDistro) -> Vec<Check> {
    host_packages::requirements(distro)
        .into_iter()
        .map(|tool| match host_packages::found(&tool) {
            Some(path) => ok(tool.name(), path.display().to_string()),
            None => Check {
                name: tool.name().to_owned(),
                state: State::Missing,
                detail: tool.purpose().to_owned(),
                cure: Some(host_packages::hint(distro, &tool)),
            },
        })
        .collect()
}

fn machine_checks() -> Vec<Check> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let mut checks = vec![
        architecture(),
        cores(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)),
        memory_check(available_memory(&memory)),
        shm(free_space(Path::new("/dev/shm"))),
        disk(free_space(&existing(&crate::workspace::cache_folder()))),
        tsc(&cpu),
        descriptors(getrlimit(Resource::Nofile).current),
        locked_memory(getrlimit(Resource::Memlock).current),
    ];
    checks.extend(governor());
    checks
}

fn architecture() -> Check {
    match std::env::consts::ARCH {
        "x86_64" => ok("processor", "x86_64"),
        other => Check {
            name: "processor".to_owned(),
            state: State::Missing,
            detail: format!("{other}; the guest is an x86-64 one"),
            cure: Some("run on an x86-64 machine".to_owned()),
        },
    }
}

fn cores(count: usize) -> Check {
    let detail = format!("{count} for this process");
    match count {
        1 => warn(
            "cores",
            detail,
            "host and guest take turns: poll figures mean little; give the machine 2 cores or more",
        ),
        2 | 3 => {
            warn("cores", detail, "host and guest fill them: other work shows in the figures; 4 or more are better")
        }
        _ => ok("cores", detail),
    }
}

fn memory_check(available: Option<u64>) -> Check {
    match available {
        None => warn("memory", "unknown", "see that /proc/meminfo can be read"),
        Some(bytes) if bytes < MEMORY_NEEDED => {
            warn("memory", format!("{} MiB available", bytes / MIB), "free some: a run takes about 1 GiB")
        }
        Some(bytes) => ok("memory", format!("{} MiB available", bytes / MIB)),
    }
}

/// `MemAvailable`, in bytes.
fn available_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn shm(free: Option<u64>) -> Check {
    let cure = "only --shm-name of ivshmem-server needs it: mount -o remount,size=1G /dev/shm";
    match free {
        None => warn("/dev/shm", "not there", cure),
        Some(bytes) if bytes < 128 * MIB => warn("/dev/shm", format!("{} MiB free", bytes / MIB), cure),
        Some(bytes) => ok("/dev/shm", format!("{} MiB free", bytes / MIB)),
    }
}

fn disk(free: Option<u64>) -> Check {
    match free {
        Some(bytes) if bytes >= DISK_NEEDED => ok("disk", format!("{} MiB free below target/", bytes / MIB)),
        Some(bytes) => {
            warn("disk", format!("{} MiB free below target/", bytes / MIB), "free some: the first run takes 2 GiB")
        }
        None => warn("disk", "unknown", "see that the target folder can be written"),
    }
}

fn free_space(path: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(path).ok()?;
    Some(space.f_bavail * space.f_frsize)
}

/// The nearest folder above that is there already.
fn existing(path: &Path) -> std::path::PathBuf {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_path_buf()
}

fn tsc(cpuinfo: &str) -> Check {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let absent: Vec<&str> = ["constant_tsc", "nonstop_tsc"]
        .into_iter()
        .filter(|flag| !flags.split(' ').any(|have| have == *flag))
        .collect();
    if absent.is_empty() {
        ok("time stamp counter", "constant and nonstop")
    } else {
        let detail = format!("the processor does not say {}", absent.join(" and "));
        warn("time stamp counter", detail, "one-way figures need a steady counter; round trips are not affected")
    }
}

fn descriptors(limit: Option<u64>) -> Check {
    match limit {
        Some(limit) if limit < DESCRIPTORS_NEEDED => {
            warn("descriptors", format!("at most {limit} open"), "ulimit -n 4096")
        }
        Some(limit) => ok("descriptors", format!("at most {limit} open")),
        None => ok("descriptors", "no limit"),
    }
}

fn locked_memory(limit: Option<u64>) -> Check {
    match limit {
        Some(limit) if limit < 8 * MIB => {
            let detail = format!("at most {} KiB", limit / 1024);
            warn("locked memory", detail, "records may be paged out in the middle of a run; ulimit -l unlimited")
        }
        Some(limit) => ok("locked memory", format!("at most {} MiB", limit / MIB)),
        None => ok("locked memory", "no limit"),
    }
}

/// Machines without frequency control, virtual ones above all, have nothing to say here.
fn governor() -> Option<Check> {
    let governor = fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").ok()?;
    Some(match governor.trim() {
        "performance" => ok("frequency governor", "performance"),
        other => warn("frequency governor", other, "sudo cpupower frequency-set -g performance"),
    })
}

fn kernel_check(distro: &dyn HostDistro) -> Check {
    if let Some((release, version)) = provision::cached_kernel() {
        return ok("guest kernel", format!("{release} ({version})"));
    }
    if distro.repository_tools().is_empty() {
        let detail = format!("cannot be downloaded on {}", distro.name());
        return warn("guest kernel", detail, "name one: cargo xtask bench --kernel FILE --modules DIR");
    }
    let hint = "cargo xtask bench downloads it (about 140 MB, nothing is installed)";
    warn("guest kernel", "not downloaded yet", hint)
}

/// Proves KVM with the guest if that takes no download and no installation, and has not been done since the last boot.
fn kvm_check(args: &DoctorArgs, so_far: &[Check], stop: &StopFlag, progress: &dyn Fn(&str)) -> anyhow::Result<Check> {
    let lacking = so_far.iter().any(|check| check.state == State::Missing);
    if lacking || provision::cached_kernel().is_none() {
        let device =
            if Path::new("/dev/kvm").exists() { "/dev/kvm is there, which proves nothing" } else { "no /dev/kvm" };
        return Ok(warn("KVM", device, "cargo xtask bench brings a guest and proves it"));
    }
    let options = Options { kernel: None, shell: false, driver: None, consent: InstallPolicy::Never };
    let guest = match provision::prepare(&options, progress) {
        Ok(guest) => guest,
        Err(error) => {
            return Ok(Check {
                name: "guest".to_owned(),
                state: State::Missing,
                detail: error.to_string(),
                cure: Some("cure that, then run this again".to_owned()),
            });
        }
    };
    let options = ProbeOptions { cpu: args.cpu.as_ref(), timeouts: &args.timeouts };
    let reuse = if args.prove { Reuse::Nothing } else { Reuse::All };
    let checked = accelerator::check_kvm(options, reuse, &guest, stop, progress)?;
    let earlier = if checked.is_cached { " (earlier result, since the last boot; --prove repeats it)" } else { "" };
    Ok(match checked.proof {
        KvmProbe::Works { took } => ok("KVM", format!("the guest was up in {:.1} s{earlier}", took.as_secs_f64())),
        KvmProbe::Failed { reason, .. } => warn(
            "KVM",
            format!("{reason}{earlier}"),
            "without it --accel auto emulates (TCG): figures compare modes, they do not predict KVM",
        ),
    })
}

fn table(report: &Report) -> String {
    let width = report.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for check in &report.checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Missing => "MISSING",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:width$}  {state:7}  {}", check.name, check.detail);
        if let Some(cure) = &check.cure {
            let _ = writeln!(text, "{:width$}           -> {cure}", "");
        }
    }
    text.push_str(if report.ready {
        "\nready: cargo xtask bench\n"
    } else {
        "\nnot ready: cure what is MISSING, or let `cargo xtask bench --yes` install it\n"
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_cores_are_a_warning_and_never_a_refusal() {
        assert_eq!([1, 2, 4].map(|count| cores(count).state), [State::Warn, State::Warn, State::Ok]);
    }

    #[test]
    fn memory_is_what_the_kernel_calls_available() {
        let meminfo = "MemTotal:       24000000 kB\nMemFree: 1 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(available_memory(meminfo), Some(2048 * MIB));
        assert_eq!(available_memory("MemTotal: 1 kB\n"), None);
        assert_eq!(memory_check(Some(MEMORY_NEEDED - 1)).state, State::Warn);
    }

    #[test]
    fn a_counter_that_stops_is_told_from_one_that_does_not() {
        assert_eq!(tsc("flags\t\t: fpu tsc constant_tsc nonstop_tsc\n").state, State::Ok);
        let check = tsc("flags\t\t: fpu tsc constant_tsc nonstop_tsc_s3\n");
        assert!(check.state == State::Warn && check.detail.ends_with("say nonstop_tsc"), "{check:?}");
    }

    #[test]
    fn the_table_has_a_line_per_check_and_one_per_cure() {
        let missing = Check { state: State::Missing, ..warn("qemu", "runs the guest", "apt-get install it") };
        let report = Report { ready: false, checks: vec![ok("cores", "4"), missing] };
        let text = table(&report);
        assert_eq!(text.lines().count(), 5);
        assert!(text.contains("-> apt-get install it") && text.contains("not ready"), "{text}");
    }

    #[test]
    fn states_are_lower_case_in_json() {
        let json = serde_json::to_value(ok("cores", "4")).unwrap();
        assert_eq!(json["state"], "ok");
        assert!(json["cure"].is_null());
    }
}
