//! Runs a block of operations and measures clocks, counters and CPU usage around it.

use std::time::Duration;

use bench_model::copy_speed::CopySpeed;
use bench_model::fault::FIRES_AT;
use bench_model::raw::{ClockFit, RawBlock};
use bench_model::{Block, Conditions, Exchange, Fault, Plan, WaitMode, Workload};
use bench_protocol::clock::ClockOffset;
use bench_protocol::control::{BlockKind, BlockParams};
use bench_protocol::memory_map::STAMP_COUNT;
use doorbell::notify::{NoNotify, Notifier, ring_always, ring_if_armed};
use doorbell::sleep_poll::SleepPoll;
use doorbell::wait::{Hybrid, Irq, Poll, Waiter};

use super::block_result::ExchangeResult;
use super::cpu_usage::Meter;
use super::error::system;
use super::eventfd::{EventFd, ring};
use super::faults::{FaultPolicy, SlowWaiter, ring_with_fault};
use super::guest::Guest;
use super::recorder::Recorder;
use super::round_trip::{Channel, OperationTimeout, Sample};
use super::run_monitor::RunMonitor;
use super::shared_words::SharedWords;
use super::suspend::SuspendClock;
use super::threads::{AffinitySampler, Contention};
use super::workload::frame_gen::FrameGenerator;
use super::{BenchError, StopReason};

/// Handshakes per clock measurement: at least one is not interrupted.
const HANDSHAKES: u64 = 300;
/// Round durations that measure the cost of blocking.
const CALIBRATION_ROUNDS: u64 = 400;

/// Runs blocks one after the other.
pub(super) struct BlockRunner<'r> {
    pub(super) words: &'r SharedWords<'r>,
    tsc_hz: f64,
    deadline: OperationTimeout,
    pub(super) meter: Meter,
    pub(super) frames: FrameGenerator,
    next_seq: u64,
    /// Spin time of hybrid waits.
    spin_ticks: u64,
    pub(super) fault: FaultPolicy,
    contention: Contention,
    pub(super) seed: u64,
    placement: &'r AffinitySampler,
}

impl<'r> BlockRunner<'r> {
    pub(super) fn new(plan: &Plan, words: &'r SharedWords<'r>, tsc_hz: f64, placement: &'r AffinitySampler) -> Self {
        let deadline = OperationTimeout::new(Duration::from_millis(plan.operation_timeout_ms), tsc_hz);
        let meter = Meter::new(plan.qemu.as_ref());
        let frames = FrameGenerator::new(plan.seed);
        let fault = FaultPolicy::new(plan.fault);
        let contention = Contention::new(plan);
        let seed = plan.seed;
        Self { words, tsc_hz, deadline, meter, frames, next_seq: 1, spin_ticks: 0, fault, contention, seed, placement }
    }

    /// Ticks of the time stamp counter per nanosecond.
    pub(super) fn ticks_per_ns(&self) -> f64 {
        self.tsc_hz / 1e9
    }

    /// Sets the spin time of hybrid waits: the value of the plan, or the measured cost of blocking. A waiter that spins
    /// for the cost of blocking spends at most twice the time of the better choice.
    pub(super) fn calibrate_spin(
        &mut self,
        requested_ns: Option<u64>,
        guest: &mut Guest<'_, '_>,
    ) -> Result<u64, BenchError> {
        let ticks_per_ns = self.ticks_per_ns();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a spin fits 64 bits of ticks")]
        let in_ticks = |ns: u64| (ns as f64 * ticks_per_ns) as u64;
        if let Some(ns) = requested_ns {
            self.spin_ticks = in_ticks(ns);
            return Ok(ns);
        }
        let block = Block {
            index: 0,
            workload: Workload::Pingpong,
            host_wait: WaitMode::Irq,
            guest_wait: WaitMode::Irq,
            size_bytes: 64,
            warmup: 0,
            count: CALIBRATION_ROUNDS,
            limit_ms: None,
            corrupt_one: false,
            conditions: Conditions::default(),
        };
        // Nothing is recorded here, so a one-shot fault would be lost.
        let fault = self.fault.0.take();
        let params = self.block_params(&block, BlockKind::Messages, CALIBRATION_ROUNDS);
        guest.begin(params, block.index)?;
        let mut samples = Vec::new();
        self.dispatch(&block, guest, params.first_seq, &mut samples)?;
        guest.end()?;
        self.fault.0.set(fault);
        let mut durations: Vec<u64> = samples.iter().map(|s| s.ended.saturating_sub(s.published)).collect();
        durations.sort_unstable();
        self.spin_ticks = durations[durations.len() / 2];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a round trip fits 64 bits of ns")]
        Ok((self.spin_ticks as f64 / ticks_per_ns) as u64)
    }

    /// Runs a block and records its operations. Also returns its copy speed.
    pub(super) fn run(
        &mut self,
        block: &Block,
        guest: &mut Guest<'_, '_>,
        recorder: &mut Recorder,
    ) -> Result<(RawBlock, CopySpeed), BenchError> {
        let before = self.measure_clock_offset(guest, block.index)?;
        let (kind, operations) = match block.workload.exchange() {
            Exchange::Messages => (BlockKind::Messages, block.warmup + block.count),
            Exchange::Frames => (BlockKind::Frame, block.warmup + block.count + u64::from(block.corrupt_one)),
            Exchange::Storm => (BlockKind::Storm, block.count),
            Exchange::Stream => (BlockKind::Stream, STAMP_COUNT as u64),
            Exchange::Idle => (BlockKind::Messages, 1),
        };
        let params = self.block_params(block, kind, operations);
        guest.begin(params, block.index)?;
        let mut samples = Vec::with_capacity(usize::try_from(operations).unwrap_or(STAMP_COUNT));
        // Before the load starts, which restores the affinity that it found.
        self.placement.apply_wander_fault(block)?;
        let load = self.contention.start(block.conditions)?;
        let awake = SuspendClock::start();
        let outcome = self.dispatch(block, guest, params.first_seq, &mut samples);
        let suspended_ns = awake.elapsed_ns();
        let restored = load.stop_and_restore();
        let ended = outcome.and_then(|result| Ok((result, guest.end()?)));
        let left_out = if block.workload == Workload::Storm { 0 } else { block.warmup };
        let measured: Vec<Sample> = samples.into_iter().skip(usize::try_from(left_out).unwrap_or(0)).collect();
        let (result, counted) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Keep the operations so far, without one-way latencies: those need the second clock measurement.
                recorder.block(block, &measured, self.words.memory, None, self.tsc_hz)?;
                guest.abort()?;
                return Err(error);
            }
        };
        restored?;
        let after = self.measure_clock_offset(guest, block.index)?;
        let clock = self.clock_fit(before, after);
        let offset = ClockOffset { ticks: before.ticks.midpoint(after.ticks), bound: before.bound.max(after.bound) };
        let stable = clock.is_stable().then_some(offset);
        let measured = &measured[..measured.len().min(usize::try_from(block.count).unwrap_or(usize::MAX))];
        let rows = recorder.block(block, measured, self.words.memory, stable, self.tsc_hz)?;
        let mut done = result.into_raw_block(block, measured, &counted, clock, self.tsc_hz);
        done.suspended_ns = suspended_ns;
        let copies = CopySpeed::from_rows(&done, &rows);
        Ok((done, copies))
    }

    /// The parameters of a block of `operations` messages.
    fn block_params(&mut self, block: &Block, kind: BlockKind, operations: u64) -> BlockParams {
        let first_seq = self.next_seq;
        self.next_seq += operations;
        BlockParams {
            kind,
            guest_wait: block.guest_wait,
            host_wait: block.host_wait,
            operations,
            first_seq,
            spin_ticks: self.spin_ticks,
            slots: block.conditions.slots.map_or(0, u64::from),
            bytes: block.size_bytes,
            always_ring: block.conditions.always_ring,
            stamped: block.is_stamped_before_ack(),
            fault: self.fault.fault().filter(|fault| fault.is_guests()),
        }
    }

    /// The offset between the counters of guest and host, from the shortest of a few hundred handshakes.
    fn measure_clock_offset(&mut self, guest: &mut Guest<'_, '_>, index: u32) -> Result<ClockOffset, BenchError> {
        let fault = self.fault.is_active(Fault::DriftingClock).then_some(Fault::DriftingClock);
        let params = BlockParams { fault, ..BlockParams::polling(BlockKind::Clock, self.next_seq, HANDSHAKES) };
        self.next_seq += HANDSHAKES;
        guest.begin(params, index)?;
        let words = self.words;
        let mut channel = Channel::new(words, &mut guest.monitor, Poll, NoNotify, self.deadline);
        let mut handshakes = Vec::new();
        for seq in params.first_seq..params.first_seq + HANDSHAKES {
            let mut sample = Sample { seq, ..Sample::default() };
            channel.round_trip(&mut sample)?;
            let stamp = words.stamp.load(std::sync::atomic::Ordering::Relaxed);
            handshakes.push(ClockOffset::from_handshake(sample.published, stamp, sample.ended));
        }
        guest.end()?;
        Ok(ClockOffset::best(handshakes).expect("HANDSHAKES is not zero"))
    }

    fn clock_fit(&self, before: ClockOffset, after: ClockOffset) -> ClockFit {
        let ns = |ticks: f64| ticks * 1e9 / self.tsc_hz;
        ClockFit {
            before_ns: ns(before.ticks as f64),
            after_ns: ns(after.ticks as f64),
            bound_ns: ns(before.bound.max(after.bound) as f64),
        }
    }

    /// Selects the types of waiter and notifier: the measured path then has no branch on the mode.
    fn dispatch(
        &mut self,
        block: &Block,
        guest: &mut Guest<'_, '_>,
        first_seq: u64,
        samples: &mut Vec<Sample>,
    ) -> Result<ExchangeResult, BenchError> {
        let (words, monitor) = (self.words, &mut guest.monitor);
        let own = monitor.client.own_vectors()[0].try_clone().map_err(system("copying an eventfd"))?;
        let theirs = monitor.client.peers().get(&guest.peer).and_then(|vectors| vectors.first());
        let theirs = theirs.ok_or(BenchError::Stopped(StopReason::GuestLeft(guest.peer)))?;
        let theirs = theirs.try_clone().map_err(system("copying an eventfd"))?;

        let fault = self.fault.clone();
        let fires_at = if fault.concerns_doorbell_of(block) { FIRES_AT } else { u64::MAX };
        let mut count = 0;
        let ring_once = || {
            count += 1;
            if count == fires_at { ring_with_fault(&theirs, &fault) } else { ring(&theirs) }
        };
        // Long timeout: frequent wake-ups would distort the idle measurement.
        let timeout = block.limit_ms.filter(|_| block.workload == Workload::Idle).map(|limit| limit / 4);
        let mut event = EventFd::new(&own, timeout);
        event.drain().map_err(system("reading the eventfd"))?;
        let context = BlockContext { runner: self, block, first_seq, samples };
        if !block.guest_wait.blocks() {
            context.dispatch_waiter(NoNotify, monitor, event)
        } else if block.workload == Workload::Storm || block.conditions.always_ring {
            context.dispatch_waiter(ring_always(ring_once), monitor, event)
        } else {
            context.dispatch_waiter(ring_if_armed(words.guest_armed, ring_once), monitor, event)
        }
    }
}

/// Context of a block's operations.
pub(super) struct BlockContext<'s, 'r> {
    pub(super) runner: &'s mut BlockRunner<'r>,
    pub(super) block: &'s Block,
    pub(super) first_seq: u64,
    /// Receives every operation, including one that fails.
    pub(super) samples: &'s mut Vec<Sample>,
}

impl BlockContext<'_, '_> {
    fn dispatch_waiter<N: Notifier>(
        self,
        notifier: N,
        monitor: &mut RunMonitor<'_>,
        event: EventFd<'_>,
    ) -> Result<ExchangeResult, BenchError> {
        let (armed, spin_ticks) = (self.runner.words.host_armed, self.runner.spin_ticks);
        match (self.block.host_wait, self.runner.fault.fault()) {
            (WaitMode::Poll, Some(Fault::SleepyHost)) => self.run_channel(SleepPoll, notifier, monitor),
            (WaitMode::Poll, Some(Fault::SlowStamps)) => self.run_channel(SlowWaiter(Poll), notifier, monitor),
            (WaitMode::Poll, _) => self.run_channel(Poll, notifier, monitor),
            (WaitMode::Irq, _) => self.run_channel(Irq::new(armed, event), notifier, monitor),
            (WaitMode::Hybrid, _) => self.run_channel(Hybrid::new(armed, event, spin_ticks), notifier, monitor),
        }
    }

    fn run_channel<W: Waiter, N: Notifier>(
        mut self,
        waiter: W,
        notifier: N,
        monitor: &mut RunMonitor<'_>,
    ) -> Result<ExchangeResult, BenchError> {
        let mut channel = Channel::new(self.runner.words, monitor, waiter, notifier, self.runner.deadline);
        self.runner.meter.drain();
        let outcome = self.run(&mut channel)?;
        let (counts, rings, stale) = (channel.waiter.counts(), channel.notifier.rings(), channel.stale);
        let (cpu, wall) = self.runner.meter.drain();
        if let Some(traffic) = &outcome.traffic {
            // A stream sends more messages than its parameters state.
            self.runner.next_seq = self.runner.next_seq.max(traffic.last_seq + 2);
        }
        Ok(ExchangeResult { counts, rings, stale, cpu, wall, outcome })
    }
}
