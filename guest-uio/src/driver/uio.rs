//! `uio_pci_msix`: one /dev/uioN per vector, found by its name, never by its number.
//!
//! The `uio` crate knows the sysfs attributes and holds the device file. Waiting is done here: its own wait retries
//! after a signal, and so could never be called off. Mapping is done with memmap2, which also unmaps.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proto::region::SharedRegion;
use proto::wait::{EventSource, Woke};
use proto::wire::Vector;
use uio::UioDevice;

use super::{Driver, DriverError, Interrupt, UIO_PCI_MSIX};
use crate::pci::PciDevice;

/// Map of BAR0.
const MAP_REGISTERS: usize = 0;
/// Map of BAR2.
const MAP_MEMORY: usize = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct UioPciMsix {
    device: PciDevice,
    registers: SharedRegion,
    memory: SharedRegion,
}

impl UioPciMsix {
    pub(super) fn open(device: &PciDevice) -> Result<Self, DriverError> {
        let node = open_vector(device, Vector(0))?;
        let registers = map(device, &node, MAP_REGISTERS, "BAR0")?;
        let memory = map(device, &node, MAP_MEMORY, "BAR2")?;
        Ok(Self { device: device.clone(), registers, memory })
    }
}

fn open_vector(device: &PciDevice, vector: Vector) -> Result<UioDevice, DriverError> {
    let missing = || DriverError::NoVector { address: device.address().to_owned(), vector };
    let wanted = format!("{UIO_PCI_MSIX}-v{vector}");
    let number = fs::read_dir(device.folder().join("uio"))
        .map_err(|_| missing())?
        .filter_map(Result::ok)
        .find(|entry| fs::read_to_string(entry.path().join("name")).is_ok_and(|name| name.trim() == wanted))
        .and_then(|entry| entry.file_name().to_str()?.strip_prefix("uio")?.parse::<usize>().ok())
        .ok_or_else(missing)?;
    UioDevice::try_new(number).map_err(|source| DriverError::Open { path: format!("/dev/uio{number}").into(), source })
}

fn map(device: &PciDevice, node: &UioDevice, index: usize, what: &'static str) -> Result<SharedRegion, DriverError> {
    let address = || device.address().to_owned();
    let len = node.map_size(index).map_err(|error| DriverError::Open {
        path: device.folder().join("uio"),
        source: io::Error::other(error.to_string()),
    })?;
    let offset = (index * proto::layout::PAGE) as u64;
    SharedRegion::map_device(node.as_fd(), offset, len).map_err(|source| DriverError::Map {
        what,
        address: address(),
        source,
    })
}

impl Driver for UioPciMsix {
    fn name(&self) -> &'static str {
        UIO_PCI_MSIX
    }
    fn registers(&self) -> &SharedRegion {
        &self.registers
    }
    fn memory(&self) -> &SharedRegion {
        &self.memory
    }
    fn memory_map(&self) -> &'static str {
        "uio_pci_msix map2"
    }
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn Interrupt>, DriverError> {
        let node = open_vector(&self.device, vector)?;
        // The kernel counts from what the total was at open; so must we.
        let total = node.get_event_count().unwrap_or(0);
        let line = format!("{UIO_PCI_MSIX}-v{vector}@pci:{}", self.device.address());
        Ok(Box::new(UioInterrupt { node, total, line }))
    }
}

/// A vector's events: `read` blocks and returns the running total.
struct UioInterrupt {
    node: UioDevice,
    total: u32,
    line: String,
}

impl EventSource for UioInterrupt {
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
}

impl Interrupt for UioInterrupt {
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
