//! What the device's registers mean (QEMU, docs/specs/ivshmem-spec, "Device registers").

use std::sync::atomic::Ordering;

use doorbell::region::{RegionError, SharedRegion};
use doorbell::{PeerId, Vector};

/// The device's own id, BAR0 + 8.
const IV_POSITION: usize = 8;
/// The doorbell, BAR0 + 12: write only.
const DOORBELL: usize = 12;

/// This device's id at the server. QEMU gives an id only once the server has: a device that exists has one.
pub fn own_id(registers: &SharedRegion) -> Result<PeerId, RegionError> {
    let word = registers.word32(IV_POSITION)?.load(Ordering::Relaxed);
    // The register has 32 bits, ids have 16.
    Ok(PeerId(u16::try_from(word).unwrap_or(u16::MAX)))
}

/// Rings `peer` on `vector`: one 32-bit store. A peer or vector that does not exist is ignored by the device.
pub fn ring(registers: &SharedRegion, peer: PeerId, vector: Vector) -> Result<(), RegionError> {
    // Release: whatever was written to the memory before is there when the peer wakes.
    registers.word32(DOORBELL)?.store(u32::from(peer.0) << 16 | u32::from(vector.0), Ordering::Release);
    Ok(())
}
