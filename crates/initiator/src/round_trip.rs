//! One operation: publish, ring, wait for both phases of the acknowledgement. The measured path: only the protocol and
//! the stamps.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bench_protocol::ack::{Ack, SeqState};
use doorbell::notify::Notifier;
use doorbell::tsc::tsc_now;
use doorbell::wait::{WaitError, Waiter};

use super::BenchError;
use super::error::system;
use super::run_monitor::{RunMonitor, StopReason};
use super::shared_words::SharedWords;

/// The step of a failed doorbell.
pub(super) const RINGING: &str = "ringing the guest";

/// The host's stamps of an operation in ticks, and its acknowledgement. Zero: not taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) seq: u64,
    /// Scheduled send time, in an open loop.
    pub(super) due: u64,
    /// H0: before the payload is written.
    pub(super) begun: u64,
    /// H1: payload written.
    pub(super) written: u64,
    /// H2: about to publish.
    pub(super) published: u64,
    /// H3: ring returned.
    pub(super) rung: u64,
    /// H4: RECEIVED detected, or the end if RECEIVED was missed.
    pub(super) received: u64,
    /// H5: the end detected.
    pub(super) ended: u64,
    /// The final acknowledgement; `None` if none arrived.
    pub(super) answer: Option<Ack>,
}

/// The host's side of a block: waiter and notifier.
#[derive(Debug)]
pub(super) struct Channel<'e, 'l, 'c, W, N> {
    pub(super) words: &'e SharedWords<'l>,
    pub(super) monitor: &'e mut RunMonitor<'c>,
    pub(super) waiter: W,
    pub(super) notifier: N,
    /// Last value of the acknowledgement word.
    last: u64,
    /// Acknowledgements of other operations than the awaited one.
    pub(super) stale: u64,
    pub(super) deadline: OperationTimeout,
}

/// Limit of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct OperationTimeout {
    pub(super) ticks: u64,
    time: Duration,
}

impl OperationTimeout {
    /// Converts to ticks of a counter of this rate.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a counter fit 64 bits")]
    pub(super) fn new(time: Duration, tsc_hz: f64) -> Self {
        Self { ticks: (time.as_secs_f64() * tsc_hz) as u64, time }
    }
}

/// Why a wait was aborted.
enum AbortReason {
    Timeout,
    StopReason(StopReason),
}

impl<'e, 'l, 'c, W: Waiter, N: Notifier> Channel<'e, 'l, 'c, W, N> {
    pub(super) fn new(
        words: &'e SharedWords<'l>,
        monitor: &'e mut RunMonitor<'c>,
        waiter: W,
        notifier: N,
        deadline: OperationTimeout,
    ) -> Self {
        let last = words.ack.load(Ordering::Acquire);
        Self { words, monitor, waiter, notifier, last, stale: 0, deadline }
    }

    /// One operation, from publishing to the final acknowledgement. The payload must be written.
    #[inline]
    pub(super) fn round_trip(&mut self, sample: &mut Sample) -> Result<(), BenchError> {
        let seq = sample.seq;
        self.discard_early_ack();
        self.waiter.arm_early();
        sample.published = tsc_now();
        self.words.publish(seq);
        self.notifier.notify().map_err(system(RINGING))?;
        if N::RINGS {
            sample.rung = tsc_now();
        }
        let mut answer = self.next_state(seq, sample.published)?;
        sample.received = tsc_now();
        if answer == Ack::Received {
            answer = self.next_state(seq, sample.published)?;
            sample.ended = tsc_now();
        } else {
            sample.ended = sample.received;
        }
        sample.answer = Some(answer);
        Ok(())
    }

    /// Discards an acknowledgement that arrived before its message was sent.
    #[inline]
    fn discard_early_ack(&mut self) {
        let now = self.words.ack.load(Ordering::Relaxed);
        if now != self.last {
            self.stale += 1;
            self.last = now;
        }
    }

    /// Ends a block early: `seq` is the first message that will not be sent.
    pub(super) fn end(&mut self, seq: u64) -> Result<(), BenchError> {
        self.words.publish_end(seq);
        self.notifier.notify().map_err(system(RINGING))
    }

    /// Waits until `found` accepts the acknowledgement word; `None` after `until` (in ticks).
    pub(super) fn await_ack(
        &mut self,
        until: u64,
        seq: u64,
        found: impl Fn(SeqState) -> bool,
    ) -> Result<Option<SeqState>, BenchError> {
        let ack = self.words.ack;
        // SYNC POINT: pairs with the guest's release of the acknowledgement.
        let look = || Some(SeqState::unpack(ack.load(Ordering::Acquire))).filter(|word| found(*word));
        let monitor = &mut *self.monitor;
        let idle = || {
            monitor.check().map_err(AbortReason::StopReason)?;
            if tsc_now() > until { Err(AbortReason::Timeout) } else { Ok(()) }
        };
        match self.waiter.wait(look, idle) {
            Ok(word) => {
                self.last = SeqState::pack(word.seq, word.state);
                Ok(Some(word))
            }
            Err(WaitError::Abandoned(AbortReason::Timeout)) => Ok(None),
            Err(error) => Err(self.to_bench_error(error, seq)),
        }
    }

    /// The error of a message that was not acknowledged in time.
    pub(super) fn timeout(&self, seq: u64) -> BenchError {
        self.to_bench_error(WaitError::Abandoned(AbortReason::Timeout), seq)
    }

    /// Waits until the acknowledgement of `seq` changes.
    #[inline]
    fn next_state(&mut self, seq: u64, published: u64) -> Result<Ack, BenchError> {
        loop {
            let (ack, last) = (self.words.ack, self.last);
            // SYNC POINT: pairs with the guest's release of the acknowledgement.
            let look = || Some(ack.load(Ordering::Acquire)).filter(|word| *word != last);
            let (monitor, deadline) = (&mut *self.monitor, self.deadline);
            let idle = || {
                monitor.check().map_err(AbortReason::StopReason)?;
                if tsc_now().wrapping_sub(published) > deadline.ticks { Err(AbortReason::Timeout) } else { Ok(()) }
            };
            match self.waiter.wait(look, idle) {
                Ok(word) => {
                    self.last = word;
                    let SeqState { seq: of, state } = SeqState::unpack(word);
                    if of == seq {
                        return Ok(Ack::from_state(state));
                    }
                    // An acknowledgement of another operation does not count.
                    self.stale += 1;
                }
                Err(error) => return Err(self.to_bench_error(error, seq)),
            }
        }
    }

    #[cold]
    fn to_bench_error(&self, error: WaitError<AbortReason>, seq: u64) -> BenchError {
        match error {
            WaitError::Source(source) => system("waiting for the guest's doorbell")(source),
            WaitError::Abandoned(AbortReason::StopReason(stopped)) => stopped.into(),
            WaitError::Abandoned(AbortReason::Timeout) => {
                let (waited, states) = (self.deadline.time, self.words.states());
                BenchError::Guest(format!("no acknowledgement of operation {seq} within {waited:?}; {states}"))
            }
        }
    }
}
