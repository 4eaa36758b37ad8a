//! A block of operations, between two looks at the clocks, the counters and the CPU times.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use proto::ack::{Ack, Refusal};
use proto::clock::{Offset, ticks};
use proto::control::{Announcement, WaitKind, Work};
use proto::counters::GuestCounters;
use proto::frame::FrameHeader;
use proto::layout::{PAGE, RECORD_COUNT};
use proto::wait::{Doorbell, Hybrid, Irq, Notifier, Poll, Silent, WaitCounts, Waiter};
use report::measured::{ClockFit, CorruptAnswer, Counters, CpuTime, MeasuredBlock};
use report::plan::{Block, Fault, Plan, Wait, Workload};
use zerocopy::IntoBytes;

use super::BenchError;
use super::cpu::Meter;
use super::event::HostEvent;
use super::frames::Camera;
use super::guest::Guest;
use super::link::{Link, PAYLOAD};
use super::operations::{Deadline, Exchange, Sample};
use super::recorder::Recorder;
use super::watch::Watch;

/// Handshakes per look at the clocks: enough that one of them meets no interruption.
const HANDSHAKES: u64 = 300;
/// Round trips from which the cost of blocking is taken.
const CALIBRATION: u64 = 400;
/// Which doorbell [`Fault::DropDoorbell`] drops.
const DROPPED: u64 = 20;

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
    fault: Cell<Option<Fault>>,
}

/// What a block's exchange brought, beside its samples.
struct Exchanged {
    counts: WaitCounts,
    rings: u64,
    stale: u64,
    cpu: CpuTime,
    wall: Duration,
    corrupt: Option<CorruptAnswer>,
}

impl<'r, 'l> Runner<'r, 'l> {
    pub(super) fn new(plan: &Plan, link: &'r Link<'l>, tsc_hz: f64) -> Self {
        let deadline = Deadline::new(Duration::from_millis(plan.operation_timeout_ms), tsc_hz);
        let meter = Meter::new(plan.qemu.as_ref());
        let camera = Camera::new(plan.seed);
        let fault = Cell::new(plan.fault);
        Self { link, tsc_hz, deadline, meter, camera, next_seq: 1, spin_ticks: 0, fault }
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
            host_wait: Wait::Irq,
            guest_wait: Wait::Irq,
            size_bytes: 64,
            warmup: 0,
            count: CALIBRATION,
            corrupt_one: false,
        };
        let announcement = self.announce(Work::Pingpong, Wait::Irq, Wait::Irq, CALIBRATION);
        guest.begin(announcement, watch, block.index)?;
        let mut samples = Vec::new();
        self.exchange_as_asked(&block, guest, watch, announcement.first_seq, &mut samples)?;
        guest.end(watch, block.index)?;
        let mut trips: Vec<u64> = samples.iter().map(|s| s.ended.saturating_sub(s.published)).collect();
        trips.sort_unstable();
        self.spin_ticks = trips[trips.len() / 2];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a round trip fits 64 bits of ns")]
        Ok((self.spin_ticks as f64 / ticks_per_ns) as u64)
    }

    /// Runs a block and records its operations.
    pub(super) fn run(
        &mut self,
        block: &Block,
        guest: &mut Guest<'_>,
        watch: &mut Watch<'_>,
        recorder: &mut Recorder,
    ) -> Result<MeasuredBlock, BenchError> {
        let before = self.fit_clocks(guest, watch, block.index)?;
        let operations = block.warmup + block.count + u64::from(block.corrupt_one);
        let work = match block.workload {
            Workload::Pingpong => Work::Pingpong,
            Workload::Frame => Work::Frame,
        };
        let announcement = self.announce(work, block.guest_wait, block.host_wait, operations);
        guest.begin(announcement, watch, block.index)?;
        let mut samples = Vec::with_capacity(usize::try_from(operations).unwrap_or(RECORD_COUNT));
        let outcome = self.exchange_as_asked(block, guest, watch, announcement.first_seq, &mut samples);
        let ended = outcome.and_then(|exchanged| Ok((exchanged, guest.end(watch, block.index)?)));
        let measured: Vec<Sample> = samples.into_iter().skip(usize::try_from(block.warmup).unwrap_or(0)).collect();
        let (exchanged, counted) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // What was measured up to here is worth keeping; one-way figures are not, without the second look.
                recorder.block(block, &measured, self.link.memory, None, self.tsc_hz)?;
                guest.abort()?;
                return Err(error);
            }
        };
        let after = self.fit_clocks(guest, watch, block.index)?;
        let clock = self.clock_fit(before, after);
        let offset = Offset { ticks: before.ticks.midpoint(after.ticks), bound: before.bound.max(after.bound) };
        let stable = clock.is_stable().then_some(offset);
        let measured = &measured[..measured.len().min(usize::try_from(block.count).unwrap_or(usize::MAX))];
        recorder.block(block, measured, self.link.memory, stable, self.tsc_hz)?;
        let verified = measured.iter().filter(|s| s.answer == Some(Ack::Processed)).count() as u64;
        Ok(MeasuredBlock {
            block: block.clone(),
            wall_ns: u64::try_from(exchanged.wall.as_nanos()).unwrap_or(u64::MAX),
            operations: measured.len() as u64,
            counters: counters(&exchanged, &counted),
            cpu: exchanged.cpu,
            clock,
            corrupt_answer: exchanged.corrupt,
            bytes_verified: if block.workload == Workload::Frame { verified * block.size_bytes } else { 0 },
        })
    }

    fn announce(&mut self, work: Work, guest_wait: Wait, host_wait: Wait, operations: u64) -> Announcement {
        let kind = |wait| match wait {
            Wait::Poll => WaitKind::Poll,
            Wait::Irq => WaitKind::Irq,
            Wait::Hybrid => WaitKind::Hybrid,
        };
        let first_seq = self.next_seq;
        self.next_seq += operations;
        Announcement {
            work,
            guest_wait: kind(guest_wait),
            host_wait: kind(host_wait),
            operations,
            first_seq,
            spin_ticks: self.spin_ticks,
        }
    }

    /// How the guest's counter stands to the host's, from the tightest of a few hundred handshakes.
    fn fit_clocks(&mut self, guest: &mut Guest<'_>, watch: &mut Watch<'_>, index: u32) -> Result<Offset, BenchError> {
        let announcement = self.announce(Work::Clock, Wait::Poll, Wait::Poll, HANDSHAKES);
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

        let dropped = if block.guest_wait == Wait::Irq && self.fault.get() == Some(Fault::DropDoorbell) {
            self.fault.set(None);
            DROPPED
        } else {
            u64::MAX
        };
        let mut count = 0;
        let ring_once = || {
            count += 1;
            if count == dropped { Ok(()) } else { ring(&theirs) }
        };
        let mut event = HostEvent::new(&own);
        event.drain().map_err(system("reading the eventfd"))?;
        if block.guest_wait.blocks() {
            let doorbell = Doorbell::new(link.guest_armed, ring_once);
            self.exchange_notified_by(doorbell, block, watch, event, first_seq, samples)
        } else {
            self.exchange_notified_by(Silent, block, watch, event, first_seq, samples)
        }
    }

    fn exchange_notified_by<N: Notifier>(
        &mut self,
        notifier: N,
        block: &Block,
        watch: &mut Watch<'_>,
        event: HostEvent<'_>,
        first_seq: u64,
        samples: &mut Vec<Sample>,
    ) -> Result<Exchanged, BenchError> {
        let (link, deadline) = (self.link, self.deadline);
        match block.host_wait {
            Wait::Poll => {
                self.exchange(block, first_seq, Exchange::new(link, watch, Poll, notifier, deadline), samples)
            }
            Wait::Irq => {
                let waiter = Irq::new(link.host_armed, event);
                self.exchange(block, first_seq, Exchange::new(link, watch, waiter, notifier, deadline), samples)
            }
            Wait::Hybrid => {
                let waiter = Hybrid::new(link.host_armed, event, self.spin_ticks);
                self.exchange(block, first_seq, Exchange::new(link, watch, waiter, notifier, deadline), samples)
            }
        }
    }

    fn exchange<W: Waiter, N: Notifier>(
        &mut self,
        block: &Block,
        first_seq: u64,
        mut exchange: Exchange<'_, '_, '_, W, N>,
        samples: &mut Vec<Sample>,
    ) -> Result<Exchanged, BenchError> {
        let total = block.warmup + block.count;
        self.meter.take();
        for seq in first_seq..first_seq + total {
            let measured = seq >= first_seq + block.warmup;
            let mut sample = Sample { seq, ..Sample::default() };
            let done = match block.workload {
                Workload::Pingpong => {
                    if seq == first_seq + block.warmup {
                        self.meter.start();
                    }
                    pingpong(&mut exchange, &mut sample)
                }
                Workload::Frame => {
                    let wrong = measured && self.fault.get() == Some(Fault::WrongHash);
                    if wrong {
                        self.fault.set(None);
                    }
                    self.frame(&mut exchange, &mut sample, block.size_bytes, wrong)
                }
            };
            if block.workload == Workload::Frame && !measured {
                self.meter.take();
            }
            samples.push(sample);
            done?;
        }
        self.meter.stop();
        let (cpu, wall) = self.meter.take();
        let corrupt = if block.corrupt_one {
            let mut sample = Sample { seq: first_seq + total, ..Sample::default() };
            self.frame(&mut exchange, &mut sample, block.size_bytes, true)?;
            Some(match sample.answer {
                Some(Ack::Refused(Refusal::Hash)) => CorruptAnswer::Refused,
                Some(Ack::Processed) => CorruptAnswer::Accepted,
                _ => CorruptAnswer::Other,
            })
        } else {
            None
        };
        let (counts, rings, stale) = (exchange.waiter.counts(), exchange.notifier.rings(), exchange.stale);
        Ok(Exchanged { counts, rings, stale, cpu, wall, corrupt })
    }

    fn frame<W: Waiter, N: Notifier>(
        &mut self,
        exchange: &mut Exchange<'_, '_, '_, W, N>,
        sample: &mut Sample,
        size: u64,
        corrupted: bool,
    ) -> Result<(), BenchError> {
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        let frame = if corrupted { self.camera.shoot_corrupted(len) } else { self.camera.shoot(len) };
        let index = sample.seq % self.link.layout.slots as u64;
        let at = self.link.layout.slot(index).ok_or(proto::region::RegionError::OutOfBounds {
            offset: usize::MAX,
            len,
            region: self.link.memory.len(),
        })?;
        let header = FrameHeader::new(sample.seq, size, frame.sha256);
        // Making a frame is no part of what sending it costs.
        self.meter.start();
        sample.begun = ticks();
        self.link.memory.copy_in(at + PAGE, &frame.bytes)?;
        self.link.memory.copy_in(at, header.as_bytes())?;
        sample.written = ticks();
        self.link.accompany([index, 0, 0, 0, 0, 0, 0]);
        let done = exchange.round_trip(sample);
        self.meter.stop();
        done
    }
}

/// A message of one cache line: the message word and seven more, whose exclusive-or is the sequence number.
#[inline]
fn pingpong<W: Waiter, N: Notifier>(
    exchange: &mut Exchange<'_, '_, '_, W, N>,
    sample: &mut Sample,
) -> Result<(), BenchError> {
    let seq = sample.seq;
    let mut words = [0; PAYLOAD];
    for (word, i) in words[1..].iter_mut().zip(1_u64..) {
        *word = seq.wrapping_mul(i);
    }
    words[0] = words[1..].iter().fold(seq, |sum, word| sum ^ word);
    exchange.link.accompany(words);
    exchange.round_trip(sample)
}

fn ring(eventfd: &impl AsFd) -> io::Result<()> {
    nix::unistd::write(eventfd, &1_u64.to_ne_bytes())?;
    Ok(())
}

fn counters(host: &Exchanged, guest: &GuestCounters) -> Counters {
    Counters {
        rings: host.rings,
        interrupts: guest.interrupts,
        uio_events: guest.events,
        guest_waits: guest.waits,
        guest_found_armed: guest.found_armed,
        guest_found_spinning: guest.found_spinning,
        guest_deadline_wakeups: guest.deadline_wakeups,
        guest_rings: guest.rings,
        host_events: host.counts.events,
        host_waits: host.counts.waits,
        host_found_armed: host.counts.found_armed,
        host_found_spinning: host.counts.found_spinning,
        host_deadline_wakeups: host.counts.deadline_wakeups,
        stale_acks: host.stale,
        lost_wakeups: host.counts.lost_wakeups + guest.lost_wakeups,
    }
}
