//! Hardware counters of a thread, in one perf group: all of them count the same instructions.

use std::io;

use bench_model::thread_usage::HardwareCounts;
use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Hardware, Software};
use perf_event::{Builder, Counter, Group};

use super::perf_errors::{PerfSupport, describe_errno};

/// A counted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HardwareEvent {
    Cycles,
    Instructions,
    L1dMisses,
    LlcMisses,
    DtlbMisses,
    ContextSwitches,
}

impl HardwareEvent {
    /// By priority: if the processor has too few counters, the first events get them.
    const ALL: [Self; 6] =
        [Self::Cycles, Self::Instructions, Self::LlcMisses, Self::L1dMisses, Self::DtlbMisses, Self::ContextSwitches];

    fn name(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::Instructions => "instructions",
            Self::L1dMisses => "L1d misses",
            Self::LlcMisses => "LLC misses",
            Self::DtlbMisses => "dTLB misses",
            Self::ContextSwitches => "context switches",
        }
    }

    fn is_hardware(self) -> bool {
        self != Self::ContextSwitches
    }

    fn event(self) -> Builder<'static> {
        let loads = |which| Builder::new(Cache { which, operation: CacheOp::READ, result: CacheResult::MISS });
        match self {
            Self::Cycles => Builder::new(Hardware::CPU_CYCLES),
            Self::Instructions => Builder::new(Hardware::INSTRUCTIONS),
            Self::L1dMisses => loads(CacheId::L1D),
            Self::LlcMisses => loads(CacheId::LL),
            Self::DtlbMisses => loads(CacheId::DTLB),
            Self::ContextSwitches => Builder::new(Software::CONTEXT_SWITCHES),
        }
    }

    fn of(self, counts: &mut HardwareCounts) -> &mut Option<u64> {
        match self {
            Self::Cycles => &mut counts.cycles,
            Self::Instructions => &mut counts.instructions,
            Self::L1dMisses => &mut counts.l1d_misses,
            Self::LlcMisses => &mut counts.llc_misses,
            Self::DtlbMisses => &mut counts.dtlb_misses,
            Self::ContextSwitches => &mut counts.context_switches,
        }
    }
}

/// The thread to count.
#[derive(Debug, Clone, Copy)]
pub(super) enum CounterTarget {
    /// The calling thread.
    Own,
    /// Another thread, by its id.
    Other(u32),
}

impl CounterTarget {
    fn observe(self, mut event: Builder<'static>, with_kernel: bool) -> Builder<'static> {
        event.exclude_kernel(!with_kernel);
        match self {
            Self::Own => event.observe_self(),
            Self::Other(tid) => event.observe_pid(tid.cast_signed()),
        };
        event
    }
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
    members: Vec<(HardwareEvent, Counter)>,
    with_kernel: bool,
}

impl CounterGroup {
    /// Opens every available counter. Without hardware counters there is no group: context switches have another
    /// source, and a group slows down each of them.
    pub(super) fn open(thread: CounterTarget, support: PerfSupport) -> Opened {
        let (group, mut missing) = Self::open_kinds(thread, &HardwareEvent::ALL, support);
        let group = group.filter(|group| group.members.iter().any(|(kind, _)| kind.is_hardware()));
        if group.is_none() {
            // Without counters, the kernel's part is irrelevant.
            missing.retain(|missing| missing.what != KERNEL_PART);
        }
        (group, missing)
    }

    fn open_kinds(thread: CounterTarget, kinds: &[HardwareEvent], support: PerfSupport) -> Opened {
        let leader = |with_kernel| thread.observe(Group::builder(), with_kernel).build_group();
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
            (None, kinds.iter().map(|kind| MissingCounter { what: kind.name(), why: reason.clone() }).collect())
        };
        let mut leader = match leader {
            Ok(leader) => leader,
            Err(error) => return all_missing(&error),
        };
        let mut members = Vec::new();
        for kind in kinds {
            // Context switches happen in the kernel: the count would stay 0.
            if *kind == HardwareEvent::ContextSwitches && !with_kernel {
                continue;
            }
            match leader.add(&thread.observe(kind.event(), with_kernel)) {
                Ok(counter) => members.push((*kind, counter)),
                Err(error) => missing.push(MissingCounter { what: kind.name(), why: describe_errno(&error, support) }),
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
        for (kind, counter) in &self.members {
            *kind.of(&mut counts) = data.get(counter).map(|entry| entry.value());
        }
        Some(counts)
    }
}

/// Counts from `before` to `after`.
pub(super) fn between(before: &HardwareCounts, after: &HardwareCounts) -> HardwareCounts {
    combine(before, after, |before, after| after.saturating_sub(before))
}

/// Sum of two intervals.
pub(super) fn plus(sum: &HardwareCounts, part: &HardwareCounts) -> HardwareCounts {
    combine(sum, part, u64::saturating_add)
}

fn combine(one: &HardwareCounts, other: &HardwareCounts, with: fn(u64, u64) -> u64) -> HardwareCounts {
    let both = |one: Option<u64>, other: Option<u64>| Some(with(one?, other?));
    HardwareCounts {
        cycles: both(one.cycles, other.cycles),
        instructions: both(one.instructions, other.instructions),
        l1d_misses: both(one.l1d_misses, other.l1d_misses),
        llc_misses: both(one.llc_misses, other.llc_misses),
        dtlb_misses: both(one.dtlb_misses, other.dtlb_misses),
        context_switches: both(one.context_switches, other.context_switches),
        enabled_ns: with(one.enabled_ns, other.enabled_ns),
        running_ns: with(one.running_ns, other.running_ns),
        with_kernel: other.with_kernel,
    }
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
        let (group, missing) = CounterGroup::open(CounterTarget::Own, PerfSupport::here());
        let counts = group.map(|mut group| {
            let before = group.read().unwrap();
            std::hint::black_box(work());
            between(&before, &group.read().unwrap())
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
        let (group, missing) =
            CounterGroup::open_kinds(CounterTarget::Own, &[HardwareEvent::ContextSwitches], PerfSupport::here());
        let Some(mut group) = group.filter(|group| group.with_kernel) else {
            assert!(!missing.is_empty());
            return;
        };
        let before = group.read().unwrap();
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let counts = between(&before, &group.read().unwrap());
        assert!(counts.context_switches.unwrap() >= 3, "{counts:?}");
        assert!(counts.running_ns > 0 && counts.running_ns == counts.enabled_ns, "{counts:?}");
    }

    #[test]
    fn missing_thread_has_a_reason_and_no_counters() {
        let (group, missing) = CounterGroup::open(CounterTarget::Other(u32::MAX >> 1), PerfSupport::here());
        assert!(group.is_none() && missing.len() >= HardwareEvent::ALL.len(), "{missing:?}");
    }

    #[test]
    fn unknown_part_makes_the_sum_unknown() {
        let known = HardwareCounts { cycles: Some(5), enabled_ns: 10, running_ns: 5, ..HardwareCounts::default() };
        let sum = plus(&known, &known);
        assert_eq!((sum.cycles, sum.enabled_ns, sum.running_ns), (Some(10), 20, 10));
        assert_eq!(plus(&known, &HardwareCounts::default()).cycles, None);
        assert_eq!(between(&known, &sum), known);
    }
}
