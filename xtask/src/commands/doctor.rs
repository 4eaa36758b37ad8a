//! `cargo xtask doctor`: checks this host, with a hint for each problem. Installs nothing.

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
/// The kernel's packages, the build of the guest program and a few archives.
const DISK_NEEDED: u64 = 2048 * MIB;
/// QEMU, the server and the peer with a few vectors each.
const DESCRIPTORS_NEEDED: u64 = 1024;

/// Checks this host for missing dependencies, with the command that fixes each problem
#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON document instead of a table
    #[arg(long)]
    json: bool,
    /// Start a guest under KVM even if there is a result since the last boot
    #[arg(long)]
    prove: bool,
    /// CPU model of the guest, as for QEMU's -cpu [default: host]
    #[arg(long, value_name = "MODEL[,FLAGS]")]
    cpu: Option<CpuModel>,
    #[command(flatten)]
    timeouts: TimeoutArgs,
}

/// The state of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum CheckState {
    Ok,
    /// Works with restrictions.
    Warn,
    /// Required and missing.
    Missing,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: String,
    state: CheckState,
    detail: String,
    /// A command or another fix.
    #[serde(rename = "cure")]
    hint: Option<String>,
}

/// The result of all checks.
#[derive(Debug, Serialize)]
struct Diagnosis {
    /// Whether `bench` can run.
    ready: bool,
    checks: Vec<Check>,
}

/// Checks the host and prints the result. Returns whether `bench` can run.
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
    let ready = checks.iter().all(|check| check.state != CheckState::Missing);
    let diagnosis = Diagnosis { ready, checks };
    if args.json {
        crate::ui::print(&format!("{}\n", serde_json::to_string_pretty(&diagnosis)?))?;
    } else {
        crate::ui::print(&table(&diagnosis))?;
    }
    Ok(ready)
}

fn ok(name: &str, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), state: CheckState::Ok, detail: detail.into(), hint: None }
}

fn warn(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { name: name.to_owned(), state: CheckState::Warn, detail: detail.into(), hint: Some(hint.into()) }
}

fn package_checks(distro: &dyn HostDistro) -> Vec<Check> {
    host_packages::requirements(distro)
        .into_iter()
        .map(|tool| match host_packages::found(&tool) {
            Some(path) => ok(tool.name(), path.display().to_string()),
            None => Check {
                name: tool.name().to_owned(),
                state: CheckState::Missing,
                detail: tool.purpose().to_owned(),
                hint: Some(host_packages::hint(distro, &tool)),
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
            state: CheckState::Missing,
            detail: format!("{other}; the guest needs x86-64"),
            hint: Some("use an x86-64 host".to_owned()),
        },
    }
}

fn cores(count: usize) -> Check {
    let detail = format!("{count} for this process");
    match count {
        1 => warn(
            "cores",
            detail,
            "with one core, polling sides block each other and poll latencies mean little; use 2 cores or more",
        ),
        2 | 3 => warn(
            "cores",
            detail,
            "host and guest use all cores, so other load disturbs the results; 4 cores are better",
        ),
        _ => ok("cores", detail),
    }
}

fn memory_check(available: Option<u64>) -> Check {
    match available {
        None => warn("memory", "unknown", "make /proc/meminfo readable"),
        Some(bytes) if bytes < MEMORY_NEEDED => {
            warn("memory", format!("{} MiB available", bytes / MIB), "free memory: a run needs about 1 GiB")
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
    let hint = "only --shm-name of ivshmem-server needs it: mount -o remount,size=1G /dev/shm";
    match free {
        None => warn("/dev/shm", "missing", hint),
        Some(bytes) if bytes < 128 * MIB => warn("/dev/shm", format!("{} MiB free", bytes / MIB), hint),
        Some(bytes) => ok("/dev/shm", format!("{} MiB free", bytes / MIB)),
    }
}

fn disk(free: Option<u64>) -> Check {
    match free {
        Some(bytes) if bytes >= DISK_NEEDED => ok("disk", format!("{} MiB free below target/", bytes / MIB)),
        Some(bytes) => {
            warn("disk", format!("{} MiB free below target/", bytes / MIB), "free space: the first run needs 2 GiB")
        }
        None => warn("disk", "unknown", "make the target directory writable"),
    }
}

fn free_space(path: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(path).ok()?;
    Some(space.f_bavail * space.f_frsize)
}

/// The nearest existing ancestor directory.
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
        let detail = format!("the CPU lacks {}", absent.join(" and "));
        warn("time stamp counter", detail, "one-way latencies need an invariant TSC; round trips are not affected")
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
            warn("locked memory", detail, "sample buffers may be paged out during a run; ulimit -l unlimited")
        }
        Some(limit) => ok("locked memory", format!("at most {} MiB", limit / MIB)),
        None => ok("locked memory", "no limit"),
    }
}

/// `None` without frequency scaling, as in most VMs.
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
        return warn("guest kernel", detail, "specify one: cargo xtask bench --kernel FILE --modules DIR");
    }
    let hint = "cargo xtask bench downloads it (about 140 MB, nothing is installed)";
    warn("guest kernel", "not downloaded yet", hint)
}

/// Probes KVM with a guest, if that needs no download and no installation.
fn kvm_check(args: &DoctorArgs, so_far: &[Check], stop: &StopFlag, progress: &dyn Fn(&str)) -> anyhow::Result<Check> {
    let lacking = so_far.iter().any(|check| check.state == CheckState::Missing);
    if lacking || provision::cached_kernel().is_none() {
        let device = if Path::new("/dev/kvm").exists() { "/dev/kvm exists, not tested yet" } else { "no /dev/kvm" };
        return Ok(warn("KVM", device, "cargo xtask bench downloads a guest and tests KVM"));
    }
    let options = Options { kernel: None, shell: false, driver: None, install: InstallPolicy::Never };
    let guest = match provision::prepare(&options, progress) {
        Ok(guest) => guest,
        Err(error) => {
            return Ok(Check {
                name: "guest".to_owned(),
                state: CheckState::Missing,
                detail: error.to_string(),
                hint: Some("fix this, then run doctor again".to_owned()),
            });
        }
    };
    let options = ProbeOptions { cpu: args.cpu.as_ref(), timeouts: &args.timeouts };
    let reuse = if args.prove { Reuse::Nothing } else { Reuse::All };
    let checked = accelerator::check_kvm(options, reuse, &guest, stop, progress)?;
    let earlier = if checked.is_cached { " (earlier result since the last boot; repeat with --prove)" } else { "" };
    Ok(match checked.probe {
        KvmProbe::Works { took } => ok("KVM", format!("the guest was up in {:.1} s{earlier}", took.as_secs_f64())),
        KvmProbe::Failed { reason, .. } => warn(
            "KVM",
            format!("{reason}{earlier}"),
            "--accel auto falls back to emulation (TCG): results compare modes, but do not predict KVM",
        ),
    })
}

fn table(diagnosis: &Diagnosis) -> String {
    let width = diagnosis.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for check in &diagnosis.checks {
        let state = match check.state {
            CheckState::Ok => "ok",
            CheckState::Warn => "warn",
            CheckState::Missing => "MISSING",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:width$}  {state:7}  {}", check.name, check.detail);
        if let Some(hint) = &check.hint {
            let _ = writeln!(text, "{:width$}           -> {hint}", "");
        }
    }
    text.push_str(if diagnosis.ready {
        "\nready: cargo xtask bench\n"
    } else {
        "\nnot ready: install the MISSING tools, or run `cargo xtask bench --yes`, which installs them\n"
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_cores_are_only_a_warning() {
        assert_eq!([1, 2, 4].map(|count| cores(count).state), [CheckState::Warn, CheckState::Warn, CheckState::Ok]);
    }

    #[test]
    fn memory_is_the_kernels_mem_available() {
        let meminfo = "MemTotal:       24000000 kB\nMemFree: 1 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(available_memory(meminfo), Some(2048 * MIB));
        assert_eq!(available_memory("MemTotal: 1 kB\n"), None);
        assert_eq!(memory_check(Some(MEMORY_NEEDED - 1)).state, CheckState::Warn);
    }

    #[test]
    fn detects_a_tsc_that_stops() {
        assert_eq!(tsc("flags\t\t: fpu tsc constant_tsc nonstop_tsc\n").state, CheckState::Ok);
        let check = tsc("flags\t\t: fpu tsc constant_tsc nonstop_tsc_s3\n");
        assert!(check.state == CheckState::Warn && check.detail.ends_with("lacks nonstop_tsc"), "{check:?}");
    }

    #[test]
    fn table_has_a_line_per_check_and_hint() {
        let missing = Check { state: CheckState::Missing, ..warn("qemu", "runs the guest", "apt-get install it") };
        let diagnosis = Diagnosis { ready: false, checks: vec![ok("cores", "4"), missing] };
        let text = table(&diagnosis);
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
