//! A /dev/uioN, found by the name that its driver assigned. Node numbers depend on the order of allocation.
//!
//! The `uio` crate opens the device file. Its own wait is not used, because it retries after a signal and cannot be
//! aborted. Its own map is not used either, because it never unmaps.

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

use super::{IrqSource, UIO_PCI_MSIX};
use crate::error::{DeviceError, system};
use crate::pci::PciDevice;

/// Time limit for another process to release the lock on a node.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// An open node.
pub(super) struct Node {
    pub(super) file: UioDevice,
    /// Its folder in sysfs.
    folder: PathBuf,
}

impl Node {
    /// Opens the node of this name; `None` if the device lacks it. Several processes may wait for a vector.
    pub(super) fn open(device: &PciDevice, name: &str) -> Result<Option<Self>, DeviceError> {
        let is_named = |folder: &PathBuf| fs::read_to_string(folder.join("name")).is_ok_and(|text| text.trim() == name);
        let Some(folder) = folders(device).find(is_named) else { return Ok(None) };
        let file = open_shared(&folder);
        Ok(Some(Self { file: file.map_err(system(format!("cannot open {}", path(&folder).display())))?, folder }))
    }

    /// The map of this name. Map numbers differ between versions of a driver, and a store to the wrong map could ring
    /// doorbells.
    pub(super) fn map(&self, name: &str) -> Result<UioMap, DeviceError> {
        UioMap::find_in(&self.folder.join("maps"), name)
    }

    /// Interrupts since the driver was bound.
    fn event_count(&self) -> Option<u32> {
        fs::read_to_string(self.folder.join("event")).ok()?.trim().parse().ok()
    }
}

/// Opens a node without an exclusive lock. The `uio` crate locks a node when it opens it; the lock is released immediately,
/// because several processes may wait for a vector. Another process may hold the lock briefly while it opens the node.
fn open_shared(folder: &Path) -> io::Result<UioDevice> {
    let number = folder.file_name().and_then(|name| name.to_str()?.strip_prefix("uio")?.parse().ok());
    let number = number.ok_or(io::ErrorKind::NotFound)?;
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
    fn find_in(maps: &Path, name: &str) -> Result<Self, DeviceError> {
        let mut present = Vec::new();
        // The kernel numbers maps without gaps.
        for index in 0.. {
            let map = maps.join(format!("map{index}"));
            let Ok(found) = fs::read_to_string(map.join("name")) else { break };
            let found = found.trim().to_owned();
            if found == name {
                let path = map.join("size");
                let len = fs::read_to_string(&path).and_then(|size| {
                    usize::from_str_radix(size.trim().trim_start_matches("0x"), 16).map_err(io::Error::other)
                });
                let len = len.map_err(system(format!("cannot open {}", path.display())))?;
                return Ok(Self { index, len });
            }
            present.push(found);
        }
        let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
        Err(DeviceError::Missing(format!(
            "{} has no map named {name} (it has: {present}): another version of {UIO_PCI_MSIX} is loaded; rmmod \
             {UIO_PCI_MSIX}, then build and load guest-uio/kmod of this version",
            maps.display()
        )))
    }

    /// The offset for mmap(2).
    pub(super) fn offset(self) -> u64 {
        (self.index * bench_protocol::memory_map::PAGE) as u64
    }
}

/// The device's first node, of any name.
pub(super) fn first(device: &PciDevice) -> Option<PathBuf> {
    folders(device).next().map(|folder| path(&folder))
}

/// The device file of the node with this folder in sysfs.
fn path(folder: &Path) -> PathBuf {
    Path::new("/dev").join(folder.file_name().unwrap_or_default())
}

/// The folders of the device's nodes in sysfs.
fn folders(device: &PciDevice) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(device.folder().join("uio")).into_iter().flatten().flatten().map(|entry| entry.path())
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
    pub(super) fn new(node: Node, line: String, stamp: Option<IrqEntryStamp>) -> Self {
        // `read` blocks until the total differs from its value at open.
        let total = node.event_count().unwrap_or(0);
        Self { node: node.file, total, line, stamp }
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
