//! The guest's counters of a block.

use doorbell::region::{RegionError, SharedRegion};

use crate::memory_map::{GUEST_COUNTERS, LINE_WORDS};
use crate::words::{load, store, word_struct};

word_struct! {
    /// The guest's counters of a block.
    #[derive(Default)]
    pub struct GuestCounters {
        /// Interrupts of the device in /proc/interrupts.
        pub interrupts: Option<u64>,
        /// Events that the driver reported.
        pub events: Option<u64>,
        /// Messages for which the guest blocked.
        pub waits: u64,
        /// Messages found after arming, without blocking.
        pub found_after_arm: u64,
        /// Messages found while spinning, before arming.
        pub found_while_spinning: u64,
        /// Waits that ended by timeout although the message was there.
        pub wait_timeouts: u64,
        /// Doorbells that were rung and did not arrive within one more second.
        pub lost_wakeups: u64,
        /// Doorbells that the guest rang.
        pub rings: u64,
        /// Messages handled; in a storm, messages received.
        pub operations: u64,
        /// Sequence number of the last message.
        pub last_seen: u64,
        /// Messages of a stream with wrong content.
        pub mismatches: u64,
        /// Voluntary context switches of the guest's thread (getrusage(2), `ru_nvcsw`).
        pub voluntary_switches: u64,
        /// CPU time of the guest's thread in nanoseconds.
        pub cpu_ns: u64,
    }
}

const _: () = assert!(GuestCounters::WORDS <= LINE_WORDS);

impl GuestCounters {
    /// Writes the counters. The status word that follows publishes them.
    pub fn publish(&self, region: &SharedRegion) -> Result<(), RegionError> {
        store(region, GUEST_COUNTERS, &self.to_words())
    }

    /// Reads the counters, after the status DONE.
    pub fn read(region: &SharedRegion) -> Result<Self, RegionError> {
        Ok(Self::from_words(load(region, GUEST_COUNTERS)?).expect("every word is a valid counter"))
    }
}
