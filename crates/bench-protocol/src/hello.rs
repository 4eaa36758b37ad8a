//! What the guest says of itself: its answer to a run's header, and text where a state byte is not enough.

use std::sync::atomic::Ordering;

use crate::layout::{GUEST_HELLO, TEXT, TEXT_BYTES};
use doorbell::region::{RegionError, SharedRegion};

/// The guest's answer to a header: who it is, and what it can do in its own words (JSON).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The guest's id, from its `IVPosition` register.
    pub peer: u16,
    /// What it says of itself.
    pub text: String,
}

impl Hello {
    /// Answers to the run with this nonce.
    pub fn publish(&self, region: &SharedRegion, nonce: u64) -> Result<(), RegionError> {
        write_text(region, &self.text)?;
        region.word(GUEST_HELLO + 8)?.store(u64::from(self.peer), Ordering::Relaxed);
        region.word(GUEST_HELLO)?.store(nonce, Ordering::Release);
        Ok(())
    }

    /// Reads the answer, `None` while there is none to this nonce.
    pub fn read(region: &SharedRegion, nonce: u64) -> Result<Option<Self>, RegionError> {
        if region.word(GUEST_HELLO)?.load(Ordering::Acquire) != nonce {
            return Ok(None);
        }
        // An id beyond 16 bits is no id; 65535 is one that no guest of ours can have before 65,535 others had theirs.
        let peer = u16::try_from(region.word(GUEST_HELLO + 8)?.load(Ordering::Relaxed)).unwrap_or(u16::MAX);
        Ok(Some(Self { peer, text: read_text(region)? }))
    }
}

/// Writes the guest's text; cut to what fits.
pub fn write_text(region: &SharedRegion, text: &str) -> Result<(), RegionError> {
    let bytes = &text.as_bytes()[..text.len().min(TEXT_BYTES)];
    region.copy_in(TEXT + 8, bytes)?;
    region.word(TEXT)?.store(bytes.len() as u64, Ordering::Release);
    Ok(())
}

/// Reads the guest's text, whatever it holds.
pub fn read_text(region: &SharedRegion) -> Result<String, RegionError> {
    let len = usize::try_from(region.word(TEXT)?.load(Ordering::Acquire)).unwrap_or(usize::MAX).min(TEXT_BYTES);
    let mut bytes = vec![0; len];
    region.copy_out(TEXT + 8, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
