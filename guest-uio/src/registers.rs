//! The device's registers (QEMU, docs/specs/ivshmem-spec, "Device registers").

use std::sync::atomic::Ordering;

use doorbell::region::{RegionError, SharedRegion};
use doorbell::{PeerId, Vector};

/// The device's own id, BAR0 + 8.
const IV_POSITION: usize = 8;
/// The write-only doorbell register, BAR0 + 12.
const DOORBELL: usize = 12;

/// This device's peer id. It is always valid: QEMU creates the device after the server has assigned the id.
pub fn own_id(registers: &SharedRegion) -> Result<PeerId, RegionError> {
    let word = registers.word32(IV_POSITION)?.load(Ordering::Relaxed);
    // The register has 32 bits, ids have 16.
    Ok(PeerId(u16::try_from(word).unwrap_or(u16::MAX)))
}

/// Rings `peer` on `vector` with one 32-bit store. The device ignores a peer or vector that does not exist.
pub fn ring(registers: &SharedRegion, peer: PeerId, vector: Vector) -> Result<(), RegionError> {
    // Release: earlier stores to the memory are visible when the peer wakes.
    registers.word32(DOORBELL)?.store(u32::from(peer.0) << 16 | u32::from(vector.0), Ordering::Release);
    Ok(())
}
