//! The guest's answer to a header, and its text: facts, peak bandwidth or an error.

use std::sync::atomic::Ordering;

use doorbell::region::{RegionError, SharedRegion};

use crate::memory_map::{GUEST_HELLO, GUEST_PEER, MAX_TEXT, TEXT, TEXT_BYTES};

/// The guest's answer to a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The guest's id, from its `IVPosition` register.
    pub peer: u16,
    /// The guest's facts, as JSON.
    pub text: String,
}

impl Hello {
    /// Answers the header with this nonce.
    pub fn publish(&self, region: &SharedRegion, nonce: u64) -> Result<(), RegionError> {
        write_text(region, &self.text)?;
        region.word(GUEST_PEER)?.store(u64::from(self.peer), Ordering::Relaxed);
        region.word(GUEST_HELLO)?.store(nonce, Ordering::Release);
        Ok(())
    }

    /// Reads the answer; `None` before the guest has answered this nonce.
    pub fn read(region: &SharedRegion, nonce: u64) -> Result<Option<Self>, RegionError> {
        if region.word(GUEST_HELLO)?.load(Ordering::Acquire) != nonce {
            return Ok(None);
        }
        // The server never assigns 65535 here: 65,535 other clients would have to join first. It marks an invalid id.
        let peer = u16::try_from(region.word(GUEST_PEER)?.load(Ordering::Relaxed)).unwrap_or(u16::MAX);
        Ok(Some(Self { peer, text: read_text(region)? }))
    }
}

/// Writes the guest's text, truncated to [`MAX_TEXT`] bytes.
pub fn write_text(region: &SharedRegion, text: &str) -> Result<(), RegionError> {
    let bytes = &text.as_bytes()[..text.len().min(MAX_TEXT)];
    region.copy_in(TEXT_BYTES, bytes)?;
    region.word(TEXT)?.store(bytes.len() as u64, Ordering::Release);
    Ok(())
}

/// Reads the guest's text. Invalid UTF-8 is replaced.
pub fn read_text(region: &SharedRegion) -> Result<String, RegionError> {
    let len = usize::try_from(region.word(TEXT)?.load(Ordering::Acquire)).unwrap_or(usize::MAX).min(MAX_TEXT);
    let mut bytes = vec![0; len];
    region.copy_out(TEXT_BYTES, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
