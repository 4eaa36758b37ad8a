//! Frames in slots: written by the host, read and verified by the guest.

use bench_model::Fault;
use bench_model::raw::CorruptAnswer;
use bench_protocol::ack::{Ack, NackReason};
use bench_protocol::frame::FrameHeader;
use bench_protocol::memory_map::PAGE;
use doorbell::notify::Notifier;
use doorbell::region::{RegionError, flush_private};
use doorbell::tsc::tsc_now;
use doorbell::wait::Waiter;
use zerocopy::IntoBytes;

use crate::BenchError;
use crate::block::BlockContext;
use crate::block_result::BlockOutcome;
use crate::round_trip::{Channel, Sample};

impl BlockContext<'_, '_> {
    pub(super) fn frames<W: Waiter, N: Notifier>(
        &mut self,
        channel: &mut Channel<'_, '_, '_, W, N>,
    ) -> Result<BlockOutcome, BenchError> {
        let total = self.block.warmup + self.block.count;
        for position in 0..total {
            let mut sample = Sample { seq: self.first_seq + position, ..Sample::default() };
            let corrupted = position >= self.block.warmup && self.runner.fault.fires(Fault::WrongHash);
            let done = self.frame(channel, &mut sample, corrupted);
            if position < self.block.warmup {
                self.runner.meter.drain();
            }
            self.samples.push(sample);
            done?;
        }
        let corrupt = if self.block.corrupt_one {
            let cost = self.runner.meter.drain();
            let mut sample = Sample { seq: self.first_seq + total, ..Sample::default() };
            self.frame(channel, &mut sample, true)?;
            self.runner.meter.restore(cost);
            Some(match sample.answer {
                Some(Ack::Refused(NackReason::Hash)) => CorruptAnswer::Refused,
                Some(Ack::Processed) => CorruptAnswer::Accepted,
                Some(Ack::Refused(NackReason::Header | NackReason::Payload) | Ack::Received | Ack::Unknown(_))
                | None => CorruptAnswer::Other,
            })
        } else {
            None
        };
        Ok(BlockOutcome { corrupt, ..BlockOutcome::default() })
    }

    fn frame<W: Waiter, N: Notifier>(
        &mut self,
        channel: &mut Channel<'_, '_, '_, W, N>,
        sample: &mut Sample,
        corrupted: bool,
    ) -> Result<(), BenchError> {
        let len = usize::try_from(self.block.size_bytes).unwrap_or(usize::MAX);
        let frames = &mut self.runner.frames;
        let frame = if corrupted { frames.corrupted_frame(len) } else { frames.next_frame(len) };
        let words = self.runner.words;
        let (memory, index) = (words.memory, sample.seq % words.layout.slots as u64);
        let out_of_bounds = RegionError::OutOfBounds { offset: usize::MAX, len, region: memory.len() };
        let at = words.layout.slot(index).ok_or(out_of_bounds)?;
        let header = FrameHeader::new(sample.seq, self.block.size_bytes, frame.sha256);
        if self.block.conditions.cold {
            flush_private(&frame.bytes);
            memory.flush(at, PAGE + len)?;
        }
        // The generation of a frame is not measured.
        self.runner.meter.start();
        sample.begun = tsc_now();
        memory.copy_in(at + PAGE, &frame.bytes)?;
        memory.copy_in(at, header.as_bytes())?;
        sample.written = tsc_now();
        words.write_payload([index, 0, 0, 0, 0, 0, 0]);
        let done = channel.round_trip(sample);
        self.runner.meter.stop();
        done
    }
}
