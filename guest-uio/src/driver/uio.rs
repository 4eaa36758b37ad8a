//! A /dev/uioN, found by the name that its driver assigned. Node numbers depend on the order of allocation.
//!
//! The `uio` crate reads the sysfs attributes and opens the device file. Its own wait is not used, because it retries after
//! a signal and cannot be aborted. Its own map is not used either, because it never unmaps.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use doorbell::deadline::scaled;
use doorbell::region::SharedView;
use doorbell::wait::{EventSource, Wakeup};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::FlockOperation;
use uio::UioDevice;

use super::{DriverError, IrqSource};
use crate::pci::PciDevice;

/// Time limit for another process to release the lock on a node.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens the node of this name; `None` if the device lacks it.
pub(super) fn open(device: &PciDevice, name: &str) -> Result<Option<UioDevice>, DriverError> {
    let is_named = |number: &usize| {
        let attribute = device.folder().join(format!("uio/uio{number}/name"));
        fs::read_to_string(attribute).is_ok_and(|text| text.trim() == name)
    };
    let Some(number) = numbers(device).find(is_named) else { return Ok(None) };
    let failed = |source| DriverError::Open { path: path(number), source };
    let node = open_shared(number).map_err(failed)?;
    Ok(Some(node))
}

/// Opens a node without an exclusive lock. The `uio` crate locks a node when it opens it; the lock is released immediately,
/// because several processes may wait for a vector. Another process may hold the lock briefly while it opens the node.
fn open_shared(number: usize) -> io::Result<UioDevice> {
    let start = Instant::now();
    loop {
        match UioDevice::try_new(number) {
            Ok(node) => {
                rustix::fs::flock(&node, FlockOperation::Unlock)?;
                return Ok(node);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && start.elapsed() < scaled(LOCK_TIMEOUT) => {
                sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}

/// A map of a node: its number, which is the offset for mmap(2) in pages, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UioMap {
    pub(super) index: usize,
    pub(super) len: usize,
}

impl UioMap {
    /// The map of this name. Map numbers differ between versions of a driver, and a store to the wrong map could ring
    /// doorbells.
    pub(super) fn find(device: &PciDevice, node: &UioDevice, name: &'static str) -> Result<Self, DriverError> {
        Self::find_in(&device.folder().join(format!("uio/uio{}/maps", node.get_num())), name)
    }

    fn find_in(maps: &Path, name: &'static str) -> Result<Self, DriverError> {
        let mut present = Vec::new();
        // The kernel numbers maps without gaps.
        for index in 0.. {
            let map = maps.join(format!("map{index}"));
            let Ok(found) = fs::read_to_string(map.join("name")) else { break };
            let found = found.trim().to_owned();
            if found == name {
                let path = map.join("size");
                let size = fs::read_to_string(&path);
                let size = size.map_err(|source| DriverError::Open { path: path.clone(), source })?;
                let len = usize::from_str_radix(size.trim().trim_start_matches("0x"), 16);
                let len = len.map_err(|error| DriverError::Open { path, source: io::Error::other(error) })?;
                return Ok(Self { index, len });
            }
            present.push(found);
        }
        let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
        Err(DriverError::NoMap { path: maps.to_owned(), name, present })
    }

    /// The offset for mmap(2).
    pub(super) fn offset(self) -> u64 {
        (self.index * bench_protocol::memory_map::PAGE) as u64
    }
}

/// The device's first node, of any name.
pub(super) fn first(device: &PciDevice) -> Option<PathBuf> {
    numbers(device).next().map(path)
}

fn path(number: usize) -> PathBuf {
    format!("/dev/uio{number}").into()
}

fn numbers(device: &PciDevice) -> impl Iterator<Item = usize> {
    let entries = fs::read_dir(device.folder().join("uio")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("uio")?.parse().ok())
}

/// The interrupts of one node. `read` blocks and returns the total since the driver was bound.
pub(super) struct UioIrq {
    node: UioDevice,
    total: u32,
    line: String,
    stamp: Option<IrqEntryStamp>,
}

/// The word where the driver stores the time stamp counter at the entry of its interrupt handler.
pub(super) struct IrqEntryStamp {
    pub(super) page: SharedView,
    pub(super) offset: usize,
}

impl UioIrq {
    /// Counts interrupts from now on. `line` is the interrupt's name in /proc/interrupts.
    pub(super) fn new(node: UioDevice, line: String) -> Self {
        // `read` blocks until the total differs from its value at open.
        let total = node.get_event_count().unwrap_or(0);
        Self { node, total, line, stamp: None }
    }

    /// Adds the time of each handler's entry.
    pub(super) fn stamped(self, stamp: IrqEntryStamp) -> Self {
        Self { stamp: Some(stamp), ..self }
    }
}

impl EventSource for UioIrq {
    fn wait_event(&mut self) -> io::Result<Wakeup> {
        let mut word = [0; 4];
        match nix::unistd::read(self.node.as_fd(), &mut word) {
            Ok(4) => {
                let total = u32::from_ne_bytes(word);
                let events = total.wrapping_sub(self.total);
                self.total = total;
                Ok(Wakeup::Events(u64::from(events)))
            }
            Ok(n) => Err(io::Error::other(format!("the UIO device returned {n} bytes instead of 4"))),
            Err(nix::errno::Errno::EINTR) => Ok(Wakeup::Timeout),
            Err(error) => Err(error.into()),
        }
    }

    /// The handler writes the stamp before it wakes the reader.
    fn irq_entry_tsc(&self) -> Option<u64> {
        let stamp = self.stamp.as_ref()?;
        stamp.page.load(stamp.offset).ok()
    }
}

impl IrqSource for UioIrq {
    fn drain(&mut self) -> io::Result<u64> {
        let mut drained = 0;
        loop {
            let mut fds = [PollFd::new(self.node.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::ZERO)? == 0 {
                return Ok(drained);
            }
            if let Wakeup::Events(n) = self.wait_event()? {
                drained += n;
            }
        }
    }
    fn line(&self) -> &str {
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node's maps as in sysfs.
    fn maps(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (index, name) in names.iter().enumerate() {
            let map = folder.path().join(format!("map{index}"));
            fs::create_dir(&map).unwrap();
            fs::write(map.join("name"), format!("{name}\n")).unwrap();
            fs::write(map.join("size"), format!("{:#018x}\n", (index + 1) << 12)).unwrap();
        }
        folder
    }

    #[test]
    fn finds_maps_by_name_in_any_order() {
        for (names, index) in [(["registers", "memory", "stamps"], 1), (["registers", "stamps", "memory"], 2)] {
            let map = UioMap::find_in(maps(&names).path(), "memory").unwrap();
            assert_eq!(map, UioMap { index, len: (index + 1) << 12 });
            assert_eq!(map.offset(), index as u64 * 4096);
        }
    }

    #[test]
    fn error_for_missing_map_lists_present_maps() {
        for (names, present) in [(&["registers", "memory"][..], "(it has: registers, memory)"), (&[], "(it has: none)")]
        {
            let error = UioMap::find_in(maps(names).path(), "stamps").unwrap_err();
            let text = error.to_string();
            assert!(text.contains("no map named stamps") && text.contains(present), "{text}");
            assert_eq!(error.exit_status(), 3);
        }
    }
}
