//! Vectors that never fire, found by letting the device ring itself on each of them.
//!
//! QEMU accepts a device with more vectors than its server has. The guest allocates them all, and those beyond the
//! server's count stay silent without an error anywhere.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use doorbell::Vector;
use doorbell::deadline::scaled;

use crate::driver::{self, Driver, DriverError};
use crate::pci::PciDevice;
use crate::registers;

/// How long a doorbell may take. Emulation delivers one in under a millisecond; the rest is for a busy host.
const ARRIVES_WITHIN: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Rings the device itself on its first `vectors` vectors; returns those on which nothing arrived.
pub fn find(pci: &PciDevice, driver: &dyn Driver, vectors: u16) -> Result<Vec<Vector>, DriverError> {
    let failed = |source| driver::wait_error(pci, source);
    let id = registers::own_id(driver.registers()).map_err(std::io::Error::other).map_err(failed)?;
    // All are open before the first ring, and all are awaited together: 256 silent vectors take no longer than one.
    let mut waiting = Vec::new();
    for vector in (0..vectors).map(Vector) {
        let mut interrupt = driver.interrupt(vector)?;
        interrupt.drain().map_err(failed)?;
        waiting.push((vector, interrupt));
    }
    for (vector, _) in &waiting {
        registers::ring(driver.registers(), id, *vector).map_err(std::io::Error::other).map_err(failed)?;
    }
    let start = Instant::now();
    loop {
        // Read before the vectors: a process that was stopped after this line reads them once more.
        let is_over = start.elapsed() > scaled(ARRIVES_WITHIN);
        let mut silent = Vec::new();
        for (vector, mut interrupt) in waiting {
            if interrupt.drain().map_err(failed)? == 0 {
                silent.push((vector, interrupt));
            }
        }
        if is_over || silent.is_empty() {
            return Ok(silent.into_iter().map(|(vector, _)| vector).collect());
        }
        waiting = silent;
        sleep(PAUSE);
    }
}

/// The reason, as far as the pattern shows it, and the hint: for `silent` ones, of which there is at least one, among
/// the first `tried` vectors.
#[must_use]
pub fn explain(silent: &[Vector], tried: u16) -> (String, String) {
    let first = silent.first().map_or(tried, |vector| vector.0);
    let is_tail = silent.len() == usize::from(tried - first);
    if first > 0 && is_tail {
        let message = format!(
            "the device has {tried} vectors and its server {first}: interrupts do not arrive on {}",
            list(silent)
        );
        let hint =
            format!("raise the server's vectors (ivshmem-server -n {tried}), or lower the device's (vectors={first})");
        return (message, hint);
    }
    let message = format!("interrupts do not arrive on {}", list(silent));
    let hint =
        "switch the device's bus mastering on (lspci -vv shows BusMaster+): guest-uio unbind, then guest-uio bind";
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
    fn vectors_are_listed_as_ranges() {
        assert_eq!(list(&vectors(&[3])), "vector 3");
        assert_eq!(list(&vectors(&[0, 1])), "vectors 0-1");
        assert_eq!(list(&vectors(&[0, 2, 3, 4, 9])), "vectors 0, 2-4, 9");
    }

    #[test]
    fn silent_tail_is_a_server_with_fewer_vectors() {
        let (message, hint) = explain(&vectors(&[2, 3]), 4);
        assert_eq!(message, "the device has 4 vectors and its server 2: interrupts do not arrive on vectors 2-3");
        assert!(hint.contains("ivshmem-server -n 4") && hint.contains("vectors=2"), "{hint}");
    }

    #[test]
    fn other_silent_vectors_are_not_blamed_on_the_server() {
        for (silent, tried) in [(&[0, 1][..], 2), (&[1], 3), (&[0], 1)] {
            let (message, hint) = explain(&vectors(silent), tried);
            assert!(message.starts_with("interrupts do not arrive on vector"), "{message}");
            assert!(hint.contains("bus mastering"), "{hint}");
        }
    }
}
