//! The benchmark's other half: waits for a host, says hello, and handles block after block as the host commands.
//!
//! Between blocks nothing rings and nothing is measured, so the guest looks at the command word a few thousand times a
//! second and sleeps in between. Within a block it waits as the block says, and does what `messages` says.

use std::io;
use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::Duration;

use proto::ack::Tagged;
use proto::control::{Announcement, DONE, FAILED, FINISH, READY, RUN, WaitKind, commanded, report};
use proto::counters::GuestCounters;
use proto::hello::{Hello, say};
use proto::layout::{GUEST_ARMED, HOST_ARMED, Layout, LayoutError};
use proto::region::{RegionError, SharedRegion};
use proto::wait::{Doorbell, Hybrid, Irq, Notifier, Poll, Silent, WaitCounts, Waiter};
use proto::wire::{PeerId, Vector};

use crate::device;
use crate::driver::{Driver, DriverError, Interrupt};
use crate::guard::Guard;
use crate::interrupts;
use crate::memory_type::MemoryType;
use crate::probe;

mod messages;

use messages::{Broken, Messages};

/// Between two looks at the memory while no host is there.
const HOST_PAUSE: Duration = Duration::from_millis(5);
/// Between two looks at the command word.
const COMMAND_PAUSE: Duration = Duration::from_micros(200);

/// Why the responder gives up. What goes wrong within a block is told to the host instead.
#[derive(Debug, thiserror::Error)]
pub enum RespondError {
    /// The layout in the memory cannot be used.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The memory is smaller than the layout's fixed part.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The driver failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// Answers hosts, one run after the other; returns after the first if `once`.
pub fn respond(driver: &dyn Driver, once: bool) -> Result<(), RespondError> {
    loop {
        let layout = await_host(driver.memory())?;
        let run = Run::new(driver, layout)?;
        run.serve()?;
        if once {
            return Ok(());
        }
        while Layout::read(driver.memory())?.is_some_and(|now| now.nonce == layout.nonce) {
            sleep(HOST_PAUSE);
        }
    }
}

fn await_host(memory: &SharedRegion) -> Result<Layout, LayoutError> {
    loop {
        if let Some(layout) = Layout::read(memory)? {
            return Ok(layout);
        }
        sleep(HOST_PAUSE);
    }
}

/// One host's run, from hello to FINISH.
struct Run<'d> {
    driver: &'d dyn Driver,
    memory: &'d SharedRegion,
    layout: Layout,
    /// The events of vector 0, or why there are none.
    interrupt: Result<Box<dyn Interrupt>, DriverError>,
}

impl<'d> Run<'d> {
    fn new(driver: &'d dyn Driver, layout: Layout) -> Result<Self, RespondError> {
        // Opened before hello: a doorbell that comes before the open is lost.
        let interrupt = driver.interrupt(Vector(0));
        let run = Self { driver, memory: driver.memory(), layout, interrupt };
        let missing = run.interrupt.as_ref().err().map(ToString::to_string);
        // Nobody uses the slots before the hello, so both directions can be measured.
        let memory_type = MemoryType::measure_exclusively(run.memory)?;
        let text = probe::facts(driver, missing.as_deref(), Some(memory_type)).to_string();
        let peer = device::own_id(driver.registers())?.0;
        Hello { peer, text }.publish(run.memory, layout.nonce)?;
        Ok(run)
    }

    /// Obeys until FINISH, or until another run's header lies in the memory.
    fn serve(mut self) -> Result<(), RespondError> {
        let mut last = 0;
        loop {
            let command = commanded(self.memory)?;
            match (command.state, command.seq > last) {
                (FINISH, _) => return Ok(()),
                (RUN, true) => {
                    last = command.seq;
                    self.block(command.seq)?;
                }
                _ if self.is_over()? => return Ok(()),
                _ => sleep(COMMAND_PAUSE),
            }
        }
    }

    fn is_over(&self) -> Result<bool, RespondError> {
        Ok(Layout::read(self.memory)?.is_none_or(|now| now.nonce != self.layout.nonce))
    }

    fn block(&mut self, epoch: u64) -> Result<(), RespondError> {
        let outcome = match Announcement::read(self.memory)? {
            Some(block) => self.run_block(epoch, block),
            None => Err(Broken::Nonsense),
        };
        match outcome {
            Ok(counters) => {
                counters.publish(self.memory)?;
                report(self.memory, epoch, DONE)?;
            }
            Err(broken) => {
                say(self.memory, &broken.to_string())?;
                report(self.memory, epoch, FAILED)?;
            }
        }
        Ok(())
    }

    fn run_block(&mut self, epoch: u64, block: Announcement) -> Result<GuestCounters, Broken> {
        let (driver, memory, layout) = (self.driver, self.memory, self.layout);
        let host = PeerId(layout.host_peer);
        let ring = || device::ring(driver.registers(), host, Vector(0)).map_err(io::Error::other);
        let notifier = match block.host_wait {
            WaitKind::Poll => None,
            WaitKind::Irq | WaitKind::Hybrid => Some(Doorbell::new(memory.word(HOST_ARMED)?, ring)),
        };
        let interrupt = self.interrupt.as_mut();
        let line = interrupt.as_ref().ok().map(|i| i.line().to_owned());
        let messages = Messages::new(memory, layout, block)?;
        let idle = || match commanded(memory) {
            Ok(Tagged { seq, state }) if seq == epoch && state == RUN => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        let taken = || line.as_deref().and_then(|line| interrupts::count(line).ok().flatten());

        let mut counters = match block.guest_wait {
            WaitKind::Poll => {
                let before = taken();
                report(memory, epoch, READY)?;
                let (counts, rings, operations) = exchange(messages, Poll, notifier, idle)?;
                counters(counts, rings, operations, before, taken())
            }
            WaitKind::Irq | WaitKind::Hybrid => {
                let interrupt = interrupt.map_err(|error| Broken::Deaf(error.to_string()))?;
                let _guard = Guard::start().map_err(Broken::Wait)?;
                interrupt.drain().map_err(Broken::Wait)?;
                let (armed, source) = (memory.word(GUEST_ARMED)?, &mut **interrupt);
                let before = taken();
                let (counts, rings, operations) = if block.guest_wait == WaitKind::Irq {
                    let waiter = Irq::new(armed, source);
                    report(memory, epoch, READY)?;
                    exchange(messages, waiter, notifier, idle)?
                } else {
                    let waiter = Hybrid::new(armed, source, block.spin_ticks);
                    report(memory, epoch, READY)?;
                    exchange(messages, waiter, notifier, idle)?
                };
                counters(counts, rings, operations, before, taken())
            }
        };
        if line.is_none() {
            counters.events = None;
        }
        Ok(counters)
    }
}

/// Runs a block's messages with the notifier that the host's way to wait calls for.
fn exchange<W: Waiter, N: Notifier>(
    messages: Messages<'_>,
    waiter: W,
    doorbell: Option<N>,
    idle: impl Fn() -> ControlFlow<()>,
) -> Result<(WaitCounts, u64, u64), Broken> {
    match doorbell {
        Some(doorbell) => messages.handle(waiter, doorbell, idle),
        None => messages.handle(waiter, Silent, idle),
    }
}

fn counters(counts: WaitCounts, rings: u64, operations: u64, before: Option<u64>, after: Option<u64>) -> GuestCounters {
    GuestCounters {
        interrupts: before.zip(after).map(|(before, after)| after - before),
        events: Some(counts.events),
        waits: counts.waits,
        found_armed: counts.found_armed,
        found_spinning: counts.found_spinning,
        deadline_wakeups: counts.deadline_wakeups,
        lost_wakeups: counts.lost_wakeups,
        rings,
        operations,
    }
}
