//! Handles frames: copies, verifies by SHA-256, acknowledges in two phases. Measured path: only the protocol and the stamps.

use std::sync::atomic::Ordering;

use bench_protocol::ack::{NackReason, PROCESSED, RECEIVED};
use bench_protocol::control::Fault;
use bench_protocol::frame::FrameHeader;
use bench_protocol::guest_stamps::GuestStamps;
use bench_protocol::memory_map::PAGE;
use doorbell::notify::Notifier;
use doorbell::region::RegionError;
use doorbell::tsc::tsc_now;
use doorbell::wait::Waiter;
use sha2::{Digest, Sha256};
use zerocopy::{FromZeros, IntoBytes};

use super::fault::FaultPolicy;
use super::messages::{BlockError, MessageHandler};

/// The frame that the fault `CorruptFrame` corrupts: the first after the warm-up.
const CORRUPTED: u64 = 3;

impl<C: FaultPolicy> MessageHandler<'_, C> {
    /// Copies the header and the payload, and uses only the copies: the host could change the originals.
    pub(super) fn frame(
        &mut self,
        seq: u64,
        waiter: &mut impl Waiter,
        notifier: &mut impl Notifier,
    ) -> Result<(), BlockError> {
        let detected = tsc_now();
        let irq_entry = waiter.irq_entry_tsc().unwrap_or(0);
        self.write_ack(seq, RECEIVED);
        let received = tsc_now();
        notifier.notify().map_err(BlockError::Wait)?;

        let mut record = GuestStamps { seq, irq_entry, detected, received, ..GuestStamps::default() };
        let state = match self.slot(seq)? {
            None => NackReason::Header as u8,
            Some((payload_at, len, sha256)) => {
                self.read(payload_at, len, &mut record)?;
                if self.policy.fault() == Some(Fault::CorruptFrame) && seq == self.block.first_seq + CORRUPTED {
                    self.frame[len / 2] ^= 1;
                }
                let digest = self.verify(len, &mut record);
                let accepted = digest == sha256 || self.policy.is_active(Fault::SkipVerify);
                if accepted { PROCESSED } else { NackReason::Hash as u8 }
            }
        };
        waiter.arm_early();
        record.acked = self.policy.stamp();
        self.write_ack(seq, state);
        notifier.notify().map_err(BlockError::Wait)?;
        self.records.publish(&record);
        Ok(())
    }

    /// Copies the payload out. Fault `ShortRead`: stamps the copy as complete after a 64th, which no slow copy hides.
    #[inline]
    fn read(&mut self, at: usize, len: usize, record: &mut GuestStamps) -> Result<(), RegionError> {
        if self.policy.is_active(Fault::ShortRead) {
            let part = len / 64;
            self.memory.copy_out(at, &mut self.frame[..part])?;
            record.read = tsc_now();
            return self.memory.copy_out(at + part, &mut self.frame[part..len]);
        }
        self.memory.copy_out(at, &mut self.frame[..len])?;
        if !self.policy.is_active(Fault::ShortVerify) {
            record.read = tsc_now();
        }
        Ok(())
    }

    #[inline]
    fn verify(&self, len: usize, record: &mut GuestStamps) -> [u8; 32] {
        let digest = Sha256::digest(&self.frame[..len]).into();
        if self.policy.is_active(Fault::ShortVerify) {
            record.read = tsc_now();
        }
        record.verified = tsc_now();
        digest
    }

    /// Offset, length and hash of the frame's payload; `None` if the slot or the header is invalid.
    fn slot(&self, seq: u64) -> Result<Option<(usize, usize, [u8; 32])>, RegionError> {
        let Some(at) = self.layout.slot(self.payload[0].load(Ordering::Relaxed)) else { return Ok(None) };
        let mut header = FrameHeader::new_zeroed();
        self.memory.copy_out(at, header.as_mut_bytes())?;
        Ok(header.validate(seq, self.layout.payload_bytes()).map(|len| (at + PAGE, len, header.sha256)))
    }
}
