//! Hardware counters of a thread, in one perf group: all of them count the same instructions.

use std::io;

use bench_model::thread_usage::HardwareCounts;
use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Hardware, Software};
use perf_event::{Builder, Counter, Group};

use super::perf_errors::{PerfSupport, describe_errno};

/// A counted event.
struct HardwareEvent {
    name: &'static str,
    event: fn() -> Builder<'static>,
    count: fn(&mut HardwareCounts) -> &mut Option<u64>,
}

const CONTEXT_SWITCHES: HardwareEvent = HardwareEvent {
    name: "context switches",
    event: || Builder::new(Software::CONTEXT_SWITCHES),
    count: |counts| &mut counts.context_switches,
};

/// By priority: if the processor has too few counters, the first events get them.
const EVENTS: [HardwareEvent; 6] = [
    HardwareEvent { name: "cycles", event: || Builder::new(Hardware::CPU_CYCLES), count: |counts| &mut counts.cycles },
    HardwareEvent {
        name: "instructions",
        event: || Builder::new(Hardware::INSTRUCTIONS),
        count: |counts| &mut counts.instructions,
    },
    HardwareEvent { name: "LLC misses", event: || misses(CacheId::LL), count: |counts| &mut counts.llc_misses },
    HardwareEvent { name: "L1d misses", event: || misses(CacheId::L1D), count: |counts| &mut counts.l1d_misses },
    HardwareEvent { name: "dTLB misses", event: || misses(CacheId::DTLB), count: |counts| &mut counts.dtlb_misses },
    CONTEXT_SWITCHES,
];

fn misses(which: CacheId) -> Builder<'static> {
    Builder::new(Cache { which, operation: CacheOp::READ, result: CacheResult::MISS })
}

impl HardwareEvent {
    fn is_hardware(&self) -> bool {
        self.name != CONTEXT_SWITCHES.name
    }
}

/// Lets the event count in another thread, by its id, or in the calling one.
fn observe(thread: Option<u32>, mut event: Builder<'static>, with_kernel: bool) -> Builder<'static> {
    event.exclude_kernel(!with_kernel);
    match thread {
        Some(tid) => event.observe_pid(tid.cast_signed()),
        None => event.observe_self(),
    };
    event
}

/// An event that cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissingCounter {
    pub(super) what: &'static str,
    pub(super) why: String,
}

/// The open counters and the missing ones.
pub(super) type Opened = (Option<CounterGroup>, Vec<MissingCounter>);

const KERNEL_PART: &str = "the kernel's part";

/// The counters of a thread. They count from their creation; the caller takes differences.
pub(super) struct CounterGroup {
    /// Counts nothing; its members are scheduled and read together.
    leader: Group,
    members: Vec<(&'static HardwareEvent, Counter)>,
    with_kernel: bool,
}

impl CounterGroup {
    /// Opens every available counter of a thread, by default the calling one. Without hardware counters there is no
    /// group: context switches have another source, and a group slows down each of them.
    pub(super) fn open(thread: Option<u32>, support: PerfSupport) -> Opened {
        let (group, mut missing) = Self::open_events(thread, &EVENTS, support);
        let group = group.filter(|group| group.members.iter().any(|(event, _)| event.is_hardware()));
        if group.is_none() {
            // Without counters, the kernel's part is irrelevant.
            missing.retain(|missing| missing.what != KERNEL_PART);
        }
        (group, missing)
    }

    fn open_events(thread: Option<u32>, events: &'static [HardwareEvent], support: PerfSupport) -> Opened {
        let leader = |with_kernel| observe(thread, Group::builder(), with_kernel).build_group();
        let mut missing = Vec::new();
        let (leader, with_kernel) = match leader(true) {
            Ok(leader) => (Ok(leader), true),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                missing.push(MissingCounter { what: KERNEL_PART, why: describe_errno(&error, support) });
                (leader(false), false)
            }
            Err(error) => (Err(error), true),
        };
        let all_missing = |error: &io::Error| {
            let reason = describe_errno(error, support);
            (None, events.iter().map(|event| MissingCounter { what: event.name, why: reason.clone() }).collect())
        };
        let mut leader = match leader {
            Ok(leader) => leader,
            Err(error) => return all_missing(&error),
        };
        let mut members = Vec::new();
        for event in events {
            // Context switches happen in the kernel: the count would stay 0.
            if !event.is_hardware() && !with_kernel {
                continue;
            }
            match leader.add(&observe(thread, (event.event)(), with_kernel)) {
                Ok(counter) => members.push((event, counter)),
                Err(error) => missing.push(MissingCounter { what: event.name, why: describe_errno(&error, support) }),
            }
        }
        match leader.enable() {
            Ok(()) => (Some(Self { leader, members, with_kernel }), missing),
            Err(error) => all_missing(&error),
        }
    }

    /// All counts since the group was opened; `None` if reading fails.
    pub(super) fn read(&mut self) -> Option<HardwareCounts> {
        let data = self.leader.read().ok()?;
        let nanos = |time: Option<std::time::Duration>| u64::try_from(time?.as_nanos()).ok();
        let mut counts = HardwareCounts {
            enabled_ns: nanos(data.time_enabled())?,
            running_ns: nanos(data.time_running())?,
            with_kernel: self.with_kernel,
            ..HardwareCounts::default()
        };
        for (event, counter) in &self.members {
            *(event.count)(&mut counts) = data.get(counter).map(|entry| entry.value());
        }
        Some(counts)
    }
}

/// Counts from `before` to `after`.
pub(super) fn between(before: HardwareCounts, after: HardwareCounts) -> HardwareCounts {
    combine(before, after, |before, after| after.saturating_sub(before))
}

/// Sum of two intervals.
pub(super) fn plus(sum: HardwareCounts, part: HardwareCounts) -> HardwareCounts {
    combine(sum, part, u64::saturating_add)
}

/// A count that is unknown in one of both is unknown in the result.
fn combine(mut one: HardwareCounts, mut other: HardwareCounts, with: fn(u64, u64) -> u64) -> HardwareCounts {
    let mut result = HardwareCounts {
        enabled_ns: with(one.enabled_ns, other.enabled_ns),
        running_ns: with(one.running_ns, other.running_ns),
        with_kernel: other.with_kernel,
        cycles: None,
        instructions: None,
        l1d_misses: None,
        llc_misses: None,
        dtlb_misses: None,
        context_switches: None,
    };
    for HardwareEvent { count, .. } in &EVENTS {
        *count(&mut result) = count(&mut one).zip(*count(&mut other)).map(|(one, other)| with(one, other));
    }
    result
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn work() -> u64 {
        (0..2_000_000_u64).fold(1, |sum, i| std::hint::black_box(sum.wrapping_mul(i | 1)))
    }

    #[test]
    fn missing_hardware_counters_have_a_reason() {
        let (group, missing) = CounterGroup::open(None, PerfSupport::here());
        let counts = group.map(|mut group| {
            let before = group.read().unwrap();
            std::hint::black_box(work());
            between(before, group.read().unwrap())
        });
        let counted = |name, count: Option<u64>| match count {
            Some(count) => assert!(count > 0 && counts.unwrap().running_ns > 0, "{name}: {counts:?}"),
            None => assert!(missing.iter().any(|m| m.what == name && !m.why.is_empty()), "{name}: {missing:?}"),
        };
        counted("cycles", counts.and_then(|counts| counts.cycles));
        counted("instructions", counts.and_then(|counts| counts.instructions));
    }

    #[test]
    fn group_counts_between_two_readings() {
        let (group, missing) = CounterGroup::open_events(None, &[CONTEXT_SWITCHES], PerfSupport::here());
        let Some(mut group) = group.filter(|group| group.with_kernel) else {
            assert!(!missing.is_empty());
            return;
        };
        let before = group.read().unwrap();
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let counts = between(before, group.read().unwrap());
        assert!(counts.context_switches.unwrap() >= 3, "{counts:?}");
        assert!(counts.running_ns > 0 && counts.running_ns == counts.enabled_ns, "{counts:?}");
    }

    #[test]
    fn missing_thread_has_a_reason_and_no_counters() {
        let (group, missing) = CounterGroup::open(Some(u32::MAX >> 1), PerfSupport::here());
        assert!(group.is_none() && missing.len() >= EVENTS.len(), "{missing:?}");
    }

    #[test]
    fn unknown_part_makes_the_sum_unknown() {
        let known = HardwareCounts { cycles: Some(5), enabled_ns: 10, running_ns: 5, ..HardwareCounts::default() };
        let sum = plus(known, known);
        assert_eq!((sum.cycles, sum.enabled_ns, sum.running_ns), (Some(10), 20, 10));
        assert_eq!(plus(known, HardwareCounts::default()).cycles, None);
        assert_eq!(between(known, sum), known);
    }
}
