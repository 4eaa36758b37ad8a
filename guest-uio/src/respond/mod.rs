//! The benchmark's other half: waits for a host, says hello, and handles block after block as the host commands.
//!
//! Between blocks nothing rings and nothing is measured, so the guest looks at the command word a few thousand times a
//! second and sleeps in between. Within a block it waits as the block says, and does what `messages` says.

use std::io;
use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::Duration;

use proto::ack::Tagged;
use proto::bell::Bell;
use proto::ceiling::{CopySpeeds, HashSpeeds, stamp_ns};
use proto::control::{Announcement, DONE, FAILED, FINISH, Flaw, READY, RUN, WaitKind, Work, commanded, report};
use proto::counters::GuestCounters;
use proto::deadline::scaled;
use proto::dozing::Dozing;
use proto::hello::{Hello, say};
use proto::layout::{GUEST_ARMED, HOST_ARMED, Layout, LayoutError, SLOTS};
use proto::region::{RegionError, SharedRegion};
use proto::wait::{Doorbell, Hybrid, Irq, Notifier, Poll, Silent, WaitCounts, Waiter};
use proto::wire::{PeerId, Vector};

use crate::device;
use crate::driver::{Driver, DriverError, Interrupt};
use crate::guard::Guard;
use crate::interrupts;
use crate::memory_type::MemoryType;
use crate::probe;

mod conduct;
mod messages;
mod thread_cost;
mod traffic;

use conduct::{Conduct, Flawed, ONCE_AFTER, Sound};
use messages::{Broken, Handled, Messages};
use thread_cost::ThreadCost;

/// Between two looks at the memory while no host is there.
const HOST_PAUSE: Duration = Duration::from_millis(5);
/// How long the last doorbells of a storm may be under way.
const SETTLE: Duration = Duration::from_millis(20);
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
    /// Where frames are copied to. One buffer for the whole run, which the peak bandwidth is measured with, too: pages of
    /// their own for each block would let one be faster than another.
    frame: Vec<u8>,
}

impl<'d> Run<'d> {
    fn new(driver: &'d dyn Driver, layout: Layout) -> Result<Self, RespondError> {
        // Opened before hello: a doorbell that comes before the open is lost.
        let interrupt = driver.interrupt(Vector(0));
        // Written to, so that no page is faulted in during a block.
        let frame = vec![1; CopySpeeds::target_bytes(layout.payload_bytes())];
        let run = Self { driver, memory: driver.memory(), layout, interrupt, frame };
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
        if block.work == Work::Ceilings {
            report(self.memory, epoch, READY)?;
            let ceilings = self.ceilings(block.bytes)?;
            say(self.memory, &ceilings)?;
            return Ok(GuestCounters::default());
        }
        match block.flaw {
            None => self.exchange(epoch, block, Sound),
            Some(flaw) => self.exchange(epoch, block, Flawed(flaw)),
        }
    }

    /// Picks the types for both sides' ways to wait and to ring, so that the measured path has no choice to make.
    fn exchange(&mut self, epoch: u64, block: Announcement, conduct: impl Conduct) -> Result<GuestCounters, Broken> {
        let (driver, host) = (self.driver, PeerId(self.layout.host_peer));
        let armed = self.memory.word(HOST_ARMED)?;
        let dropped = if conduct.has(Flaw::DropAnswer) { ONCE_AFTER } else { u64::MAX };
        let mut count = 0;
        let ring = || {
            count += 1;
            if count == dropped {
                return Ok(());
            }
            device::ring(driver.registers(), host, Vector(0)).map_err(io::Error::other)
        };
        match block.host_wait {
            WaitKind::Poll => self.exchange_rung_by(epoch, block, Silent, conduct),
            _ if block.always_ring => self.exchange_rung_by(epoch, block, Bell::new(ring), conduct),
            _ => self.exchange_rung_by(epoch, block, Doorbell::new(armed, ring), conduct),
        }
    }

    fn exchange_rung_by(
        &mut self,
        epoch: u64,
        block: Announcement,
        notifier: impl Notifier,
        conduct: impl Conduct,
    ) -> Result<GuestCounters, Broken> {
        let (memory, layout) = (self.memory, self.layout);
        let interrupt = self.interrupt.as_mut();
        let line = interrupt.as_ref().ok().map(|i| i.line().to_owned());
        let frame = &mut self.frame[..];
        let mut scene = Scene { memory, layout, epoch, block, frame, line, notifier, conduct, before: None };
        if block.guest_wait == WaitKind::Poll {
            let played = if conduct.has(Flaw::Sleepy) { scene.play(&mut Dozing)? } else { scene.play(&mut Poll)? };
            let counters = scene.counters(&played);
            // Without a line there is nobody who could have counted events.
            return Ok(GuestCounters { events: counters.events.filter(|_| scene.line.is_some()), ..counters });
        }
        let interrupt = interrupt.map_err(|error| Broken::Deaf(error.to_string()))?;
        let _guard = Guard::start().map_err(Broken::Wait)?;
        interrupt.drain().map_err(Broken::Wait)?;
        let armed = memory.word(GUEST_ARMED)?;
        let mut played = if block.guest_wait == WaitKind::Irq {
            scene.play(&mut Irq::new(armed, &mut **interrupt))?
        } else {
            scene.play(&mut Hybrid::new(armed, &mut **interrupt, block.spin_ticks))?
        };
        if block.work == Work::Storm || block.always_ring {
            // Doorbells for which nobody waited any more.
            sleep(scaled(SETTLE));
            played.counts.events += interrupt.drain().map_err(Broken::Wait)?;
        }
        Ok(scene.counters(&played))
    }

    /// What this side's memory can do, in words for the host (JSON). Nobody uses the slots meanwhile.
    fn ceilings(&mut self, bytes: u64) -> Result<String, Broken> {
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= self.memory.len());
        let bytes = bytes.ok_or(Broken::Nonsense)?;
        let target = self.frame.len().max(CopySpeeds::target_bytes(bytes));
        self.frame.resize(target, 1);
        let copies = CopySpeeds::measure(self.memory, &self.layout.copy_offsets(bytes), bytes, &mut self.frame)?;
        let hashes = HashSpeeds::measure(self.memory, SLOTS, bytes)?;
        let ceilings = serde_json::json!({
            "heap_to_heap": copies.heap_to_heap,
            "heap_to_region": copies.heap_to_region,
            "region_to_heap": copies.region_to_heap,
            "heap_read": copies.heap_read,
            "region_read": copies.region_read,
            "sha256": hashes.heap,
            "region_sha256": hashes.region,
            "stamp_ns": stamp_ns(),
        });
        Ok(ceilings.to_string())
    }
}

/// A block with everything but its way to wait.
struct Scene<'m, N, C> {
    memory: &'m SharedRegion,
    layout: Layout,
    epoch: u64,
    block: Announcement,
    frame: &'m mut [u8],
    /// How the interrupt is named in /proc/interrupts.
    line: Option<String>,
    notifier: N,
    conduct: C,
    /// Interrupts before the block.
    before: Option<u64>,
}

/// What came of it.
struct Played {
    handled: Handled,
    counts: WaitCounts,
    cost: ThreadCost,
}

impl<N: Notifier, C: Conduct> Scene<'_, N, C> {
    fn interrupts(&self) -> Option<u64> {
        self.line.as_deref().and_then(|line| interrupts::count(line).ok().flatten())
    }

    fn play<W: Waiter>(&mut self, waiter: &mut W) -> Result<Played, Broken> {
        let (memory, epoch, block) = (self.memory, self.epoch, self.block);
        let idle = || match commanded(memory) {
            Ok(Tagged { seq, state }) if seq == epoch && state == RUN => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        self.before = self.interrupts();
        let messages = Messages::new(memory, self.layout, epoch, block, self.frame, self.conduct)?;
        let before = ThreadCost::now();
        let notifier = &mut self.notifier;
        report(memory, epoch, READY)?;
        let handled = match block.work {
            Work::Storm => traffic::storm(memory, &block, (waiter, notifier), self.conduct, idle)?,
            Work::Stream => traffic::stream(memory, &block, (waiter, notifier), idle)?,
            _ => messages.handle(waiter, notifier, idle)?,
        };
        Ok(Played { handled, counts: waiter.counts(), cost: before.since() })
    }

    fn counters(&self, played: &Played) -> GuestCounters {
        let Played { handled, counts, cost } = played;
        GuestCounters {
            interrupts: self.before.zip(self.interrupts()).map(|(before, after)| after - before),
            events: Some(counts.events),
            waits: counts.waits,
            found_armed: counts.found_armed,
            found_spinning: counts.found_spinning,
            deadline_wakeups: counts.deadline_wakeups,
            lost_wakeups: counts.lost_wakeups,
            rings: self.notifier.rings(),
            operations: handled.operations,
            last_seen: handled.last_seen,
            mismatches: handled.mismatches,
            yields: cost.yields,
            cpu_ns: cost.cpu_ns,
        }
    }
}
