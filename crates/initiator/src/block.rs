//! A block of operations, between two looks at the clocks, the counters and the CPU times.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use bench_model::copy_speed::CopySpeed;
use bench_model::raw::{ClockFit, RawBlock};
use bench_model::{Block, Conditions, Fault, Plan, WaitMode, Workload};
use bench_protocol::clock::Offset;
use bench_protocol::control::{Announcement, Flaw, WaitKind, Work};
use bench_protocol::layout::RECORD_COUNT;
use doorbell::bell::Bell;
use doorbell::dozing::Dozing;
use doorbell::wait::{Doorbell, Hybrid, Irq, Notifier, Poll, Silent, Waiter};

use super::BenchError;
use super::broken::{Slow, concerns_a_doorbell_of, flaw, ring_wrongly};
use super::contention::Contention;
use super::cost::Meter;
use super::event::HostEvent;
use super::exchanged::Exchanged;
use super::frames::Camera;
use super::guest::Guest;
use super::link::Link;
use super::operations::{Deadline, Exchange, Sample};
use super::placement::Placement;
use super::recorder::Recorder;
use super::suspend::SuspendClock;
use super::watch::Watch;
use super::work::Stage;

/// Handshakes per look at the clocks: enough that one of them meets no interruption.
const HANDSHAKES: u64 = 300;
/// Round trips from which the cost of blocking is taken.
const CALIBRATION: u64 = 400;
/// Which doorbell a fault concerns that concerns one.
const FAULTY: u64 = 20;

/// Runs blocks one after the other.
pub(super) struct Runner<'r, 'l> {
    link: &'r Link<'l>,
    tsc_hz: f64,
    deadline: Deadline,
    meter: Meter,
    camera: Camera,
    next_seq: u64,
    /// How long hybrid waits spin.
    spin_ticks: u64,
    fault: Rc<Cell<Option<Fault>>>,
    contention: Contention,
    seed: u64,
    placement: &'r Placement,
}

impl<'r, 'l> Runner<'r, 'l> {
    pub(super) fn new(plan: &Plan, link: &'r Link<'l>, tsc_hz: f64, placement: &'r Placement) -> Self {
        let deadline = Deadline::new(Duration::from_millis(plan.operation_timeout_ms), tsc_hz);
        let meter = Meter::new(plan.qemu.as_ref());
        let camera = Camera::new(plan.seed);
        let fault = Rc::new(Cell::new(plan.fault));
        let contention = Contention::new(plan);
        let seed = plan.seed;
        Self { link, tsc_hz, deadline, meter, camera, next_seq: 1, spin_ticks: 0, fault, contention, seed, placement }
    }

    /// Which of the processor's counters cannot be had, and why.
    pub(super) fn perf_missing(&self) -> Option<String> {
        self.meter.perf_missing().map(str::to_owned)
    }

    /// Decides how long hybrid waits spin: as long as the plan says, or as long as blocking is measured to take here and
    /// now. Whoever spins that long before blocking never spends more than twice what the better choice would have.
    pub(super) fn choose_spin(
        &mut self,
        asked_ns: Option<u64>,
        guest: &mut Guest<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<u64, BenchError> {
        let ticks_per_ns = self.tsc_hz / 1e9;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a spin fits 64 bits of ticks")]
        let in_ticks = |ns: u64| (ns as f64 * ticks_per_ns) as u64;
        if let Some(ns) = asked_ns {
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
            count: CALIBRATION,
            limit_ms: None,
            corrupt_one: false,
            conditions: Conditions::default(),
        };
        // A fault that is put in here, where nothing is recorded, would be seen by nobody.
        let fault = self.fault.take();
        let announcement = self.announce(&block, Work::Pingpong, CALIBRATION);
        guest.begin(announcement, watch, block.index)?;
        let mut samples = Vec::new();
        self.exchange_as_asked(&block, guest, watch, announcement.first_seq, &mut samples)?;
        guest.end(watch, block.index)?;
        self.fault.set(fault);
        let mut trips: Vec<u64> = samples.iter().map(|s| s.ended.saturating_sub(s.published)).collect();
        trips.sort_unstable();
        self.spin_ticks = trips[trips.len() / 2];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a round trip fits 64 bits of ns")]
        Ok((self.spin_ticks as f64 / ticks_per_ns) as u64)
    }

    /// Runs a block and records its operations; how fast it copied, too.
    pub(super) fn run(
        &mut self,
        block: &Block,
        guest: &mut Guest<'_>,
        watch: &mut Watch<'_>,
        recorder: &mut Recorder,
    ) -> Result<(RawBlock, CopySpeed), BenchError> {
        let before = self.fit_clocks(guest, watch, block.index)?;
        let (work, operations) = match block.workload {
            Workload::Frame => (Work::Frame, block.warmup + block.count + u64::from(block.corrupt_one)),
            Workload::Storm => (Work::Storm, block.count),
            Workload::Stream => (Work::Stream, RECORD_COUNT as u64),
            Workload::Idle => (Work::Pingpong, 1),
            _ => (Work::Pingpong, block.warmup + block.count),
        };
        let announcement = self.announce(block, work, operations);
        guest.begin(announcement, watch, block.index)?;
        let mut samples = Vec::with_capacity(usize::try_from(operations).unwrap_or(RECORD_COUNT));
        // Before the crowd gathers, which puts each thread back where it found it.
        self.placement.wander_in(block)?;
        let crowd = self.contention.begin(block.conditions)?;
        let awake = SuspendClock::start();
        let outcome = self.exchange_as_asked(block, guest, watch, announcement.first_seq, &mut samples);
        let suspended_ns = awake.elapsed_ns();
        let crowd_left = crowd.disperse();
        let ended = outcome.and_then(|exchanged| Ok((exchanged, guest.end(watch, block.index)?)));
        let left_out = if block.workload == Workload::Storm { 0 } else { block.warmup };
        let measured: Vec<Sample> = samples.into_iter().skip(usize::try_from(left_out).unwrap_or(0)).collect();
        let (exchanged, counted) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // What was measured up to here is worth keeping; one-way figures are not, without the second look.
                recorder.block(block, &measured, self.link.memory, None, self.tsc_hz)?;
                guest.abort()?;
                return Err(error);
            }
        };
        crowd_left?;
        let after = self.fit_clocks(guest, watch, block.index)?;
        let clock = self.clock_fit(before, after);
        let offset = Offset { ticks: before.ticks.midpoint(after.ticks), bound: before.bound.max(after.bound) };
        let stable = clock.is_stable().then_some(offset);
        let measured = &measured[..measured.len().min(usize::try_from(block.count).unwrap_or(usize::MAX))];
        let rows = recorder.block(block, measured, self.link.memory, stable, self.tsc_hz)?;
        let mut done = exchanged.told(block, measured, &counted, clock, self.tsc_hz);
        done.suspended_ns = suspended_ns;
        let copies = CopySpeed::of(&done, &rows);
        Ok((done, copies))
    }

    /// Announces a block: `operations` messages, or for ceilings that many bytes.
    fn announce(&mut self, block: &Block, work: Work, operations: u64) -> Announcement {
        let kind = |wait| match wait {
            WaitMode::Poll => WaitKind::Poll,
            WaitMode::Irq => WaitKind::Irq,
            WaitMode::Hybrid => WaitKind::Hybrid,
        };
        let first_seq = self.next_seq;
        self.next_seq += operations;
        Announcement {
            work,
            guest_wait: kind(block.guest_wait),
            host_wait: kind(block.host_wait),
            operations,
            first_seq,
            spin_ticks: self.spin_ticks,
            slots: block.conditions.slots.map_or(0, u64::from),
            bytes: block.size_bytes,
            always_ring: block.conditions.always_ring,
            stamped: block.is_stamped_before_answer(),
            flaw: self.fault.get().filter(|fault| fault.is_guests()).and_then(flaw),
        }
    }

    /// How the guest's counter stands to the host's, from the tightest of a few hundred handshakes.
    fn fit_clocks(&mut self, guest: &mut Guest<'_>, watch: &mut Watch<'_>, index: u32) -> Result<Offset, BenchError> {
        let announcement = Announcement {
            work: Work::Clock,
            guest_wait: WaitKind::Poll,
            host_wait: WaitKind::Poll,
            operations: HANDSHAKES,
            first_seq: self.next_seq,
            spin_ticks: 0,
            slots: 0,
            bytes: 0,
            always_ring: false,
            stamped: false,
            flaw: (self.fault.get() == Some(Fault::DriftingClock)).then_some(Flaw::DriftingClock),
        };
        self.next_seq += HANDSHAKES;
        guest.begin(announcement, watch, index)?;
        let link = self.link;
        let mut exchange = Exchange::new(link, watch, Poll, Silent, self.deadline);
        let mut handshakes = Vec::new();
        for seq in announcement.first_seq..announcement.first_seq + HANDSHAKES {
            let mut sample = Sample { seq, ..Sample::default() };
            exchange.round_trip(&mut sample)?;
            let stamp = link.stamp.load(std::sync::atomic::Ordering::Relaxed);
            handshakes.push(Offset::from_handshake(sample.published, stamp, sample.ended));
        }
        guest.end(watch, index)?;
        Ok(Offset::best(handshakes).expect("HANDSHAKES is not zero"))
    }

    fn clock_fit(&self, before: Offset, after: Offset) -> ClockFit {
        let ns = |ticks: f64| ticks * 1e9 / self.tsc_hz;
        ClockFit {
            before_ns: ns(before.ticks as f64),
            after_ns: ns(after.ticks as f64),
            bound_ns: ns(before.bound.max(after.bound) as f64),
        }
    }

    /// Picks the types for both sides' ways to wait, so that the measured path has no choice to make.
    fn exchange_as_asked(
        &mut self,
        block: &Block,
        guest: &Guest<'_>,
        watch: &mut Watch<'_>,
        first_seq: u64,
        samples: &mut Vec<Sample>,
    ) -> Result<Exchanged, BenchError> {
        let link = self.link;
        let system = |what| move |source| BenchError::System { what, source };
        let own: OwnedFd = watch.client().own_vectors()[0].try_clone().map_err(system("copying an eventfd"))?;
        let theirs = watch.client().peers().get(&guest.peer()).and_then(|vectors| vectors.first());
        let theirs = theirs.ok_or(BenchError::Stopped(super::Stopped::GuestLeft(guest.peer())))?;
        let theirs = theirs.try_clone().map_err(system("copying an eventfd"))?;

        let fault = Rc::clone(&self.fault);
        let faulty = if concerns_a_doorbell_of(block, fault.get()) { FAULTY } else { u64::MAX };
        let mut count = 0;
        let ring_once = || {
            count += 1;
            if count == faulty { ring_wrongly(&theirs, &fault) } else { ring(&theirs) }
        };
        // Whoever looks around often does not idle.
        let guard = block.limit_ms.filter(|_| block.workload == Workload::Idle).map(|limit| limit / 4);
        let mut event = HostEvent::new(&own, guard);
        event.drain().map_err(system("reading the eventfd"))?;
        let at = Position { block, first_seq };
        if !block.guest_wait.blocks() {
            self.exchange_notified_by(Silent, at, watch, event, samples)
        } else if block.workload == Workload::Storm || block.conditions.always_ring {
            self.exchange_notified_by(Bell::new(ring_once), at, watch, event, samples)
        } else {
            self.exchange_notified_by(Doorbell::new(link.guest_armed, ring_once), at, watch, event, samples)
        }
    }

    fn exchange_notified_by<N: Notifier>(
        &mut self,
        notifier: N,
        at: Position<'_>,
        watch: &mut Watch<'_>,
        event: HostEvent<'_>,
        samples: &mut Vec<Sample>,
    ) -> Result<Exchanged, BenchError> {
        let armed = self.link.host_armed;
        match (at.block.host_wait, self.fault.get()) {
            (WaitMode::Poll, Some(Fault::SleepyHost)) => self.exchange(Dozing, notifier, at, watch, samples),
            (WaitMode::Poll, Some(Fault::SlowStamps)) => self.exchange(Slow(Poll), notifier, at, watch, samples),
            (WaitMode::Poll, _) => self.exchange(Poll, notifier, at, watch, samples),
            (WaitMode::Irq, _) => self.exchange(Irq::new(armed, event), notifier, at, watch, samples),
            (WaitMode::Hybrid, _) => {
                self.exchange(Hybrid::new(armed, event, self.spin_ticks), notifier, at, watch, samples)
            }
        }
    }

    fn exchange<W: Waiter, N: Notifier>(
        &mut self,
        waiter: W,
        notifier: N,
        at: Position<'_>,
        watch: &mut Watch<'_>,
        samples: &mut Vec<Sample>,
    ) -> Result<Exchanged, BenchError> {
        let mut exchange = Exchange::new(self.link, watch, waiter, notifier, self.deadline);
        self.meter.take();
        let outcome = Stage {
            block: at.block,
            first_seq: at.first_seq,
            link: self.link,
            meter: &mut self.meter,
            camera: &mut self.camera,
            fault: &self.fault,
            ticks_per_ns: self.tsc_hz / 1e9,
            seed: self.seed,
            samples,
        }
        .play(&mut exchange)?;
        let (counts, rings, stale) = (exchange.waiter.counts(), exchange.notifier.rings(), exchange.stale);
        let (cpu, wall) = self.meter.take();
        if let Some(traffic) = &outcome.traffic {
            // A stream has more messages than were announced.
            self.next_seq = self.next_seq.max(traffic.last_seq + 2);
        }
        Ok(Exchanged { counts, rings, stale, cpu, wall, outcome })
    }
}

/// A block, and where its messages begin.
#[derive(Clone, Copy)]
struct Position<'b> {
    block: &'b Block,
    first_seq: u64,
}

/// One ring.
pub(super) fn ring(eventfd: &impl AsFd) -> io::Result<()> {
    nix::unistd::write(eventfd, &1_u64.to_ne_bytes())?;
    Ok(())
}
