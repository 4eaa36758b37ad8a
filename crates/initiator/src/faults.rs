//! Fault injection on the host: verifies that self-checks catch a broken host.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bench_model::{Block, Fault, WaitMode};
use doorbell::wait::{WaitCounts, WaitError, Waiter};

use super::eventfd::ring;

/// Gap between two doorbells that must not coalesce, even if the guest's vCPU is preempted.
const NO_COALESCING: Duration = Duration::from_millis(60);
/// Extra time of each wait of a [`SlowWaiter`].
const EXTRA_WAIT: Duration = Duration::from_micros(50);

/// The fault of the run, if any. Clones share it: a one-shot fault fires once.
#[derive(Debug, Clone)]
pub(super) struct FaultPolicy(pub(super) Rc<Cell<Option<Fault>>>);

impl FaultPolicy {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        Self(Rc::new(Cell::new(fault)))
    }

    /// The fault, unless it has fired.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.0.get()
    }

    /// Whether this fault is injected.
    pub(super) fn is_active(&self, fault: Fault) -> bool {
        self.fault() == Some(fault)
    }

    /// Whether this one-shot fault fires now.
    pub(super) fn fires(&self, fault: Fault) -> bool {
        let fires = self.is_active(fault);
        if fires {
            self.0.set(None);
        }
        fires
    }

    /// Whether the fault drops or adds a doorbell of this block. Only blocking round trips show it.
    pub(super) fn concerns_doorbell_of(&self, block: &Block) -> bool {
        [block.host_wait, block.guest_wait] == [WaitMode::Irq; 2]
            && block.workload.acknowledges_each()
            && matches!(self.fault(), Some(Fault::DropDoorbell | Fault::UncountedDoorbell))
    }
}

/// Handles the doorbell that the fault concerns: drops it, or rings it twice.
#[cold]
pub(super) fn ring_with_fault(eventfd: &OwnedFd, fault: &FaultPolicy) -> io::Result<()> {
    if fault.0.take() == Some(Fault::UncountedDoorbell) {
        ring(eventfd)?;
        std::thread::sleep(NO_COALESCING);
        ring(eventfd)?;
        std::thread::sleep(NO_COALESCING);
    }
    Ok(())
}

/// Adds time to each wait.
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
        while start.elapsed() < EXTRA_WAIT {
            std::hint::spin_loop();
        }
        found
    }

    fn counts(&self) -> WaitCounts {
        self.0.counts()
    }
}
