//! Whether the guest does its part, or is broken on purpose in one way. A sound guest's choices are made by the compiler:
//! nothing of this is left on its measured path.

use std::thread::sleep;
use std::time::Duration;

use bench_protocol::control::Flaw;
use doorbell::tsc::ticks;

/// After how many messages a flaw shows that shows once.
pub(super) const ONCE_AFTER: u64 = 20;
/// The message of a block before which a guest stands still: behind any warm-up.
const STALLS_AT: u64 = 300;
/// How long a guest that stands still does so.
const STALL: Duration = Duration::from_millis(200);
/// How far a wrong stamp is off, and how far a drifting clock moves, in ticks: a millisecond and a tenth of one, where the
/// counter has 4 GHz.
const WRONG_BY: u64 = 4_000_000;
const DRIFT_BY: u64 = 400_000;

/// How far a drifting clock is off in the block of this epoch.
///
/// The host runs a handshake, then the measured block, then a handshake again, each as a block of its own. The two
/// handshakes are therefore two epochs apart, and must differ: a clock that moved in every second epoch would pass.
fn drift(epoch: u64) -> u64 {
    epoch % 3 * DRIFT_BY
}

/// See the module.
pub(super) trait FaultPolicy: Copy {
    /// The flaw that it has.
    fn fault(self) -> Option<Flaw>;

    /// Whether it has this flaw, in this operation of the block if the flaw shows once.
    #[inline]
    fn fires_at(self, flaw: Flaw, nth: u64) -> bool {
        self.fault() == Some(flaw) && nth == ONCE_AFTER
    }

    /// Whether it always has this flaw.
    #[inline]
    fn is_active(self, flaw: Flaw) -> bool {
        self.fault() == Some(flaw)
    }

    /// A stamp of an answer, as it is reported.
    #[inline]
    fn stamp(self) -> u64 {
        if self.is_active(Flaw::WrongStamp) { ticks() + WRONG_BY } else { ticks() }
    }

    /// A stamp of a handshake in the block of this epoch.
    #[inline]
    fn clock(self, epoch: u64) -> u64 {
        if self.is_active(Flaw::DriftingClock) { ticks() + drift(epoch) } else { ticks() }
    }

    /// Stands still where it is to.
    #[inline]
    fn stall(self, nth: u64) {
        if self.fault() == Some(Flaw::Stall) && nth == STALLS_AT {
            sleep(STALL);
        }
    }
}

/// A guest that does its part.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoFault;

impl FaultPolicy for NoFault {
    #[inline]
    fn fault(self) -> Option<Flaw> {
        None
    }
}

/// A guest that is broken in one way.
#[derive(Debug, Clone, Copy)]
pub(super) struct InjectFault(pub(super) Flaw);

impl FaultPolicy for InjectFault {
    fn fault(self) -> Option<Flaw> {
        Some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_differs_between_the_handshakes_of_a_block() {
        for before in 0..100 {
            let (block, after) = (before + 1, before + 2);
            assert_ne!(drift(before), drift(after), "handshakes in epochs {before} and {after}");
            assert_ne!(drift(before), drift(block));
        }
    }

    #[test]
    fn only_a_drifting_clock_is_off() {
        let epoch = 2;
        let start = ticks();
        assert!(InjectFault(Flaw::DriftingClock).clock(epoch) - start >= 2 * DRIFT_BY);
        // Less than the drift: nothing was added.
        assert!(NoFault.clock(epoch) < ticks() + DRIFT_BY);
    }
}
