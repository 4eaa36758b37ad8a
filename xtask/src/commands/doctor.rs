//! `cargo xtask doctor`: checks this host, with a hint for each problem. Installs nothing.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::accelerator::{self, KvmProbe, Reuse};
use crate::arguments::AutoOr;
use crate::provision::host::tool::Tool;
use crate::provision::host::{self, HostDistro};
use crate::provision::host_packages::{self, InstallPolicy};
use crate::provision::{self, Options};
use crate::signals::StopFlag;
use crate::sys_files::SysRoot;
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
    let mut checks = package_checks(&distro);
    checks.extend(machine_checks());
    checks.push(kernel_check(&distro));
    checks.push(kvm_check(args, &checks, stop, progress)?);
    let ready = checks.iter().all(|check| check.state != CheckState::Missing);
    let diagnosis = Diagnosis { ready, checks };
    if args.json {
        crate::ui::print_json(&diagnosis)?;
    } else {
        crate::ui::print(&table(&diagnosis))?;
    }
    Ok(ready)
}

fn check(name: &str, state: CheckState, detail: impl Into<String>, hint: Option<&str>) -> Check {
    Check { name: name.to_owned(), state, detail: detail.into(), hint: hint.map(str::to_owned) }
}

fn ok(name: &str, detail: impl Into<String>) -> Check {
    check(name, CheckState::Ok, detail, None)
}

fn warn(name: &str, detail: impl Into<String>, hint: &str) -> Check {
    check(name, CheckState::Warn, detail, Some(hint))
}

fn missing(name: &str, detail: impl Into<String>, hint: &str) -> Check {
    check(name, CheckState::Missing, detail, Some(hint))
}

fn package_checks(distro: &HostDistro) -> Vec<Check> {
    let tools = host_packages::requirements(distro);
    // Without the unpackers: the modules of any kernel may be compressed.
    let for_packages = distro.manager_tools();
    tools.iter().map(|tool| tool_check(distro, tool, for_packages.contains(tool))).collect()
}

/// `for_packages`: a run needs the tool only for the distribution's kernel.
fn tool_check(distro: &HostDistro, tool: &Tool, for_packages: bool) -> Check {
    if let Some(path) = host_packages::found(tool) {
        return ok(&tool.name, path.display().to_string());
    }
    let mut hint = host_packages::hint(distro, tool);
    if for_packages {
        hint.push_str("; not needed with a kernel of your own: cargo xtask bench --kernel FILE --modules DIR");
    }
    missing(&tool.name, tool.purpose, &hint)
}

fn machine_checks() -> Vec<Check> {
    let sysroot = SysRoot::real();
    let mut checks = vec![
        match std::env::consts::ARCH {
            "x86_64" => ok("processor", "x86_64"),
            other => missing("processor", format!("{other}; the guest needs x86-64"), "use an x86-64 host"),
        },
        cores(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)),
        memory(sysroot.memory("MemAvailable")),
        shm(free_space(Path::new("/dev/shm"))),
        disk(free_space(&existing(&crate::workspace::cache_folder()))),
        tsc(&sysroot.cpu_flags().unwrap_or_default()),
        descriptors(getrlimit(Resource::Nofile).current),
        locked_memory(getrlimit(Resource::Memlock).current),
    ];
    // Missing without frequency scaling, as in most VMs.
    let governor = sysroot.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    checks.extend(governor.map(|governor| match governor.as_str() {
        "performance" => ok("frequency governor", "performance"),
        other => warn("frequency governor", other, "sudo cpupower frequency-set -g performance"),
    }));
    checks
}

fn cores(count: usize) -> Check {
    let detail = format!("{count} for this process");
    let hint = match count {
        1 => "with one core, polling sides block each other and poll latencies mean little; use 2 cores or more",
        2 | 3 => "host and guest use all cores, so other load disturbs the results; 4 cores are better",
        _ => return ok("cores", detail),
    };
    warn("cores", detail, hint)
}

/// A warning if there is less than a run needs.
fn at_least(needed: u64, bytes: u64, name: &str, detail: String, hint: &str) -> Check {
    if bytes < needed { warn(name, detail, hint) } else { ok(name, detail) }
}

fn memory(available: Option<u64>) -> Check {
    let Some(bytes) = available else { return warn("memory", "unknown", "make /proc/meminfo readable") };
    let detail = format!("{} MiB available", bytes / MIB);
    at_least(MEMORY_NEEDED, bytes, "memory", detail, "free memory: a run needs about 1 GiB")
}

fn shm(free: Option<u64>) -> Check {
    let hint = "only --shm-name of ivshmem-server needs it: mount -o remount,size=1G /dev/shm";
    let Some(bytes) = free else { return warn("/dev/shm", "missing", hint) };
    at_least(128 * MIB, bytes, "/dev/shm", format!("{} MiB free", bytes / MIB), hint)
}

fn disk(free: Option<u64>) -> Check {
    let Some(bytes) = free else { return warn("disk", "unknown", "make the target directory writable") };
    let detail = format!("{} MiB free below target/", bytes / MIB);
    at_least(DISK_NEEDED, bytes, "disk", detail, "free space: the first run needs 2 GiB")
}

fn free_space(path: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(path).ok()?;
    Some(space.f_bavail * space.f_frsize)
}

/// The nearest existing ancestor directory.
fn existing(path: &Path) -> std::path::PathBuf {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_path_buf()
}

fn tsc(flags: &[String]) -> Check {
    let lacks = |flag: &&str| !flags.iter().any(|have| have == flag);
    let absent: Vec<&str> = ["constant_tsc", "nonstop_tsc"].into_iter().filter(lacks).collect();
    if absent.is_empty() {
        return ok("time stamp counter", "constant and nonstop");
    }
    let detail = format!("the CPU lacks {}", absent.join(" and "));
    warn("time stamp counter", detail, "one-way latencies need an invariant TSC; round trips are not affected")
}

fn descriptors(limit: Option<u64>) -> Check {
    let Some(limit) = limit else { return ok("descriptors", "no limit") };
    at_least(DESCRIPTORS_NEEDED, limit, "descriptors", format!("at most {limit} open"), "ulimit -n 4096")
}

fn locked_memory(limit: Option<u64>) -> Check {
    let hint = "sample buffers may be paged out during a run; ulimit -l unlimited";
    match limit {
        None => ok("locked memory", "no limit"),
        Some(limit) if limit < 8 * MIB => warn("locked memory", format!("at most {} KiB", limit / 1024), hint),
        Some(limit) => ok("locked memory", format!("at most {} MiB", limit / MIB)),
    }
}

fn kernel_check(distro: &HostDistro) -> Check {
    if let Some((release, version)) = provision::cached_kernel() {
        return ok("guest kernel", format!("{release} ({version})"));
    }
    if distro.repository_tools().is_empty() {
        let detail = format!("cannot be downloaded on {}", distro.name);
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
        Err(error) => return Ok(missing("guest", format!("{error:#}"), "fix this, then run doctor again")),
    };
    let reuse = if args.prove { Reuse::Nothing } else { Reuse::All };
    let checked = accelerator::check_kvm(args.cpu.as_ref(), &args.timeouts, reuse, &guest, stop, progress)?;
    let earlier = if checked.is_cached { " (earlier result since the last boot; repeat with --prove)" } else { "" };
    Ok(match checked.probe {
        KvmProbe::Works { took } => ok("KVM", format!("the guest was up in {:.1} s{earlier}", took.as_secs_f64())),
        KvmProbe::Failed { reason, .. } => warn(
            "KVM",
            format!("{reason}{earlier}"),
            "--accel auto falls back to emulation (TCG): neither its times nor its ratios predict KVM",
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
    use crate::provision::host::distro::Family;

    #[test]
    fn few_cores_are_only_a_warning() {
        assert_eq!([1, 2, 4].map(|count| cores(count).state), [CheckState::Warn, CheckState::Warn, CheckState::Ok]);
    }

    #[test]
    fn little_memory_is_a_warning() {
        assert_eq!(
            [MEMORY_NEEDED - 1, MEMORY_NEEDED].map(|bytes| memory(Some(bytes)).state),
            [CheckState::Warn, CheckState::Ok]
        );
        assert_eq!(memory(None).state, CheckState::Warn);
    }

    #[test]
    fn missing_package_tools_name_the_alternative() {
        let distro = HostDistro { name: "Debian".to_owned(), family: Some(Family::Debian) };
        let hint = |for_packages| {
            let check = tool_check(&distro, &Tool::compiler("no-such-program".to_owned()), for_packages);
            assert_eq!(check.state, CheckState::Missing);
            check.hint.unwrap()
        };
        assert!(hint(true).contains("bench --kernel FILE --modules DIR"));
        assert!(hint(false).ends_with("no-such-program"));
        assert!(!distro.manager_tools().contains(&Tool::unpacker("xz")), "a .ko.xz of any kernel needs it");
    }

    #[test]
    fn detects_a_tsc_that_stops() {
        let of = |flags: &str| tsc(&flags.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("fpu tsc constant_tsc nonstop_tsc").state, CheckState::Ok);
        let check = of("fpu tsc constant_tsc nonstop_tsc_s3");
        assert!(check.state == CheckState::Warn && check.detail.ends_with("lacks nonstop_tsc"), "{check:?}");
    }

    #[test]
    fn table_has_a_line_per_check_and_hint() {
        let missing = missing("qemu", "runs the guest", "apt-get install it");
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
