//! Warnings about the machine, its settings and how the run was started. Unknown settings give no warning.

use super::STOP_LOAD;
use crate::result::environment::Environment;
use crate::result::warning::Warning;
use bench_model::ASKED_FOR;
use bench_model::pinning::{Pinning, ThreadName};
use bench_model::units::{plural, sig3};

/// Steal time, in per cent, from which it affects the metrics.
const STEAL_FROM: f64 = 1.0;

/// CPUs that other processes may use at the start in addition to those that the run leaves free. Every machine has that
/// much background load.
const BUSY_TOLERANCE: f64 = 0.3;

/// Tasks by which the load average may exceed the free CPUs: an average over one minute includes processes that have
/// ended.
const LOAD_TOLERANCE: f64 = 0.5;

/// All warnings about the environment: first those that distort metrics, then those that limit what they apply to.
/// `pinning` is the planned pinning of the blocks; `handshakes` shows whether the guest's counter is constant.
pub(super) fn warnings(environment: &Environment, pinning: &Pinning, handshakes: Handshakes) -> Vec<Warning> {
    let all = [
        other_benchmarks(environment),
        not_pinned(environment),
        oversubscribed(environment),
        one_cpu_for_two(pinning),
        siblings(environment, pinning),
        loaded(environment),
        low_priority(environment),
        throttled(environment),
        stolen(environment),
        governor(environment),
        host_clock(environment),
        guest_clock(environment, handshakes),
        nested(environment),
        emulated(environment),
    ];
    all.into_iter().flatten().collect()
}

/// The polling threads of each side compete for the other side's CPUs, caches and memory bandwidth.
fn other_benchmarks(environment: &Environment) -> Option<Warning> {
    let others: Vec<String> = environment.load.other_benchmarks.iter().map(ToString::to_string).collect();
    let message = match &others[..] {
        [] => return None,
        [other] => format!("another benchmark ({other}) ran during this run: the results of both are disturbed"),
        several => format!(
            "{} other benchmarks ({}) ran during this run: the results of all are disturbed",
            several.len(),
            several.join(", ")
        ),
    };
    Some(Warning::new(message, "run one benchmark at a time"))
}

fn not_pinned(environment: &Environment) -> Option<Warning> {
    (environment.pinning.as_deref() == Some("none")).then(|| {
        let hint = if environment.cores == 1 {
            "give the run a second CPU (a larger machine or cpuset); with one there is nothing to pin"
        } else {
            "run with --pin auto"
        };
        Warning::new("no thread was pinned: the scheduler may move the initiator or a vCPU at any time", hint)
    })
}

/// The threads that busy-poll in at least one block: the initiator and the vCPUs.
fn spinning(environment: &Environment) -> Option<u32> {
    environment.guest_cpus.map(|guest| guest.saturating_add(1))
}

fn oversubscribed(environment: &Environment) -> Option<Warning> {
    let (threads, cores) = (spinning(environment)?, environment.cores);
    (cores > 0 && threads > cores).then(|| {
        let message = format!(
            "{threads} polling threads (the initiator and {}) share {}: each waits milliseconds for its turn",
            plural(u64::from(threads - 1), "vCPU"),
            plural(cores.into(), "CPU")
        );
        let hint = match cores {
            1 => "give the run at least two CPUs".to_owned(),
            _ => format!("run with --smp {}, or on {threads} CPUs", cores - 1),
        };
        Warning::new(message, hint)
    })
}

/// The CPUs of the initiator and of the vCPUs, if both are pinned.
fn host_and_vcpus(pinning: &Pinning) -> impl Iterator<Item = (usize, ThreadName, usize)> + '_ {
    let vcpus = pinning.threads().filter(|(name, _)| matches!(name, ThreadName::Vcpu(_)));
    vcpus.filter_map(|(name, cpu)| Some((pinning.host?, name, cpu)))
}

fn one_cpu_for_two(pinning: &Pinning) -> Option<Warning> {
    let (_, name, cpu) = host_and_vcpus(pinning).find(|(host, _, cpu)| host == cpu)?;
    Some(Warning::new(
        format!(
            "the initiator and {name} are both pinned to CPU {cpu}: the side that polls keeps the other from running"
        ),
        "give each a CPU of its own: --pin auto, or another map",
    ))
}

fn siblings(environment: &Environment, pinning: &Pinning) -> Option<Warning> {
    let share = |a: &usize, b: &usize| {
        a != b && environment.host.smt_siblings.iter().any(|core| core.contains(a) && core.contains(b))
    };
    let (host, name, cpu) = host_and_vcpus(pinning).find(|(host, _, cpu)| share(host, cpu))?;
    Some(Warning::new(
        format!(
            "the initiator (CPU {host}) and {name} (CPU {cpu}) are hyperthreads of one core: polling on one slows the other"
        ),
        format!("--pin host={host},vcpu=N with a CPU N of another core (lscpu -e lists them)"),
    ))
}

/// Other load just before the run. If it is unknown, the load average is used. That also includes processes that have
/// ended, such as the build of these programs.
fn loaded(environment: &Environment) -> Option<Warning> {
    let threads = spinning(environment)?;
    if let Some(busy) = environment.load.busy_cpus {
        let free = f64::from(environment.cores.saturating_sub(threads));
        return (busy > free + BUSY_TOLERANCE).then(|| {
            let message = format!(
                "other processes used {} of {} when the run began; its {threads} polling threads leave {free:.0}",
                sig3(busy),
                plural(environment.cores.into(), "CPU"),
            );
            Warning::new(message, STOP_LOAD)
        });
    }
    let load = environment.load.load_average?;
    // The load average covers the whole machine, of which the run may have only a part.
    let cpus = environment.host.hardware_threads.unwrap_or(0).max(environment.cores);
    let free = f64::from(cpus.saturating_sub(threads));
    (cpus > 0 && load > free + LOAD_TOLERANCE).then(|| {
        let message = format!(
            "the load average was {load:.2} when the run began; its {threads} polling threads leave {free:.0} of {}",
            plural(cpus.into(), "CPU")
        );
        Warning::new(message, "stop other load, wait a minute (uptime shows the load), and run again")
    })
}

/// With low priority, results include the time for which other processes preempt the run.
fn low_priority(environment: &Environment) -> Option<Warning> {
    let (policy, nice) = (environment.host.scheduling_policy.as_deref()?, environment.host.nice.unwrap_or(0));
    (["batch", "idle"].contains(&policy) || nice > 0).then(|| {
        Warning::new(
            format!("the run had low scheduling priority (policy {policy}, nice {nice})"),
            "start it without nice and chrt, or with chrt --other 0 nice -n 0",
        )
    })
}

fn throttled(environment: &Environment) -> Option<Warning> {
    let (quota, threads) = (environment.host.cpu_quota?, spinning(environment)?);
    (quota < f64::from(threads)).then(|| {
        Warning::new(
            format!(
                "the control group's quota is {} CPUs and {threads} threads poll: the kernel stops them for milliseconds \
                 when it is used up",
                sig3(quota)
            ),
            format!("raise the quota to {threads} CPUs (systemd: CPUQuota=, containers: --cpus), or remove it"),
        )
    })
}

fn stolen(environment: &Environment) -> Option<Warning> {
    let steal = environment.load.steal_percent.filter(|percent| *percent > STEAL_FROM)?;
    Some(Warning::new(
        format!("steal time: the hypervisor withheld {steal:.1} % of this machine's CPU time during the run"),
        "do not rely on maxima and high percentiles; run again on a machine with dedicated CPUs",
    ))
}

fn governor(environment: &Environment) -> Option<Warning> {
    let governor = environment.host.governor.as_deref().filter(|governor| *governor != "performance")?;
    Some(Warning::new(
        format!(
            "the frequency governor is {governor}: after blocking, a CPU runs at a lower frequency than while polling"
        ),
        "sudo cpupower frequency-set -g performance",
    ))
}

fn host_clock(environment: &Environment) -> Option<Warning> {
    let source = environment.host.host_clocksource.as_deref().filter(|source| *source != "tsc")?;
    Some(Warning::new(
        format!(
            "the host's clock source is {source}, not tsc: the kernel considers the TSC unstable, from which timestamps are \
             taken"
        ),
        "see the reason with dmesg | grep -i tsc; if the TSC is stable, boot with tsc=reliable",
    ))
}

/// Blocks, and those in which the handshakes before and after the block show different offsets of the guest's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handshakes {
    /// All blocks.
    pub(super) blocks: usize,
    /// Blocks in which the offset changed.
    pub(super) moved: usize,
}

impl Handshakes {
    /// Load on the machine shifts the offset in some blocks; a counter with a varying rate shifts it in most.
    fn show_a_sound_counter(self) -> bool {
        self.moved * 2 <= self.blocks
    }
}

/// `tsc-early` is the same counter, during the second after boot in which Linux measures its frequency. Stamps are read
/// from the counter, whichever clock source the guest kernel uses. Under KVM the default is kvm-clock even on constant
/// counters: KVM does not expose to a guest that its counter is constant unless configured to. In that case the
/// handshakes decide.
fn guest_clock(environment: &Environment, handshakes: Handshakes) -> Option<Warning> {
    if environment.accel == "kvm" && environment.clocksource.as_deref() == Some("kvm-clock") {
        return (!handshakes.show_a_sound_counter()).then(|| {
            let (moved, blocks) = (handshakes.moved, plural(handshakes.blocks as u64, "block"));
            Warning::new(
                format!(
                    "the guest's clock source is kvm-clock, and its counter moved against the host's in {moved} of \
                     {blocks}: one-way latencies may mix two clocks"
                ),
                "see why the host's counter is not constant (dmesg | grep -i tsc); round trips are not affected",
            )
        });
    }
    let source =
        environment.clocksource.as_deref().filter(|source| !["tsc", "tsc-early", "unknown", ""].contains(source))?;
    Some(Warning::new(
        format!("the guest's clock source is {source}, not tsc: one-way latencies may mix two clocks"),
        "run with --append clocksource=tsc; console.log has the reason",
    ))
}

fn nested(environment: &Environment) -> Option<Warning> {
    (environment.accel == "kvm" && environment.host.virtualized == Some(true)).then(|| {
        let message = "KVM is nested (the host is a virtual machine): interrupts and wake-ups cost several times more than \
                       on bare metal";
        Warning::new(message, "run on bare metal for results of bare metal")
    })
}

fn emulated(environment: &Environment) -> Option<Warning> {
    (environment.accel == "tcg").then(|| {
        let reason = environment.accel_reason.strip_prefix("tcg: ").unwrap_or(&environment.accel_reason);
        let hint = if reason == ASKED_FOR {
            "run without --accel tcg on a machine with working KVM"
        } else {
            "run on a machine with working KVM (cargo xtask doctor tests it)"
        };
        let reason = if reason.is_empty() { String::new() } else { format!("; {reason}") };
        let message = format!("the guest ran under emulation (TCG{reason}): neither times nor ratios predict KVM");
        Warning::new(message, hint)
    })
}
