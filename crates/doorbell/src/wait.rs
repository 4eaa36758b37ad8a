//! The ways to wait for the other side, and the one way to wake it.
//!
//! A receiver that is about to block says so in its *armed* word; a sender rings only who is armed. The order
//!
//! ```text
//! receiver                       sender
//! arm                            publish the message
//! full fence                     full fence
//! look at the message again      take the armed word (swap to 0)
//! block                          ring, if it was armed
//! ```
//!
//! makes it impossible that the sender misses the arming *and* the receiver misses the message: of two threads that
//! each write and then, behind a full fence, read what the other writes, at least one sees the other's write.
//! `tests/wait_model.rs` lets loom try every interleaving of one message and those of two messages with few preemptions,
//! and shows that a wake-up is lost without the fence.
//!
//! The sender *takes* the armed word instead of reading it, so that both sides agree on whether a doorbell is on its
//! way: one arming gives at most one doorbell, and a receiver that finds the message without blocking knows whether it
//! has an event left to collect. Hence rings = events, exactly, in every closed loop.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::deadline::scaled;
use crate::tsc::ticks;
pub use crate::word::Word;

/// How long a doorbell that was rung may take before it counts as lost. A busy machine stalls for tens of
/// milliseconds; a lost interrupt never comes.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// Looks between two calls of `idle` while polling: rare enough to cost nothing, often enough to notice a deadline.
const LOOKS_PER_IDLE: u32 = 1 << 14;
/// Looks between two pause hints. On real processors a pause frees the sibling thread, which a long spin owes it; under
/// emulation it leaves the translated code, which costs half as much as a whole round trip.
const LOOKS_PER_PAUSE: u32 = 64;

/// Says that the caller is about to block. A look at the message must follow.
#[inline]
fn arm<W: Word>(armed: &W) {
    armed.store(1, Ordering::Relaxed);
    // The arming must be visible before the look that follows is performed.
    W::fence(Ordering::SeqCst);
}

/// Takes the armed word: whether the receiver had armed and nobody had taken it. The message must have been published.
#[inline]
fn take<W: Word>(armed: &W) -> bool {
    // The message must be visible before the armed word is read.
    W::fence(Ordering::SeqCst);
    // A receiver that still spins has not armed: then its line is only read, and stays in both sides' caches.
    armed.load(Ordering::Relaxed) != 0 && armed.swap(0, Ordering::AcqRel) != 0
}

/// What ended a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woke {
    /// So many events since the last time.
    Events(u64),
    /// No event; the source's guard let the caller look around.
    Guard,
}

/// Something that blocks until a doorbell arrives: an eventfd on the host, `/dev/uioN` or an eventfd in the guest.
pub trait EventSource {
    /// Blocks until there are events, or for as long as the source's guard allows.
    fn block(&mut self) -> io::Result<Woke>;

    /// The time stamp counter when the last event's interrupt handler was entered, where the driver says so.
    fn entered(&self) -> Option<u64> {
        None
    }
}

impl<S: EventSource + ?Sized> EventSource for &mut S {
    fn block(&mut self) -> io::Result<Woke> {
        (**self).block()
    }
    fn entered(&self) -> Option<u64> {
        (**self).entered()
    }
}

/// Why a wait ended without its message.
#[derive(Debug, thiserror::Error)]
pub enum WaitError<E> {
    /// The event source failed; with UIO this is how a removed device shows.
    #[error("waiting for a doorbell failed")]
    Source(#[source] io::Error),
    /// `idle` called it off.
    #[error(transparent)]
    Abandoned(E),
}

/// How often a waiter did what. Never reset: take differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitCounts {
    /// Messages for which it blocked, or collected an event that was on its way.
    pub waits: u64,
    /// Events collected.
    pub events: u64,
    /// Messages found by the look behind the fence, before the sender could take the armed word: no event belongs to
    /// them.
    pub found_armed: u64,
    /// Messages found while spinning, before arming.
    pub found_spinning: u64,
    /// Times the guard ended a wait although the message was there.
    pub deadline_wakeups: u64,
    /// Doorbells that were rung and did not come within a second more.
    pub lost_wakeups: u64,
}

/// A way to wait.
pub trait Waiter {
    /// Announces the next wait ahead of time: to be called before the other side is told anything that lets it send.
    /// A receiver that always blocks is then always rung, however quick the other side is.
    fn prepare(&mut self) {}

    /// Waits until `look` finds something. `idle` is called now and then while there is nothing, and may call it off.
    fn wait<T, E>(
        &mut self,
        look: impl FnMut() -> Option<T>,
        idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>>;

    /// What happened so far.
    fn counts(&self) -> WaitCounts;

    /// See [`EventSource::entered`]; `None` if the last wait needed no event.
    fn entered(&self) -> Option<u64> {
        None
    }
}

/// Spins on the message.
#[derive(Debug, Default)]
pub struct Poll;

impl Waiter for Poll {
    #[inline]
    fn wait<T, E>(
        &mut self,
        mut look: impl FnMut() -> Option<T>,
        mut idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        let mut looks = 0_u32;
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            // One counter and no inner loop, which the compiler would unroll until it fills a page.
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_PER_PAUSE) {
                std::hint::spin_loop();
                if looks.is_multiple_of(LOOKS_PER_IDLE) {
                    idle().map_err(WaitError::Abandoned)?;
                }
            }
        }
    }

    fn counts(&self) -> WaitCounts {
        WaitCounts::default()
    }
}

/// Blocks until a doorbell.
#[derive(Debug)]
pub struct Irq<'a, W, S> {
    armed: &'a W,
    prepared: bool,
    /// Whether the last wait took an event.
    by_event: bool,
    source: S,
    counts: WaitCounts,
}

impl<'a, W: Word, S: EventSource> Irq<'a, W, S> {
    /// Waits on `source`, announcing it in `armed`, which only this receiver sets.
    pub fn new(armed: &'a W, source: S) -> Self {
        armed.store(0, Ordering::Release);
        Self { armed, prepared: false, by_event: false, source, counts: WaitCounts::default() }
    }

    /// Collects a doorbell that the sender has announced by taking the armed word. One that does not come is counted
    /// as lost and as collected.
    fn collect<E>(&mut self) -> Result<u64, WaitError<E>> {
        let start = Instant::now();
        loop {
            match self.source.block().map_err(WaitError::Source)? {
                Woke::Events(n) => {
                    self.counts.events += n;
                    return Ok(n);
                }
                Woke::Guard if start.elapsed() >= scaled(LOST_AFTER) => {
                    self.counts.lost_wakeups += 1;
                    return Ok(1);
                }
                Woke::Guard => {}
            }
        }
    }
}

impl<W: Word, S: EventSource> Waiter for Irq<'_, W, S> {
    #[inline]
    fn prepare(&mut self) {
        arm(self.armed);
        self.prepared = true;
    }

    #[inline]
    fn wait<T, E>(
        &mut self,
        mut look: impl FnMut() -> Option<T>,
        mut idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        // Armings that the sender took, and events that came for them.
        let (mut taken, mut events) = (0_u64, 0_u64);
        let mut blocked = false;
        if !std::mem::take(&mut self.prepared) {
            arm(self.armed);
        }
        loop {
            if let Some(found) = look() {
                taken += u64::from(self.armed.swap(0, Ordering::AcqRel) == 0);
                match (blocked, taken) {
                    (true, _) if events == 0 => self.counts.deadline_wakeups += 1,
                    (true, _) => {}
                    (false, 0) => self.counts.found_armed += 1,
                    (false, _) => self.counts.waits += 1,
                }
                while events < taken {
                    events += self.collect()?;
                }
                self.by_event = events > 0;
                return Ok(found);
            }
            if !blocked {
                self.counts.waits += 1;
                blocked = true;
            }
            match self.source.block().map_err(WaitError::Source)? {
                Woke::Events(n) => {
                    self.counts.events += n;
                    events += n;
                    // An event without the message is the doorbell of the message before, whose sender was late to take
                    // the armed word and took this one: arm again, or the message to come would ring nobody.
                    taken += u64::from(self.armed.swap(1, Ordering::AcqRel) == 0);
                    W::fence(Ordering::SeqCst);
                }
                Woke::Guard => idle().map_err(|e| {
                    self.armed.swap(0, Ordering::AcqRel);
                    WaitError::Abandoned(e)
                })?,
            }
        }
    }

    fn counts(&self) -> WaitCounts {
        self.counts
    }

    fn entered(&self) -> Option<u64> {
        self.by_event.then(|| self.source.entered()).flatten()
    }
}

/// Spins for a while, and then blocks: cheap for messages that come soon, idle for those that do not.
#[derive(Debug)]
pub struct Hybrid<'a, W, S> {
    /// How long it spins, in ticks of the time stamp counter.
    budget: u64,
    found_spinning: u64,
    irq: Irq<'a, W, S>,
}

impl<'a, W: Word, S: EventSource> Hybrid<'a, W, S> {
    /// Spins for `budget` ticks before it blocks as [`Irq`] does.
    pub fn new(armed: &'a W, source: S, budget: u64) -> Self {
        Self { budget, found_spinning: 0, irq: Irq::new(armed, source) }
    }
}

impl<W: Word, S: EventSource> Waiter for Hybrid<'_, W, S> {
    #[inline]
    fn wait<T, E>(
        &mut self,
        mut look: impl FnMut() -> Option<T>,
        idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        let start = ticks();
        let mut looks = 0_u32;
        while self.budget > 0 {
            if let Some(found) = look() {
                self.found_spinning += 1;
                self.irq.by_event = false;
                return Ok(found);
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_PER_PAUSE) {
                if ticks().wrapping_sub(start) >= self.budget {
                    break;
                }
                std::hint::spin_loop();
            }
        }
        self.irq.wait(look, idle)
    }

    fn counts(&self) -> WaitCounts {
        WaitCounts { found_spinning: self.found_spinning, ..self.irq.counts() }
    }

    fn entered(&self) -> Option<u64> {
        self.irq.entered()
    }
}

/// How a sender tells a receiver that there is a message.
pub trait Notifier {
    /// Whether it ever rings; what only concerns ringing can be left out where it does not.
    const RINGS: bool;
    /// To be called right after the message has been published.
    fn notify(&mut self) -> io::Result<()>;
    /// Doorbells rung so far.
    fn rings(&self) -> u64;
}

/// For a receiver that polls: nothing to do.
#[derive(Debug, Default)]
pub struct Silent;

impl Notifier for Silent {
    const RINGS: bool = false;

    #[inline]
    fn notify(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn rings(&self) -> u64 {
        0
    }
}

/// For a receiver that blocks: rings it if it is armed.
#[derive(Debug)]
pub struct Doorbell<'a, W, F> {
    armed: &'a W,
    ring: F,
    rings: u64,
}

impl<'a, W: Word, F: FnMut() -> io::Result<()>> Doorbell<'a, W, F> {
    /// Rings by calling `ring` when the receiver's `armed` word is set.
    pub fn new(armed: &'a W, ring: F) -> Self {
        Self { armed, ring, rings: 0 }
    }
}

impl<W: Word, F: FnMut() -> io::Result<()>> Notifier for Doorbell<'_, W, F> {
    const RINGS: bool = true;

    #[inline]
    fn notify(&mut self) -> io::Result<()> {
        if take(self.armed) {
            self.rings += 1;
            (self.ring)()?;
        }
        Ok(())
    }
    fn rings(&self) -> u64 {
        self.rings
    }
}
