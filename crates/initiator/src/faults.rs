//! What a host does wrong on purpose, and what it tells a guest to do wrong, so that a run can be seen to notice it.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bench_model::{Block, Fault, WaitMode};
use doorbell::wait::{WaitCounts, WaitError, Waiter};

use super::eventfd::ring;

/// How far doorbells must lie apart so that no two of them become one interrupt, also where the guest's CPU has to wait for
/// its turn on a busy machine.
const APART: Duration = Duration::from_millis(60);
/// What each wait takes besides.
const EXTRA: Duration = Duration::from_micros(50);

/// Another way to wait, and then some: a host that takes its time over each stamp.
pub(super) struct SlowWaiter<W>(pub(super) W);

impl<W: Waiter> Waiter for SlowWaiter<W> {
    fn arm_early(&mut self) {
        self.0.arm_early();
    }

    fn wait<T, E>(
        &mut self,
        look: impl FnMut() -> Option<T>,
        idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        let found = self.0.wait(look, idle);
        let start = Instant::now();
        while start.elapsed() < EXTRA {
            std::hint::spin_loop();
        }
        found
    }

    fn counts(&self) -> WaitCounts {
        self.0.counts()
    }
}

/// Whether a fault is about a doorbell of this block. Where doorbells are not answered one by one, or somebody does not
/// block, one that is missing or too many is not missed.
pub(super) fn is_doorbell_fault_for(block: &Block, fault: Option<Fault>) -> bool {
    let all_block = [block.host_wait, block.guest_wait] == [WaitMode::Irq; 2];
    all_block
        && block.workload.is_closed_loop()
        && matches!(fault, Some(Fault::DropDoorbell | Fault::UncountedDoorbell))
}

/// The one doorbell that a fault is about: not rung at all, or rung once more than it is counted.
#[cold]
pub(super) fn ring_with_fault(eventfd: &OwnedFd, fault: &Cell<Option<Fault>>) -> io::Result<()> {
    if fault.take() == Some(Fault::UncountedDoorbell) {
        ring(eventfd)?;
        std::thread::sleep(APART);
        ring(eventfd)?;
        std::thread::sleep(APART);
    }
    Ok(())
}
