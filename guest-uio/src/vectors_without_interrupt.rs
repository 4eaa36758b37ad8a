//! Finds vectors that never fire: the device rings itself on each vector.
//!
//! QEMU accepts a device with more vectors than its server. The guest allocates all of them, and those beyond the server's
//! count never fire. No component reports an error.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use doorbell::Vector;
use doorbell::deadline::scaled;

use crate::driver::{self, Driver};
use crate::error::DeviceError;
use crate::pci::PciDevice;
use crate::registers;

/// Time limit for the interrupts. Emulation delivers one in less than 1 ms; the margin is for a busy host.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Rings the device's first `vectors` vectors; returns those without an interrupt.
pub fn find(pci: &PciDevice, driver: &dyn Driver, vectors: u16) -> Result<Vec<Vector>, DeviceError> {
    let failed = |source| driver::wait_error(pci, source);
    let id = registers::own_id(&driver.bars().registers).map_err(std::io::Error::other).map_err(failed)?;
    // All vectors are opened first and share one timeout: 256 dead vectors take as long as one.
    let mut pending = Vec::new();
    for vector in (0..vectors).map(Vector) {
        let mut interrupt = driver.interrupt(vector)?;
        interrupt.drain().map_err(failed)?;
        pending.push((vector, interrupt));
    }
    for (vector, _) in &pending {
        registers::ring(&driver.bars().registers, id, *vector).map_err(std::io::Error::other).map_err(failed)?;
    }
    let start = Instant::now();
    loop {
        // Read the time first: a process that was stopped after this line still reads all vectors again.
        let timed_out = start.elapsed() > scaled(TIMEOUT);
        let mut remaining = Vec::new();
        for (vector, mut interrupt) in pending {
            if interrupt.drain().map_err(failed)? == 0 {
                remaining.push((vector, interrupt));
            }
        }
        if timed_out || remaining.is_empty() {
            return Ok(remaining.into_iter().map(|(vector, _)| vector).collect());
        }
        pending = remaining;
        sleep(POLL_INTERVAL);
    }
}

/// The likely reason and a hint. `missing` are the vectors without an interrupt among the first `tried`; at least one.
#[must_use]
pub fn explain(missing: &[Vector], tried: u16) -> (String, String) {
    let first = missing.first().map_or(tried, |vector| vector.0);
    let is_tail = missing.len() == usize::from(tried - first);
    if first > 0 && is_tail {
        let message = format!(
            "the device has {tried} vectors and its server {first}: interrupts do not arrive on {}",
            list(missing)
        );
        let hint = format!(
            "increase the server's vectors (ivshmem-server -n {tried}), or reduce the device's (vectors={first})"
        );
        return (message, hint);
    }
    let message = format!("interrupts do not arrive on {}", list(missing));
    let hint = "enable the device's bus mastering (lspci -vv shows BusMaster+): guest-uio unbind, then guest-uio bind";
    (message, hint.to_owned())
}

/// `vector 3`, `vectors 0, 2-7`.
#[must_use]
pub fn list(vectors: &[Vector]) -> String {
    let mut text = if vectors.len() == 1 { "vector ".to_owned() } else { "vectors ".to_owned() };
    let runs = vectors.chunk_by(|a, b| a.0 + 1 == b.0);
    for (index, run) in runs.enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = match run {
            [first, .., last] => write!(text, "{separator}{first}-{last}"),
            _ => write!(text, "{separator}{}", run[0]),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(numbers: &[u16]) -> Vec<Vector> {
        numbers.iter().copied().map(Vector).collect()
    }

    #[test]
    fn lists_vectors_as_ranges() {
        assert_eq!(list(&vectors(&[3])), "vector 3");
        assert_eq!(list(&vectors(&[0, 1])), "vectors 0-1");
        assert_eq!(list(&vectors(&[0, 2, 3, 4, 9])), "vectors 0, 2-4, 9");
    }

    #[test]
    fn explains_missing_last_vectors_by_the_server() {
        let (message, hint) = explain(&vectors(&[2, 3]), 4);
        assert_eq!(message, "the device has 4 vectors and its server 2: interrupts do not arrive on vectors 2-3");
        assert!(hint.contains("ivshmem-server -n 4") && hint.contains("vectors=2"), "{hint}");
    }

    #[test]
    fn explains_other_missing_vectors_by_bus_mastering() {
        for (missing, tried) in [(&[0, 1][..], 2), (&[1], 3), (&[0], 1)] {
            let (message, hint) = explain(&vectors(missing), tried);
            assert!(message.starts_with("interrupts do not arrive on vector"), "{message}");
            assert!(hint.contains("bus mastering"), "{hint}");
        }
    }
}
