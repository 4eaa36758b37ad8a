//! Fault injection in the guest. Without a fault the compiler removes every check from the measured path.

use std::thread::sleep;
use std::time::Duration;

use bench_model::fault::{FIRES_AT, STALLS_AT};
use bench_protocol::control::Fault;
use doorbell::tsc::tsc_now;

/// Duration of the stall.
const STALL: Duration = Duration::from_millis(200);
/// Error of a wrong stamp and step of a drifting clock, in ticks: 1 ms and 0.1 ms with a counter of 4 GHz.
const WRONG_BY: u64 = 4_000_000;
const DRIFT_BY: u64 = 400_000;

/// Error of a drifting clock in the block of this epoch.
///
/// The host runs a handshake, the measured block and another handshake, each as a block. The handshakes are two epochs
/// apart and must differ: an error that alternates with each epoch would pass the self-check.
fn drift(epoch: u64) -> u64 {
    epoch % 3 * DRIFT_BY
}

/// The fault of a block, if any.
pub(super) trait FaultPolicy: Copy {
    /// The injected fault.
    fn fault(self) -> Option<Fault>;

    /// Whether this one-shot fault fires at the block's `nth` message.
    #[inline]
    fn fires_at(self, fault: Fault, nth: u64) -> bool {
        self.fault() == Some(fault) && nth == FIRES_AT
    }

    /// Whether this fault is injected.
    #[inline]
    fn is_active(self, fault: Fault) -> bool {
        self.fault() == Some(fault)
    }

    /// The time stamp of an acknowledgement.
    #[inline]
    fn stamp(self) -> u64 {
        if self.is_active(Fault::WrongStamp) { tsc_now() + WRONG_BY } else { tsc_now() }
    }

    /// The time stamp of a clock handshake in the block of this epoch.
    #[inline]
    fn clock(self, epoch: u64) -> u64 {
        if self.is_active(Fault::DriftingClock) { tsc_now() + drift(epoch) } else { tsc_now() }
    }

    /// Sleeps before one message, if the fault is injected.
    #[inline]
    fn stall(self, nth: u64) {
        if self.fault() == Some(Fault::Stall) && nth == STALLS_AT {
            sleep(STALL);
        }
    }
}

/// No fault: every method is constant.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoFault;

impl FaultPolicy for NoFault {
    #[inline]
    fn fault(self) -> Option<Fault> {
        None
    }
}

/// One injected fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct InjectFault(pub(super) Fault);

impl FaultPolicy for InjectFault {
    fn fault(self) -> Option<Fault> {
        Some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_differs_between_handshakes_of_a_block() {
        for before in 0..100 {
            let (block, after) = (before + 1, before + 2);
            assert_ne!(drift(before), drift(after), "handshakes in epochs {before} and {after}");
            assert_ne!(drift(before), drift(block));
        }
    }

    #[test]
    fn only_drifting_clock_changes_stamps() {
        let epoch = 2;
        let start = tsc_now();
        assert!(InjectFault(Fault::DriftingClock).clock(epoch) - start >= 2 * DRIFT_BY);
        // No drift was added.
        assert!(NoFault.clock(epoch) < tsc_now() + DRIFT_BY);
    }
}
