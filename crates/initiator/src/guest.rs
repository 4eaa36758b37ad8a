//! Finding the guest, and driving it from block to block through the command word.

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

/// Between two looks at a word that changes a few times a second.
const PAUSE: Duration = Duration::from_micros(50);
/// How long the guest may take between a command and its answer, beside what the block itself takes.
const ANSWER: Duration = Duration::from_secs(10);

/// The guest that answered this run.
#[derive(Debug)]
pub(super) struct Guest<'l> {
    words: &'l SharedWords<'l>,
    peer: PeerId,
    epoch: u64,
}

impl<'l> Guest<'l> {
    /// Waits for the guest's hello.
    pub(super) fn wait_for_hello(
        words: &'l SharedWords<'l>,
        monitor: &mut RunMonitor<'_>,
        timeout: Duration,
    ) -> Result<(Self, GuestFacts), BenchError> {
        let start = Instant::now();
        let hello = loop {
            if let Some(hello) = Hello::read(words.memory, words.layout.nonce)? {
                break hello;
            }
            if start.elapsed() > timeout {
                return Err(BenchError::NoGuest { waited: timeout });
            }
            monitor.check()?;
            sleep(PAUSE);
        };
        let peer = PeerId(hello.peer);
        // The server's word about the guest can be behind the guest's own.
        while !monitor.client().peers().contains_key(&peer) {
            if start.elapsed() > timeout {
                return Err(BenchError::NoGuest { waited: timeout });
            }
            monitor.check()?;
            sleep(PAUSE);
        }
        monitor.expect(peer);
        // What a guest says is shown, never relied on: text that is no JSON leaves the facts empty.
        let facts = serde_json::from_str(&hello.text).unwrap_or_default();
        Ok((Self { words, peer, epoch: 0 }, facts))
    }

    pub(super) fn peer(&self) -> PeerId {
        self.peer
    }

    /// Announces a block and waits until the guest is ready for its first message.
    pub(super) fn begin(
        &mut self,
        block: BlockParams,
        monitor: &mut RunMonitor<'_>,
        index: u32,
    ) -> Result<(), BenchError> {
        self.epoch += 1;
        block.publish(self.words.memory, self.epoch)?;
        self.barrier(READY, "ready for a block", monitor, index, PAUSE)
    }

    /// Waits until the guest has finished the block; what it counted.
    pub(super) fn end(&mut self, monitor: &mut RunMonitor<'_>, index: u32) -> Result<GuestCounters, BenchError> {
        self.barrier(DONE, "done with a block", monitor, index, PAUSE)?;
        Ok(GuestCounters::read(self.words.memory)?)
    }

    /// Waits for the same without sleeping: a core that sleeps may slow the other one down, as none does that polls.
    pub(super) fn end_spinning(&mut self, monitor: &mut RunMonitor<'_>, index: u32) -> Result<(), BenchError> {
        self.barrier(DONE, "done with its ceilings", monitor, index, Duration::ZERO)
    }

    fn barrier(
        &self,
        state: u8,
        what: &'static str,
        monitor: &mut RunMonitor<'_>,
        block: u32,
        pause: Duration,
    ) -> Result<(), BenchError> {
        let (start, answer) = (Instant::now(), scaled(ANSWER));
        loop {
            let status = control::read_status(self.words.memory)?;
            if status.seq == self.epoch && has_come_to(state, status.state) {
                return Ok(());
            }
            if status.seq == self.epoch && status.state == FAILED {
                return Err(BenchError::GuestAborted { block, why: hello::read_text(self.words.memory)? });
            }
            if start.elapsed() > answer {
                return Err(BenchError::GuestTimeout { what, waited: answer, states: self.words.states() });
            }
            monitor.check()?;
            if pause.is_zero() {
                std::hint::spin_loop();
            } else {
                sleep(pause);
            }
        }
    }

    /// Gives the block up; the guest goes back to waiting for commands.
    pub(super) fn abort(&self) -> Result<(), BenchError> {
        Ok(control::write_command(self.words.memory, self.epoch, ABORT)?)
    }

    /// Ends the run.
    pub(super) fn finish(&mut self) -> Result<(), BenchError> {
        self.epoch += 1;
        Ok(control::write_command(self.words.memory, self.epoch, FINISH)?)
    }
}

/// Whether a guest in this state has been in the wanted one. Work that asks for no messages, such as ceilings, may be done
/// before a host that lost its core looks again.
fn has_come_to(wanted: u8, state: u8) -> bool {
    state == wanted || (wanted == READY && state == DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_is_done_was_ready_and_none_that_failed() {
        assert!(has_come_to(READY, READY) && has_come_to(READY, DONE) && has_come_to(DONE, DONE));
        assert!(!has_come_to(DONE, READY) && !has_come_to(READY, FAILED) && !has_come_to(DONE, FAILED));
    }
}
