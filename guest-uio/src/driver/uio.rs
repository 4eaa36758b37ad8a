//! A /dev/uioN, found by the name that its driver gave it, never by its number.
//!
//! The `uio` crate knows the sysfs attributes and holds the device file. Waiting is done here: its own wait retries
//! after a signal, and so could never be called off. Mapping is done with memmap2, which also unmaps.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use doorbell::deadline::scaled;
use doorbell::region::SharedView;
use doorbell::wait::{EventSource, Woke};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::FlockOperation;
use uio::UioDevice;

use super::{DriverError, IrqSource};
use crate::pci::PciDevice;

/// How long another process's opening of a node may take.
const LOCKED_FOR: Duration = Duration::from_secs(1);

/// Opens the node of this name; `None` if the device has none.
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

/// The `uio` crate opens a node for itself alone, by a lock. Every reader of a vector wakes, and ringing needs no vector
/// at all, so the lock is given back at once; until then another process's opening may hold it for an instant.
fn open_shared(number: usize) -> io::Result<UioDevice> {
    let start = Instant::now();
    loop {
        match UioDevice::try_new(number) {
            Ok(node) => {
                rustix::fs::flock(&node, FlockOperation::Unlock)?;
                return Ok(node);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && start.elapsed() < scaled(LOCKED_FOR) => {
                sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}

/// A map of a node: the number that mmap(2) gets as its offset in pages, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UioMap {
    pub(super) index: usize,
    pub(super) len: usize,
}

impl UioMap {
    /// The map of this name. Numbers differ between versions of a driver; mapping one for another would let stores to
    /// memory ring doorbells.
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
        (self.index * bench_protocol::layout::PAGE) as u64
    }
}

/// The device's first node, whatever its name.
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

/// A node's events: `read` blocks and returns the running total.
pub(super) struct UioIrq {
    node: UioDevice,
    total: u32,
    line: String,
    stamp: Option<IrqEntryStamp>,
}

/// Where the driver notes when it entered its handler: a word with the time stamp counter.
pub(super) struct IrqEntryStamp {
    pub(super) page: SharedView,
    pub(super) offset: usize,
}

impl UioIrq {
    /// Events from now on. `line` names the interrupt in /proc/interrupts.
    pub(super) fn new(node: UioDevice, line: String) -> Self {
        // The kernel counts from what the total was at open; so must we.
        let total = node.get_event_count().unwrap_or(0);
        Self { node, total, line, stamp: None }
    }

    /// Says when each interrupt's handler was entered, too.
    pub(super) fn stamped(self, stamp: IrqEntryStamp) -> Self {
        Self { stamp: Some(stamp), ..self }
    }
}

impl EventSource for UioIrq {
    fn block(&mut self) -> io::Result<Woke> {
        let mut word = [0; 4];
        match nix::unistd::read(self.node.as_fd(), &mut word) {
            Ok(4) => {
                let total = u32::from_ne_bytes(word);
                let events = total.wrapping_sub(self.total);
                self.total = total;
                Ok(Woke::Events(u64::from(events)))
            }
            Ok(n) => Err(io::Error::other(format!("the UIO device gave {n} bytes, not 4"))),
            Err(nix::errno::Errno::EINTR) => Ok(Woke::Guard),
            Err(error) => Err(error.into()),
        }
    }

    /// The handler writes the stamp before it wakes the reader, so a reader that was woken sees its own.
    fn entered(&self) -> Option<u64> {
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
            if let Woke::Events(n) = self.block()? {
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

    /// A node's maps as sysfs lists them.
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
    fn maps_are_found_by_name_in_any_order() {
        for (names, index) in [(["registers", "memory", "stamps"], 1), (["registers", "stamps", "memory"], 2)] {
            let map = UioMap::find_in(maps(&names).path(), "memory").unwrap();
            assert_eq!(map, UioMap { index, len: (index + 1) << 12 });
            assert_eq!(map.offset(), index as u64 * 4096);
        }
    }

    #[test]
    fn missing_map_is_an_error_that_names_those_there_are() {
        for (names, present) in [(&["registers", "memory"][..], "(it has: registers, memory)"), (&[], "(it has: none)")]
        {
            let error = UioMap::find_in(maps(names).path(), "stamps").unwrap_err();
            let text = error.to_string();
            assert!(text.contains("no map named stamps") && text.contains(present), "{text}");
            assert_eq!(error.exit_status(), 3);
        }
    }
}
