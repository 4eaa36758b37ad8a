//! Wait modes: how a receiver waits for a message. [`arming`](crate::arming) describes the protocol with the sender.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::arming::{AtomicWord, arm};
use crate::deadline::scaled;
use crate::tsc::tsc_now;

/// A doorbell that has not arrived this long after it was rung counts as lost. A busy machine can stall for tens of
/// milliseconds, so the limit is much longer.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// Checks between two calls of `on_idle` while polling: rare enough for a negligible cost, often enough to notice a
/// deadline.
const CHECKS_PER_IDLE: u32 = 1 << 14;
/// Checks between two pause hints. On hardware, a pause leaves execution resources to the sibling hyper-thread. Under
/// emulation it leaves the translated code, which costs half of a round trip.
const CHECKS_PER_PAUSE: u32 = 64;

/// Why a blocking wait returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// The number of events since the last wait.
    Events(u64),
    /// No event before the wait timeout of the source.
    Timeout,
}

/// Something that blocks until a doorbell arrives: an eventfd on the host, `/dev/uioN` or an eventfd in the guest.
pub trait EventSource {
    /// Blocks until there are events or the wait timeout of the source expires.
    fn wait_event(&mut self) -> io::Result<Wakeup>;

    /// The time stamp counter at the entry of the last event's interrupt handler, if the driver records it.
    fn irq_entry_tsc(&self) -> Option<u64> {
        None
    }
}

impl<S: EventSource + ?Sized> EventSource for &mut S {
    fn wait_event(&mut self) -> io::Result<Wakeup> {
        (**self).wait_event()
    }
    fn irq_entry_tsc(&self) -> Option<u64> {
        (**self).irq_entry_tsc()
    }
}

/// Why a wait ended without a message.
#[derive(Debug, thiserror::Error)]
pub enum WaitError<E> {
    /// The event source failed. UIO reports a removed device this way.
    #[error("waiting for a doorbell failed")]
    Source(#[source] io::Error),
    /// `on_idle` ended the wait.
    #[error(transparent)]
    Abandoned(E),
}

/// Counters of a waiter. They are never reset: take differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitCounts {
    /// Messages for which the waiter blocked, or collected an event that was on its way.
    pub waits: u64,
    /// Events collected.
    pub events: u64,
    /// Messages found by the check after the fence, before the sender claimed the armed word. They have no event.
    pub found_after_arm: u64,
    /// Messages found while spinning, before arming.
    pub found_while_spinning: u64,
    /// Waits that ended by timeout although the message was there.
    pub wait_timeouts: u64,
    /// Doorbells that were rung and did not arrive within one more second.
    pub lost_wakeups: u64,
}

/// A wait mode.
pub trait Waiter {
    /// Arms for the next wait before the acknowledgement lets the other side send. A receiver that always blocks is
    /// then always rung, even by a sender that is faster than the return to [`wait`](Self::wait).
    fn arm_early(&mut self) {}

    /// Waits until `try_take` returns a value. Calls `on_idle` periodically until then; its error ends the wait.
    fn wait<T, E>(
        &mut self,
        try_take: impl FnMut() -> Option<T>,
        on_idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>>;

    /// The counters; a waiter that never blocks has none.
    fn counts(&self) -> WaitCounts {
        WaitCounts::default()
    }

    /// See [`EventSource::irq_entry_tsc`]; `None` if the last wait needed no event.
    fn irq_entry_tsc(&self) -> Option<u64> {
        None
    }
}

/// Polls: spins until the message is there.
#[derive(Debug, Default)]
pub struct Poll;

impl Waiter for Poll {
    #[inline]
    fn wait<T, E>(
        &mut self,
        mut try_take: impl FnMut() -> Option<T>,
        mut on_idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        let mut checks = 0_u32;
        loop {
            if let Some(found) = try_take() {
                return Ok(found);
            }
            // One counter and no inner loop: the compiler would unroll an inner loop to the size of a page.
            checks = checks.wrapping_add(1);
            if checks.is_multiple_of(CHECKS_PER_PAUSE) {
                std::hint::spin_loop();
                if checks.is_multiple_of(CHECKS_PER_IDLE) {
                    on_idle().map_err(WaitError::Abandoned)?;
                }
            }
        }
    }
}

/// Blocks until a doorbell arrives.
#[derive(Debug)]
pub struct Irq<'a, W, S> {
    armed: &'a W,
    armed_early: bool,
    /// Whether the last wait consumed an event.
    by_event: bool,
    source: S,
    counts: WaitCounts,
}

impl<'a, W: AtomicWord, S: EventSource> Irq<'a, W, S> {
    /// Waits for events of `source`. Only this receiver sets `armed`.
    pub fn new(armed: &'a W, source: S) -> Self {
        armed.store(0, Ordering::Release);
        Self { armed, armed_early: false, by_event: false, source, counts: WaitCounts::default() }
    }

    /// Collects the doorbell of a sender that has claimed the armed word. A doorbell that does not arrive counts as
    /// lost and as collected.
    fn collect<E>(&mut self) -> Result<u64, WaitError<E>> {
        let start = Instant::now();
        loop {
            match self.source.wait_event().map_err(WaitError::Source)? {
                Wakeup::Events(n) => {
                    self.counts.events += n;
                    return Ok(n);
                }
                Wakeup::Timeout if start.elapsed() >= scaled(LOST_AFTER) => {
                    self.counts.lost_wakeups += 1;
                    return Ok(1);
                }
                Wakeup::Timeout => {}
            }
        }
    }
}

impl<W: AtomicWord, S: EventSource> Waiter for Irq<'_, W, S> {
    #[inline]
    fn arm_early(&mut self) {
        arm(self.armed);
        self.armed_early = true;
    }

    #[inline]
    fn wait<T, E>(
        &mut self,
        mut try_take: impl FnMut() -> Option<T>,
        mut on_idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        // Armed words that the sender claimed, and events that arrived for them.
        let (mut claimed, mut events) = (0_u64, 0_u64);
        let mut blocked = false;
        if !std::mem::take(&mut self.armed_early) {
            arm(self.armed);
        }
        loop {
            if let Some(found) = try_take() {
                claimed += u64::from(self.armed.swap(0, Ordering::AcqRel) == 0);
                match (blocked, claimed) {
                    (true, _) if events == 0 => self.counts.wait_timeouts += 1,
                    (true, _) => {}
                    (false, 0) => self.counts.found_after_arm += 1,
                    (false, _) => self.counts.waits += 1,
                }
                while events < claimed {
                    events += self.collect()?;
                }
                self.by_event = events > 0;
                return Ok(found);
            }
            if !blocked {
                self.counts.waits += 1;
                blocked = true;
            }
            match self.source.wait_event().map_err(WaitError::Source)? {
                Wakeup::Events(n) => {
                    self.counts.events += n;
                    events += n;
                    // An event without its message: the sender of the previous message was late, and claimed the armed
                    // word of this wait. Arm again, or the next message would not ring.
                    claimed += u64::from(self.armed.swap(1, Ordering::AcqRel) == 0);
                    W::fence(Ordering::SeqCst);
                }
                Wakeup::Timeout => on_idle().map_err(|e| {
                    self.armed.swap(0, Ordering::AcqRel);
                    WaitError::Abandoned(e)
                })?,
            }
        }
    }

    fn counts(&self) -> WaitCounts {
        self.counts
    }

    fn irq_entry_tsc(&self) -> Option<u64> {
        self.by_event.then(|| self.source.irq_entry_tsc()).flatten()
    }
}

/// Spins for a limited time, then blocks.
#[derive(Debug)]
pub struct Hybrid<'a, W, S> {
    /// Spin time in ticks of the time stamp counter.
    budget: u64,
    found_while_spinning: u64,
    irq: Irq<'a, W, S>,
}

impl<'a, W: AtomicWord, S: EventSource> Hybrid<'a, W, S> {
    /// Spins for `budget` ticks before it blocks as [`Irq`] does.
    pub fn new(armed: &'a W, source: S, budget: u64) -> Self {
        Self { budget, found_while_spinning: 0, irq: Irq::new(armed, source) }
    }
}

impl<W: AtomicWord, S: EventSource> Waiter for Hybrid<'_, W, S> {
    #[inline]
    fn wait<T, E>(
        &mut self,
        mut try_take: impl FnMut() -> Option<T>,
        on_idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        let start = tsc_now();
        let mut checks = 0_u32;
        while self.budget > 0 {
            if let Some(found) = try_take() {
                self.found_while_spinning += 1;
                self.irq.by_event = false;
                return Ok(found);
            }
            checks = checks.wrapping_add(1);
            if checks.is_multiple_of(CHECKS_PER_PAUSE) {
                if tsc_now().wrapping_sub(start) >= self.budget {
                    break;
                }
                std::hint::spin_loop();
            }
        }
        self.irq.wait(try_take, on_idle)
    }

    fn counts(&self) -> WaitCounts {
        WaitCounts { found_while_spinning: self.found_while_spinning, ..self.irq.counts() }
    }

    fn irq_entry_tsc(&self) -> Option<u64> {
        self.irq.irq_entry_tsc()
    }
}
