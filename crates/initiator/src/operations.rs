//! One operation: publish, ring, wait for both phases of the answer. This is the measured path: the protocol, the
//! stamps, nothing else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bench_protocol::ack::{Ack, Tagged};
use doorbell::tsc::ticks;
use doorbell::wait::{Notifier, WaitError, Waiter};

use super::BenchError;
use super::link::Link;
use super::watch::{Stopped, Watch};

/// The host's stamps of an operation in ticks, and its answer. Zero: not taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) seq: u64,
    /// When it was due, in an open loop.
    pub(super) due: u64,
    /// H0: before the payload is written.
    pub(super) begun: u64,
    /// H1: payload written.
    pub(super) written: u64,
    /// H2: about to publish.
    pub(super) published: u64,
    /// H3: ring returned.
    pub(super) rung: u64,
    /// H4: RECEIVED seen, or the end if that was seen first.
    pub(super) received: u64,
    /// H5: the end seen.
    pub(super) ended: u64,
    /// How it ended; `None`: it did not.
    pub(super) answer: Option<Ack>,
}

/// A host's side of a block: a way to wait, a way to notify.
#[derive(Debug)]
pub(super) struct Exchange<'e, 'l, 'c, W, N> {
    pub(super) link: &'e Link<'l>,
    pub(super) watch: &'e mut Watch<'c>,
    pub(super) waiter: W,
    pub(super) notifier: N,
    /// The acknowledgement word as it was last seen.
    last: u64,
    /// Acknowledgements of another operation than the awaited one.
    pub(super) stale: u64,
    deadline: Deadline,
}

/// How long an operation may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    ticks: u64,
    time: Duration,
}

impl Deadline {
    /// In ticks of a counter of this rate.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a counter fit 64 bits")]
    pub(super) fn new(time: Duration, tsc_hz: f64) -> Self {
        Self { ticks: (time.as_secs_f64() * tsc_hz) as u64, time }
    }
}

/// Why a wait was called off.
enum Over {
    Deadline,
    Stopped(Stopped),
}

impl<'e, 'l, 'c, W: Waiter, N: Notifier> Exchange<'e, 'l, 'c, W, N> {
    pub(super) fn new(
        link: &'e Link<'l>,
        watch: &'e mut Watch<'c>,
        waiter: W,
        notifier: N,
        deadline: Deadline,
    ) -> Self {
        let last = link.ack.load(Ordering::Acquire);
        Self { link, watch, waiter, notifier, last, stale: 0, deadline }
    }

    /// One operation, from publishing to the end of the answer. The payload must be in place.
    #[inline]
    pub(super) fn round_trip(&mut self, sample: &mut Sample) -> Result<(), BenchError> {
        let seq = sample.seq;
        self.discard_early_answer();
        self.waiter.prepare();
        sample.published = ticks();
        self.link.publish(seq);
        self.notifier.notify().map_err(|source| BenchError::System { what: "ringing the guest", source })?;
        if N::RINGS {
            sample.rung = ticks();
        }
        let mut answer = self.next_state(seq, sample.published)?;
        sample.received = ticks();
        if answer == Ack::Received {
            answer = self.next_state(seq, sample.published)?;
            sample.ended = ticks();
        } else {
            sample.ended = sample.received;
        }
        sample.answer = Some(answer);
        Ok(())
    }

    /// An answer that was there before its message was sent is no answer.
    #[inline]
    fn discard_early_answer(&mut self) {
        let now = self.link.ack.load(Ordering::Relaxed);
        if now != self.last {
            self.stale += 1;
            self.last = now;
        }
    }

    /// Ends a block of which fewer messages were sent than announced: `seq` is the first that will not come.
    pub(super) fn end(&mut self, seq: u64) -> Result<(), BenchError> {
        self.link.publish_end(seq);
        self.notifier.notify().map_err(|source| BenchError::System { what: "ringing the guest", source })
    }

    /// Waits until `look` finds something in the acknowledgement word; `None` when `until` (in ticks) came before.
    pub(super) fn await_ack(
        &mut self,
        until: u64,
        seq: u64,
        found: impl Fn(Tagged) -> bool,
    ) -> Result<Option<Tagged>, BenchError> {
        let ack = self.link.ack;
        // SYNC POINT: pairs with the guest's release of the acknowledgement.
        let look = || Some(Tagged::unpack(ack.load(Ordering::Acquire))).filter(|word| found(*word));
        let watch = &mut *self.watch;
        let idle = || {
            watch.look().map_err(Over::Stopped)?;
            if ticks() > until { Err(Over::Deadline) } else { Ok(()) }
        };
        match self.waiter.wait(look, idle) {
            Ok(word) => {
                self.last = Tagged::pack(word.seq, word.state);
                Ok(Some(word))
            }
            Err(WaitError::Abandoned(Over::Deadline)) => Ok(None),
            Err(error) => Err(self.explain(error, seq)),
        }
    }

    /// That the guest took too long over a message.
    pub(super) fn timeout(&self, seq: u64) -> BenchError {
        self.explain(WaitError::Abandoned(Over::Deadline), seq)
    }

    /// How long an operation may take, in ticks.
    pub(super) fn patience(&self) -> u64 {
        self.deadline.ticks
    }

    /// Waits until the acknowledgement of `seq` changes.
    #[inline]
    fn next_state(&mut self, seq: u64, published: u64) -> Result<Ack, BenchError> {
        loop {
            let (ack, last) = (self.link.ack, self.last);
            // SYNC POINT: pairs with the guest's release of the acknowledgement.
            let look = || Some(ack.load(Ordering::Acquire)).filter(|word| *word != last);
            let (watch, deadline) = (&mut *self.watch, self.deadline);
            let idle = || {
                watch.look().map_err(Over::Stopped)?;
                if ticks().wrapping_sub(published) > deadline.ticks { Err(Over::Deadline) } else { Ok(()) }
            };
            match self.waiter.wait(look, idle) {
                Ok(word) => {
                    self.last = word;
                    let Tagged { seq: of, state } = Tagged::unpack(word);
                    if of == seq {
                        return Ok(Ack::of(state));
                    }
                    // An answer to another operation is no answer to this one, however much it looks like one.
                    self.stale += 1;
                }
                Err(error) => return Err(self.explain(error, seq)),
            }
        }
    }

    #[cold]
    fn explain(&self, error: WaitError<Over>, seq: u64) -> BenchError {
        match error {
            WaitError::Source(source) => BenchError::System { what: "waiting for the guest's doorbell", source },
            WaitError::Abandoned(Over::Stopped(stopped)) => stopped.into(),
            WaitError::Abandoned(Over::Deadline) => {
                BenchError::Timeout { seq, waited: self.deadline.time, states: self.link.states() }
            }
        }
    }
}
