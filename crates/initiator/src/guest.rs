//! Finds the guest and drives it from block to block through the command word.

use std::thread::sleep;
use std::time::{Duration, Instant};

use bench_model::raw::GuestFacts;
use bench_protocol::control::{self, ABORT, BlockParams, DONE, FAILED, FINISH, READY};
use bench_protocol::counters::GuestCounters;
use bench_protocol::hello::{self, Hello};
use doorbell::PeerId;
use doorbell::deadline::scaled;

use super::BenchError;
use super::run_monitor::RunMonitor;
use super::shared_words::SharedWords;

/// Poll interval of words that change a few times per second.
const PAUSE: Duration = Duration::from_micros(50);
/// Limit of the guest's reaction to a command, in addition to the block itself.
const REACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The guest of this run.
#[derive(Debug)]
pub(super) struct Guest<'l, 'c> {
    pub(super) words: &'l SharedWords<'l>,
    /// Checked during each wait for the guest.
    pub(super) monitor: RunMonitor<'c>,
    pub(super) peer: PeerId,
    epoch: u64,
    /// The current block's index in the plan.
    block: u32,
}

impl<'l, 'c> Guest<'l, 'c> {
    /// Waits for the guest's hello.
    pub(super) fn wait_for_hello(
        words: &'l SharedWords<'l>,
        mut monitor: RunMonitor<'c>,
        timeout: Duration,
    ) -> Result<(Self, GuestFacts), BenchError> {
        let start = Instant::now();
        // The guest's hello can arrive before the server announces the guest.
        let hello = loop {
            if let Some(hello) = Hello::read(words.memory, words.layout.nonce)?
                && monitor.client.peers().contains_key(&PeerId(hello.peer))
            {
                break hello;
            }
            if start.elapsed() > timeout {
                return Err(BenchError::Guest(format!(
                    "no guest answered within {timeout:?}. Hint: run guest-uio respond in a VM on this server; use a longer \
                     --ready-timeout on a slow machine"
                )));
            }
            monitor.check()?;
            sleep(PAUSE);
        };
        let peer = PeerId(hello.peer);
        monitor.guest = Some(peer);
        // The facts are only displayed: invalid JSON leaves them empty.
        let facts = serde_json::from_str(&hello.text).unwrap_or_default();
        Ok((Self { words, monitor, peer, epoch: 0, block: 0 }, facts))
    }

    /// Starts a block and waits until the guest is ready for the first message.
    pub(super) fn begin(&mut self, params: BlockParams, index: u32) -> Result<(), BenchError> {
        self.epoch += 1;
        self.block = index;
        params.publish(self.words.memory, self.epoch)?;
        self.barrier(READY, "ready for a block", PAUSE)
    }

    /// Waits until the guest has finished the block, and returns its counters.
    pub(super) fn end(&mut self) -> Result<GuestCounters, BenchError> {
        self.barrier(DONE, "done with a block", PAUSE)?;
        Ok(GuestCounters::read(self.words.memory)?)
    }

    /// Waits without sleeping: an idle core can slow down the core that measures.
    pub(super) fn end_spinning(&mut self) -> Result<(), BenchError> {
        self.barrier(DONE, "done with its peak bandwidth", Duration::ZERO)
    }

    fn barrier(&mut self, state: u8, what: &str, pause: Duration) -> Result<(), BenchError> {
        let (start, answer) = (Instant::now(), scaled(REACTION_TIMEOUT));
        loop {
            let status = control::read_status(self.words.memory)?;
            if status.seq == self.epoch && has_reached(state, status.state) {
                return Ok(());
            }
            if status.seq == self.epoch && status.state == FAILED {
                let why = hello::read_text(self.words.memory)?;
                return Err(BenchError::Guest(format!("the guest aborted block {}: {why}", self.block)));
            }
            if start.elapsed() > answer {
                let sides = self.words.states();
                return Err(BenchError::Guest(format!("the guest was not {what} within {answer:?}; {sides}")));
            }
            self.monitor.check()?;
            if pause.is_zero() {
                std::hint::spin_loop();
            } else {
                sleep(pause);
            }
        }
    }

    /// Aborts the block; the guest waits for commands again.
    pub(super) fn abort(&self) -> Result<(), BenchError> {
        Ok(control::write_command(self.words.memory, self.epoch, ABORT)?)
    }

    /// Ends the run.
    pub(super) fn finish(&mut self) -> Result<(), BenchError> {
        self.epoch += 1;
        Ok(control::write_command(self.words.memory, self.epoch, FINISH)?)
    }
}

/// Whether the guest reached the wanted state. Blocks without messages, such as the peak bandwidth, may end before a
/// preempted host checks again.
fn has_reached(wanted: u8, state: u8) -> bool {
    state == wanted || (wanted == READY && state == DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn done_implies_ready_and_failed_does_not() {
        assert!(has_reached(READY, READY) && has_reached(READY, DONE) && has_reached(DONE, DONE));
        assert!(!has_reached(DONE, READY) && !has_reached(READY, FAILED) && !has_reached(DONE, FAILED));
    }
}
