//! `uio_pci_msix`, this project's module: one /dev/uioN per vector, each with the same maps.

use std::io;
use std::os::fd::AsFd;

use proto::region::SharedRegion;
use proto::wire::Vector;
use uio::UioDevice;

use super::uio::{self as node, UioInterrupt};
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
    let node = node::open(device, &format!("{UIO_PCI_MSIX}-v{vector}"))?;
    node.ok_or_else(|| DriverError::NoVector { address: device.address().to_owned(), vector })
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
        let line = format!("{UIO_PCI_MSIX}-v{vector}@pci:{}", self.device.address());
        Ok(Box::new(UioInterrupt::new(node, line)))
    }
}
