//! The guest side of the benchmark: waits for a host, publishes its hello and runs the blocks that the host commands.
//!
//! Between blocks the guest polls the command word a few thousand times a second and sleeps in between, because nothing is
//! measured. Within a block it uses the block's wait mode. `messages` handles closed loops, `traffic` open loops.

use std::io;
use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::Duration;

use bench_protocol::ack::SeqState;
use bench_protocol::control::{
    BlockKind, BlockParams, DONE, FAILED, FINISH, Fault, READY, RUN, WaitMode, read_command, write_status,
};
use bench_protocol::counters::GuestCounters;
use bench_protocol::hello::{Hello, write_text};
use bench_protocol::layout::{Layout, LayoutError};
use bench_protocol::memory_map::{GUEST_ARMED, HOST_ARMED, SLOTS};
use bench_protocol::peak_bandwidth::{measure, target_bytes};
use doorbell::deadline::scaled;
use doorbell::notify::{NoNotify, Notifier, RingAlways, RingIfArmed};
use doorbell::region::{RegionError, SharedRegion};
use doorbell::sleep_poll::SleepPoll;
use doorbell::wait::{Hybrid, Irq, Poll, WaitCounts, Waiter};
use doorbell::{PeerId, Vector};

use crate::driver::{Driver, DriverError, IrqSource};
use crate::memory_type::MemoryType;
use crate::periodic_signal::PeriodicSignal;
use crate::probe;
use crate::proc_info;
use crate::registers;

mod fault;
mod messages;
mod thread_cost;
mod traffic;

use fault::{FIRES_AT, FaultPolicy, InjectFault, NoFault};
use messages::{BlockError, Handled, MessageHandler};
use thread_cost::ThreadCost;

/// Polling interval while no host has published a header.
const HOST_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Time for the last doorbells of a storm to arrive.
const SETTLE_TIME: Duration = Duration::from_millis(20);
/// Polling interval of the command word.
const COMMAND_POLL_INTERVAL: Duration = Duration::from_micros(200);

/// Errors that end the responder. Errors within a block are sent to the host instead.
#[derive(Debug, thiserror::Error)]
pub enum RespondError {
    /// The host's layout is incompatible or invalid.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// An offset is outside the memory.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The driver failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// Serves hosts, one run after another. Returns after the first run if `once` is set.
pub fn respond(driver: &dyn Driver, once: bool) -> Result<(), RespondError> {
    loop {
        let layout = await_host(driver.memory())?;
        let responder = Responder::new(driver, layout)?;
        responder.serve()?;
        if once {
            return Ok(());
        }
        while Layout::read(driver.memory())?.is_some_and(|now| now.nonce == layout.nonce) {
            sleep(HOST_POLL_INTERVAL);
        }
    }
}

fn await_host(memory: &SharedRegion) -> Result<Layout, LayoutError> {
    loop {
        if let Some(layout) = Layout::read(memory)? {
            return Ok(layout);
        }
        sleep(HOST_POLL_INTERVAL);
    }
}

/// Serves one host's run, from hello to FINISH.
struct Responder<'d> {
    driver: &'d dyn Driver,
    memory: &'d SharedRegion,
    layout: Layout,
    /// The interrupts of vector 0, or why they are not available.
    interrupt: Result<Box<dyn IrqSource>, DriverError>,
    /// Destination of frame copies. The peak bandwidth is measured with the same buffer, because copy rates depend on the
    /// pages of a buffer.
    frame: Vec<u8>,
}

impl<'d> Responder<'d> {
    fn new(driver: &'d dyn Driver, layout: Layout) -> Result<Self, RespondError> {
        // Open before hello: a doorbell that arrives earlier is lost.
        let interrupt = driver.interrupt(Vector(0));
        // Not zero, so the pages are faulted in here and not in a block.
        let frame = vec![1; target_bytes(layout.payload_bytes())];
        let responder = Self { driver, memory: driver.memory(), layout, interrupt, frame };
        let missing = responder.interrupt.as_ref().err().map(ToString::to_string);
        // The host uses the slots only after the hello, so writes can be measured, too.
        let memory_type = MemoryType::measure_exclusively(responder.memory, SLOTS)?;
        let text = serde_json::json!(probe::facts(driver, missing.as_deref(), Some(memory_type))).to_string();
        let peer = registers::own_id(driver.registers())?.0;
        Hello { peer, text }.publish(responder.memory, layout.nonce)?;
        Ok(responder)
    }

    /// Executes commands until FINISH, or until the header of another run is published.
    fn serve(mut self) -> Result<(), RespondError> {
        let mut last = 0;
        loop {
            let command = read_command(self.memory)?;
            match (command.state, command.seq > last) {
                (FINISH, _) => return Ok(()),
                (RUN, true) => {
                    last = command.seq;
                    self.block(command.seq)?;
                }
                _ if self.is_over()? => return Ok(()),
                _ => sleep(COMMAND_POLL_INTERVAL),
            }
        }
    }

    fn is_over(&self) -> Result<bool, RespondError> {
        Ok(Layout::read(self.memory)?.is_none_or(|now| now.nonce != self.layout.nonce))
    }

    fn block(&mut self, epoch: u64) -> Result<(), RespondError> {
        let outcome = match BlockParams::read(self.memory)? {
            Some(block) => self.run_block(epoch, block),
            None => Err(BlockError::InvalidParams),
        };
        match outcome {
            Ok(counters) => {
                counters.publish(self.memory)?;
                write_status(self.memory, epoch, DONE)?;
            }
            Err(error) => {
                write_text(self.memory, &error.to_string())?;
                write_status(self.memory, epoch, FAILED)?;
            }
        }
        Ok(())
    }

    fn run_block(&mut self, epoch: u64, block: BlockParams) -> Result<GuestCounters, BlockError> {
        if block.kind == BlockKind::PeakBandwidth {
            write_status(self.memory, epoch, READY)?;
            let peak = self.peak_bandwidth(block.bytes)?;
            write_text(self.memory, &peak)?;
            return Ok(GuestCounters::default());
        }
        match block.fault {
            None => self.exchange(epoch, block, NoFault),
            Some(fault) => self.exchange(epoch, block, InjectFault(fault)),
        }
    }

    /// Selects the notifier's type by the block's parameters: no dynamic dispatch on the measured path.
    fn exchange(
        &mut self,
        epoch: u64,
        block: BlockParams,
        policy: impl FaultPolicy,
    ) -> Result<GuestCounters, BlockError> {
        let (driver, host) = (self.driver, PeerId(self.layout.host_peer));
        let armed = self.memory.word(HOST_ARMED)?;
        let dropped = if policy.is_active(Fault::DropAnswer) { FIRES_AT } else { u64::MAX };
        let mut count = 0;
        let ring = || {
            count += 1;
            if count == dropped {
                return Ok(());
            }
            registers::ring(driver.registers(), host, Vector(0)).map_err(io::Error::other)
        };
        match block.host_wait {
            WaitMode::Poll => self.exchange_with_notifier(epoch, block, NoNotify, policy),
            WaitMode::Irq | WaitMode::Hybrid if block.always_ring => {
                self.exchange_with_notifier(epoch, block, RingAlways::new(ring), policy)
            }
            WaitMode::Irq | WaitMode::Hybrid => {
                self.exchange_with_notifier(epoch, block, RingIfArmed::new(armed, ring), policy)
            }
        }
    }

    fn exchange_with_notifier(
        &mut self,
        epoch: u64,
        block: BlockParams,
        notifier: impl Notifier,
        policy: impl FaultPolicy,
    ) -> Result<GuestCounters, BlockError> {
        let (memory, layout) = (self.memory, self.layout);
        let interrupt = self.interrupt.as_mut();
        let line = interrupt.as_ref().ok().map(|i| i.line().to_owned());
        let frame = &mut self.frame[..];
        let mut context = BlockContext { memory, layout, epoch, block, frame, line, notifier, policy, before: None };
        if block.guest_wait == WaitMode::Poll {
            let outcome = if policy.is_active(Fault::SleepyGuest) {
                context.run(&mut SleepPoll)?
            } else {
                context.run(&mut Poll)?
            };
            let counters = context.counters(&outcome);
            // Without an interrupt line the event count is unknown.
            return Ok(GuestCounters { events: counters.events.filter(|_| context.line.is_some()), ..counters });
        }
        let interrupt = interrupt.map_err(|error| BlockError::NoInterrupts(error.to_string()))?;
        let _signal = PeriodicSignal::start().map_err(BlockError::Wait)?;
        interrupt.drain().map_err(BlockError::Wait)?;
        let armed = memory.word(GUEST_ARMED)?;
        let mut outcome = if block.guest_wait == WaitMode::Irq {
            context.run(&mut Irq::new(armed, &mut **interrupt))?
        } else {
            context.run(&mut Hybrid::new(armed, &mut **interrupt, block.spin_ticks))?
        };
        if block.kind == BlockKind::Storm || block.always_ring {
            // Collect doorbells that arrive after the last wait.
            sleep(scaled(SETTLE_TIME));
            outcome.counts.events += interrupt.drain().map_err(BlockError::Wait)?;
        }
        Ok(context.counters(&outcome))
    }

    /// Measures the guest's peak bandwidth; returns JSON. The host does not use the slots meanwhile.
    fn peak_bandwidth(&mut self, bytes: u64) -> Result<String, BlockError> {
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= self.memory.len());
        let bytes = bytes.ok_or(BlockError::InvalidParams)?;
        let target = self.frame.len().max(target_bytes(bytes));
        self.frame.resize(target, 1);
        let peak = measure(self.memory, &self.layout.copy_offsets(bytes), bytes, &mut self.frame)?;
        Ok(serde_json::json!(peak).to_string())
    }
}

/// Everything of a block except its waiter.
struct BlockContext<'m, N, C> {
    memory: &'m SharedRegion,
    layout: Layout,
    epoch: u64,
    block: BlockParams,
    frame: &'m mut [u8],
    /// The interrupt's name in /proc/interrupts.
    line: Option<String>,
    notifier: N,
    policy: C,
    /// Interrupt count before the block.
    before: Option<u64>,
}

/// The result of a block.
struct BlockOutcome {
    handled: Handled,
    counts: WaitCounts,
    cost: ThreadCost,
}

impl<N: Notifier, C: FaultPolicy> BlockContext<'_, N, C> {
    fn interrupts(&self) -> Option<u64> {
        self.line.as_deref().and_then(|line| proc_info::interrupt_count(line).ok().flatten())
    }

    fn run<W: Waiter>(&mut self, waiter: &mut W) -> Result<BlockOutcome, BlockError> {
        let (memory, epoch, block) = (self.memory, self.epoch, self.block);
        let idle = || match read_command(memory) {
            Ok(SeqState { seq, state }) if seq == epoch && state == RUN => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        self.before = self.interrupts();
        let messages = MessageHandler::new(memory, self.layout, epoch, block, self.frame, self.policy)?;
        let before = ThreadCost::now();
        let notifier = &mut self.notifier;
        write_status(memory, epoch, READY)?;
        let handled = match block.kind {
            BlockKind::Storm => traffic::storm(memory, &block, (waiter, notifier), self.policy, idle)?,
            BlockKind::Stream => traffic::stream(memory, &block, (waiter, notifier), idle)?,
            BlockKind::Clock => messages.serve_clock(waiter, idle)?,
            BlockKind::Pingpong => messages.serve_pingpong(waiter, notifier, idle)?,
            BlockKind::Frame => messages.serve_frames(waiter, notifier, idle)?,
            // `run_block` handles it without messages.
            BlockKind::PeakBandwidth => return Err(BlockError::InvalidParams),
        };
        Ok(BlockOutcome { handled, counts: waiter.counts(), cost: before.since() })
    }

    fn counters(&self, outcome: &BlockOutcome) -> GuestCounters {
        let BlockOutcome { handled, counts, cost } = outcome;
        GuestCounters {
            interrupts: self.before.zip(self.interrupts()).map(|(before, after)| after - before),
            events: Some(counts.events),
            waits: counts.waits,
            found_after_arm: counts.found_after_arm,
            found_while_spinning: counts.found_while_spinning,
            wait_timeouts: counts.wait_timeouts,
            lost_wakeups: counts.lost_wakeups,
            rings: self.notifier.rings(),
            operations: handled.operations,
            last_seen: handled.last_seen,
            mismatches: handled.mismatches,
            voluntary_switches: cost.voluntary_switches,
            cpu_ns: cost.cpu_ns,
        }
    }
}
