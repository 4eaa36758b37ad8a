//! The guest side of the benchmark: waits for a host, publishes its hello and runs the blocks that the host commands.
//!
//! Between blocks the guest polls the command word a few thousand times a second and sleeps in between, because nothing is
//! measured. Within a block it uses the block's wait mode. `messages` and `frame` handle messages that are
//! acknowledged one by one, `traffic` storms and streams.

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
use bench_protocol::layout::Layout;
use bench_protocol::memory_map::{GUEST_ARMED, HOST_ARMED, SLOTS};
use bench_protocol::peak_bandwidth::{measure, target_bytes};
use doorbell::deadline::scaled;
use doorbell::notify::{NoNotify, Notifier, ring_always, ring_if_armed};
use doorbell::region::SharedRegion;
use doorbell::sleep_poll::SleepPoll;
use doorbell::wait::{Hybrid, Irq, Poll, Waiter};
use doorbell::{PeerId, Vector};

use crate::driver::{Driver, IrqSource};
use crate::error::DeviceError;
use crate::memory_type::MemoryType;
use crate::periodic_signal::PeriodicSignal;
use crate::probe;
use crate::proc_info;
use crate::registers;

mod fault;
mod frame;
mod messages;
mod thread_cost;
mod traffic;

use bench_model::fault::FIRES_AT;
use fault::{FaultPolicy, InjectFault, NoFault};
use messages::{BlockError, MessageHandler};
use thread_cost::ThreadCost;

/// Polling interval while no host has published a header.
const HOST_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Time for the last doorbells of a storm to arrive.
const SETTLE_TIME: Duration = Duration::from_millis(20);
/// Polling interval of the command word.
const COMMAND_POLL_INTERVAL: Duration = Duration::from_micros(200);

/// Serves hosts, one run after another. Returns after the first run if `once` is set. Errors within a block are sent to the
/// host instead.
pub fn respond(driver: &dyn Driver, once: bool) -> anyhow::Result<()> {
    let memory = &driver.bars().memory;
    loop {
        let layout = loop {
            if let Some(layout) = Layout::read(memory)? {
                break layout;
            }
            sleep(HOST_POLL_INTERVAL);
        };
        Responder::new(driver, layout)?.serve()?;
        if once {
            return Ok(());
        }
        while Layout::read(memory)?.is_some_and(|now| now.nonce == layout.nonce) {
            sleep(HOST_POLL_INTERVAL);
        }
    }
}

/// Serves one host's run, from hello to FINISH.
struct Responder<'d> {
    driver: &'d dyn Driver,
    memory: &'d SharedRegion,
    layout: Layout,
    /// The interrupts of vector 0, or why they are not available.
    interrupt: Result<Box<dyn IrqSource>, DeviceError>,
    /// Destination of frame copies. The peak bandwidth is measured with the same buffer, because copy rates depend on the
    /// pages of a buffer.
    frame: Vec<u8>,
}

impl<'d> Responder<'d> {
    fn new(driver: &'d dyn Driver, layout: Layout) -> anyhow::Result<Self> {
        // Open before hello: a doorbell that arrives earlier is lost.
        let interrupt = driver.interrupt(Vector(0));
        // Not zero, so the pages are faulted in here and not in a block.
        let frame = vec![1; target_bytes(layout.payload_bytes())];
        let responder = Self { driver, memory: &driver.bars().memory, layout, interrupt, frame };
        let missing = responder.interrupt.as_ref().err().map(ToString::to_string);
        // The host uses the slots only after the hello, so writes can be measured, too.
        let memory_type = MemoryType::measure_exclusively(responder.memory, SLOTS)?;
        let text = serde_json::to_string(&probe::facts(driver, missing.as_deref(), Some(memory_type)))?;
        let peer = registers::own_id(&driver.bars().registers)?.0;
        Hello { peer, text }.publish(responder.memory, layout.nonce)?;
        Ok(responder)
    }

    /// Executes commands until FINISH, or until the header of another run is published.
    fn serve(mut self) -> anyhow::Result<()> {
        let mut last = 0;
        loop {
            let command = read_command(self.memory)?;
            match (command.state, command.seq > last) {
                (FINISH, _) => return Ok(()),
                (RUN, true) => {
                    last = command.seq;
                    self.block(command.seq)?;
                }
                _ if Layout::read(self.memory)?.is_none_or(|now| now.nonce != self.layout.nonce) => return Ok(()),
                _ => sleep(COMMAND_POLL_INTERVAL),
            }
        }
    }

    fn block(&mut self, epoch: u64) -> anyhow::Result<()> {
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

    /// Selects the notifier's type by the block's parameters. On the measured path, only the driver's wait is a dynamic call,
    /// before a system call.
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
            registers::ring(&driver.bars().registers, host, Vector(0)).map_err(io::Error::other)
        };
        match block.host_wait {
            WaitMode::Poll => self.exchange_with_notifier(epoch, block, NoNotify, policy),
            WaitMode::Irq | WaitMode::Hybrid if block.always_ring => {
                self.exchange_with_notifier(epoch, block, ring_always(ring), policy)
            }
            WaitMode::Irq | WaitMode::Hybrid => {
                self.exchange_with_notifier(epoch, block, ring_if_armed(armed, ring), policy)
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
        let interrupts = || line.as_deref().and_then(proc_info::interrupt_count);
        let armed = memory.word(GUEST_ARMED)?;
        let context = BlockContext { memory, layout, epoch, block, frame: &mut self.frame, notifier, policy };
        if block.guest_wait == WaitMode::Poll {
            let before = interrupts();
            let counters = if policy.is_active(Fault::SleepyGuest) {
                context.run(&mut SleepPoll)?
            } else {
                context.run(&mut Poll)?
            };
            // Without an interrupt line the event count is unknown.
            let events = counters.events.filter(|_| line.is_some());
            return Ok(GuestCounters { interrupts: difference(before, interrupts()), events, ..counters });
        }
        let interrupt = interrupt.map_err(|error| BlockError::NoInterrupts(error.to_string()))?;
        let _signal = PeriodicSignal::start().map_err(BlockError::Wait)?;
        interrupt.drain().map_err(BlockError::Wait)?;
        let before = interrupts();
        let mut counters = if block.guest_wait == WaitMode::Irq {
            context.run(&mut Irq::new(armed, &mut **interrupt))?
        } else {
            context.run(&mut Hybrid::new(armed, &mut **interrupt, block.spin_ticks))?
        };
        if block.kind == BlockKind::Storm || block.always_ring {
            // Collect doorbells that arrive after the last wait.
            sleep(scaled(SETTLE_TIME));
            let late = interrupt.drain().map_err(BlockError::Wait)?;
            counters.events = counters.events.map(|events| events + late);
        }
        Ok(GuestCounters { interrupts: difference(before, interrupts()), ..counters })
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

fn difference(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    before.zip(after).map(|(before, after)| after - before)
}

/// Everything of a block except its waiter.
struct BlockContext<'m, N, C> {
    memory: &'m SharedRegion,
    layout: Layout,
    epoch: u64,
    block: BlockParams,
    frame: &'m mut [u8],
    notifier: N,
    policy: C,
}

impl<N: Notifier, C: FaultPolicy> BlockContext<'_, N, C> {
    /// Handles the block's messages; returns the counters except the interrupts.
    fn run<W: Waiter>(mut self, waiter: &mut W) -> Result<GuestCounters, BlockError> {
        let (memory, epoch, block) = (self.memory, self.epoch, self.block);
        let idle = || match read_command(memory) {
            Ok(SeqState { seq, state }) if seq == epoch && state == RUN => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        let messages = MessageHandler::new(memory, self.layout, epoch, block, self.frame, self.policy)?;
        let before = ThreadCost::now();
        let notifier = &mut self.notifier;
        write_status(memory, epoch, READY)?;
        let handled = match block.kind {
            BlockKind::Storm => traffic::storm(memory, &block, (waiter, notifier), self.policy, idle)?,
            BlockKind::Stream => traffic::stream(memory, &block, (waiter, notifier), idle)?,
            BlockKind::Clock => messages.serve(waiter, &idle, |messages, seq, _| {
                messages.handshake(seq);
                Ok(())
            })?,
            BlockKind::Messages => {
                messages.serve(waiter, &idle, |messages, seq, waiter| messages.message(seq, waiter, notifier))?
            }
            BlockKind::Frame => {
                messages.serve(waiter, &idle, |messages, seq, waiter| messages.frame(seq, waiter, notifier))?
            }
            // `run_block` handles it without messages.
            BlockKind::PeakBandwidth => return Err(BlockError::InvalidParams),
        };
        let (counts, cost) = (waiter.counts(), before.since());
        Ok(GuestCounters {
            interrupts: None,
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
        })
    }
}
