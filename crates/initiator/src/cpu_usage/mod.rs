//! CPU usage of the threads of a run within the measured intervals. All readings happen outside the intervals.
//!
//! - [`cpu_time`]: time on a CPU.
//! - [`switches`]: voluntary and involuntary context switches.
//! - [`hardware`]: hardware counters. [`perf_errors`]: why they are missing.

use std::time::{Duration, Instant};

use bench_model::QemuThreads;
use bench_model::raw::CpuTime;
use bench_model::thread_usage::{ContextSwitches, HardwareCounts, PerfTime, Switches};

mod cpu_time;
mod hardware;
mod perf_errors;
mod proc_file;
mod switches;

use cpu_time::{CpuClock, CpuTimeSample};
use hardware::{CounterGroup, MissingCounter};
use perf_errors::PerfSupport;
use switches::SwitchCount;

/// Sums up CPU usage and wall time between `start` and `stop`.
pub(super) struct Meter {
    vcpus: Vec<ThreadMeter>,
    main_loop: Option<ThreadMeter>,
    host_counters: Option<CounterGroup>,
    vcpu_counters: Option<CounterGroup>,
    /// The missing hardware counters, with reasons.
    pub(super) perf_missing: Option<String>,
    started: Option<Instant>,
    before: Snapshot,
    after: Snapshot,
    cpu: CpuTime,
    wall: Duration,
}

/// A thread of QEMU.
struct ThreadMeter {
    clock: CpuClock,
    switches: SwitchCount,
}

impl ThreadMeter {
    fn of(pid: u32, tid: u32) -> Self {
        Self { clock: CpuClock::of(pid, tid), switches: SwitchCount::of(pid, tid) }
    }
}

/// All values at one time.
#[derive(Default)]
struct Snapshot {
    host_ns: u64,
    vcpus: Vec<Option<CpuTimeSample>>,
    main_loop: Option<CpuTimeSample>,
    switches: ContextSwitches,
    perf: PerfTime,
}

impl Meter {
    /// Opens all counters. Must be called by the measured thread.
    pub(super) fn new(qemu: Option<&QemuThreads>) -> Self {
        let support = PerfSupport::here();
        let (host_counters, host_missing) = CounterGroup::open(None, support);
        let first = qemu.and_then(|qemu| qemu.vcpus.first());
        let (vcpu_counters, vcpu_missing) =
            first.map_or((None, Vec::new()), |tid| CounterGroup::open(Some(*tid), support));
        Self {
            vcpus: qemu.iter().flat_map(|q| q.vcpus.iter().map(|tid| ThreadMeter::of(q.pid, *tid))).collect(),
            main_loop: qemu.map(|q| ThreadMeter::of(q.pid, q.pid)),
            host_counters,
            vcpu_counters,
            perf_missing: describe_missing(&host_missing, &vcpu_missing),
            started: None,
            before: Snapshot::default(),
            after: Snapshot::default(),
            cpu: CpuTime::default(),
            wall: Duration::ZERO,
        }
    }

    /// Most expensive first: its cost must not appear in a later reading. The clocks come last.
    pub(super) fn start(&mut self) {
        let mut reading = std::mem::take(&mut self.before);
        self.read_counters(&mut reading);
        self.read_switches(&mut reading);
        self.read_main_loop(&mut reading);
        self.read_vcpus(&mut reading);
        reading.host_ns = cpu_time::own();
        self.before = reading;
        self.started = Some(Instant::now());
    }

    /// The reverse of [`start`](Self::start).
    pub(super) fn stop(&mut self) {
        let Some(start) = self.started.take() else { return };
        let wall = start.elapsed();
        self.wall += wall;
        let mut reading = std::mem::take(&mut self.after);
        reading.host_ns = cpu_time::own();
        self.read_vcpus(&mut reading);
        self.read_main_loop(&mut reading);
        self.read_switches(&mut reading);
        self.read_counters(&mut reading);
        self.after = reading;
        add(&mut self.cpu, &self.before, &self.after, wall);
    }

    /// Returns and clears the sums.
    pub(super) fn drain(&mut self) -> (CpuTime, Duration) {
        self.started = None;
        (std::mem::take(&mut self.cpu), std::mem::take(&mut self.wall))
    }

    /// Restores the sums of [`drain`](Self::drain), to exclude an interval in between.
    pub(super) fn restore(&mut self, (cpu, wall): (CpuTime, Duration)) {
        (self.cpu, self.wall) = (cpu, wall);
    }

    fn read_vcpus(&mut self, reading: &mut Snapshot) {
        reading.vcpus.clear();
        reading.vcpus.extend(self.vcpus.iter_mut().map(|thread| thread.clock.read()));
    }

    fn read_main_loop(&mut self, reading: &mut Snapshot) {
        reading.main_loop = self.main_loop.as_mut().and_then(|thread| thread.clock.read());
    }

    fn read_switches(&mut self, reading: &mut Snapshot) {
        let each = self.vcpus.iter_mut().map(|thread| thread.switches.read());
        let all = each.reduce(|sum, one| Some(sum?.plus(one?)));
        reading.switches = ContextSwitches {
            vcpus: all.flatten(),
            main_loop: self.main_loop.as_mut().and_then(|thread| thread.switches.read()),
            host: switches::own(),
        };
    }

    fn read_counters(&mut self, reading: &mut Snapshot) {
        reading.perf = PerfTime {
            vcpu: self.vcpu_counters.as_mut().and_then(CounterGroup::read),
            host: self.host_counters.as_mut().and_then(CounterGroup::read),
        };
    }
}

/// Adds the difference of two snapshots support `wall` to the sums. Unknown values are skipped; a sum is unknown only if
/// every interval was.
fn add(sum: &mut CpuTime, before: &Snapshot, after: &Snapshot, wall: Duration) {
    let spent = |before: &Option<CpuTimeSample>, after: &Option<CpuTimeSample>| {
        Some(after.as_ref()?.within(wall, before.as_ref()?))
    };
    sum.host_ns += after.host_ns.saturating_sub(before.host_ns);
    if let Some(ns) = spent(&before.main_loop, &after.main_loop) {
        *sum.main_loop_ns.get_or_insert(0) += ns;
    }
    sum.vcpus_ns.resize(after.vcpus.len(), 0);
    let mut together = (!after.vcpus.is_empty()).then_some(0);
    for ((sum, before), after) in sum.vcpus_ns.iter_mut().zip(&before.vcpus).zip(&after.vcpus) {
        let ns = spent(before, after);
        *sum += ns.unwrap_or(0);
        together = together.zip(ns).map(|(together, ns)| together + ns);
    }
    match together {
        Some(ns) => *sum.vcpu_ns.get_or_insert(0) += ns,
        // An incomplete list would pass for a complete one.
        None => sum.vcpus_ns.clear(),
    }
    let (switches, from, to) = (&mut sum.switches, &before.switches, &after.switches);
    add_switches(&mut switches.host, from.host, to.host);
    add_switches(&mut switches.vcpus, from.vcpus, to.vcpus);
    add_switches(&mut switches.main_loop, from.main_loop, to.main_loop);
    add_counts(&mut sum.perf.host, before.perf.host, after.perf.host);
    add_counts(&mut sum.perf.vcpu, before.perf.vcpu, after.perf.vcpu);
}

fn add_switches(sum: &mut Option<Switches>, before: Option<Switches>, after: Option<Switches>) {
    if let Some((before, after)) = before.zip(after) {
        *sum = Some(sum.unwrap_or_default().plus(after.since(before)));
    }
}

fn add_counts(sum: &mut Option<HardwareCounts>, before: Option<HardwareCounts>, after: Option<HardwareCounts>) {
    if let Some((before, after)) = before.zip(after) {
        let part = hardware::between(before, after);
        *sum = Some(sum.map_or(part, |sum| hardware::plus(sum, part)));
    }
}

/// Describes the missing counters of both threads in one sentence, grouped by reason.
fn describe_missing(host: &[MissingCounter], vcpu: &[MissingCounter]) -> Option<String> {
    let (host, vcpu) = (by_reason(host), by_reason(vcpu));
    match (host.is_empty(), vcpu.is_empty()) {
        (true, true) => None,
        (false, true) => Some(host),
        (false, false) if host == vcpu => Some(host),
        (true, false) => Some(format!("vCPU: {vcpu}")),
        (false, false) => Some(format!("{host}; vCPU: {vcpu}")),
    }
}

fn by_reason(missing: &[MissingCounter]) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for MissingCounter { what, why } in missing {
        match reasons.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, counters)) => counters.push(what),
            None => reasons.push((why, vec![what])),
        }
    }
    let sentences = reasons.iter().map(|(reason, counters)| format!("{}: {reason}", counters.join(", ")));
    sentences.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
