//! What the guest counted in a block, as words behind its status word.

use std::sync::atomic::Ordering;

use crate::layout::GUEST_COUNTERS;
use doorbell::region::{RegionError, SharedRegion};

/// Words of counters.
pub const COUNTERS: usize = 13;
/// A counter that the guest cannot see.
const UNKNOWN: u64 = u64::MAX;

/// What the guest counted in a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GuestCounters {
    /// Interrupts of the device in /proc/interrupts.
    pub interrupts: Option<u64>,
    /// Events of the driver's descriptor.
    pub events: Option<u64>,
    /// Times it blocked.
    pub waits: u64,
    /// Messages found after arming, without blocking.
    pub found_after_arm: u64,
    /// Messages found while spinning, before arming.
    pub found_while_spinning: u64,
    /// Waits that the guard ended although the message was there.
    pub wait_timeouts: u64,
    /// Doorbells rung and not seen within a second more.
    pub lost_wakeups: u64,
    /// Doorbells that the guest rang.
    pub rings: u64,
    /// Messages handled; in a storm, those that were seen at all.
    pub operations: u64,
    /// Sequence number of the last message seen.
    pub last_seen: u64,
    /// Messages of a stream whose content was wrong.
    pub mismatches: u64,
    /// Times the guest's thread gave its CPU up (getrusage(2), `ru_nvcsw`).
    pub voluntary_switches: u64,
    /// Nanoseconds for which the guest's thread ran.
    pub cpu_ns: u64,
}

impl GuestCounters {
    /// Writes the counters; the status word that follows makes them visible.
    pub fn publish(&self, region: &SharedRegion) -> Result<(), RegionError> {
        let words = [
            self.interrupts.unwrap_or(UNKNOWN),
            self.events.unwrap_or(UNKNOWN),
            self.waits,
            self.found_after_arm,
            self.found_while_spinning,
            self.wait_timeouts,
            self.lost_wakeups,
            self.rings,
            self.operations,
            self.last_seen,
            self.mismatches,
            self.voluntary_switches,
            self.cpu_ns,
        ];
        for (i, word) in words.into_iter().enumerate() {
            region.word(GUEST_COUNTERS + 8 * i)?.store(word, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Reads the counters, after the status word said DONE.
    pub fn read(region: &SharedRegion) -> Result<Self, RegionError> {
        let mut words = [0; COUNTERS];
        for (i, word) in words.iter_mut().enumerate() {
            *word = region.word(GUEST_COUNTERS + 8 * i)?.load(Ordering::Relaxed);
        }
        let known = |word| (word != UNKNOWN).then_some(word);
        let [
            interrupts,
            events,
            waits,
            found_after_arm,
            found_while_spinning,
            wait_timeouts,
            lost_wakeups,
            rings,
            rest @ ..,
        ] = words;
        let [operations, last_seen, mismatches, voluntary_switches, cpu_ns] = rest;
        Ok(Self {
            interrupts: known(interrupts),
            events: known(events),
            waits,
            found_after_arm,
            found_while_spinning,
            wait_timeouts,
            lost_wakeups,
            rings,
            operations,
            last_seen,
            mismatches,
            voluntary_switches,
            cpu_ns,
        })
    }
}
