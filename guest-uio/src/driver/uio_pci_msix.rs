//! `uio_pci_msix`, this project's module: one /dev/uioN per vector, each with the same maps.

use std::io;
use std::os::fd::AsFd;

use proto::region::{SharedRegion, SharedView};
use proto::wire::Vector;
use uio::UioDevice;

use super::uio::{self as node, Stamp, UioInterrupt};
use super::{Driver, DriverError, Interrupt, MapKind, UIO_PCI_MSIX, sysfs};
use crate::pci::PciDevice;

/// Map of BAR0.
const MAP_REGISTERS: usize = 0;
/// Map of the stamps: per vector 64 bytes, of which the first eight are the time stamp counter at the last entry of the
/// vector's handler (`struct stamp` in `kmod/uio_pci_msix.c`).
const MAP_STAMPS: usize = 1;
/// Bytes per vector's stamp.
const STAMP: usize = 64;
/// Map of BAR2.
const MAP_MEMORY: usize = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct UioPciMsix {
    device: PciDevice,
    registers: SharedRegion,
    memory: SharedRegion,
    memory_map: &'static str,
}

impl UioPciMsix {
    /// The module maps BAR2 write-back where the platform allows that, which is above 4 GiB. Uncached and write-combined
    /// mappings are sysfs's; the two must not be mixed, because the first mapping's type is everybody's.
    pub(super) fn open(device: &PciDevice, kind: MapKind) -> Result<Self, DriverError> {
        let node = open_vector(device, Vector(0))?;
        let registers = map(device, &node, MAP_REGISTERS, "BAR0")?;
        let above = device.bar(2)?.start >= 1 << 32;
        let (memory, memory_map) = match kind {
            MapKind::Uncached | MapKind::WriteCombined => sysfs::map_memory(device, kind)?,
            MapKind::WriteBack if !above => {
                return Err(DriverError::NoSuchMap {
                    why: format!(
                        "BAR2 of {} lies below 4 GiB, where firmware makes all memory uncachable: load {UIO_PCI_MSIX} \
                         with move_bar2=1, or share 1 GiB and more",
                        device.address()
                    ),
                });
            }
            MapKind::Auto | MapKind::WriteBack => {
                let name = if above { "uio_pci_msix map2, above 4 GiB" } else { "uio_pci_msix map2" };
                (map(device, &node, MAP_MEMORY, "BAR2")?, name)
            }
        };
        Ok(Self { device: device.clone(), registers, memory, memory_map })
    }
}

fn open_vector(device: &PciDevice, vector: Vector) -> Result<UioDevice, DriverError> {
    let node = node::open(device, &format!("{UIO_PCI_MSIX}-v{vector}"))?;
    node.ok_or_else(|| DriverError::NoVector { address: device.address().to_owned(), vector })
}

fn map_len(device: &PciDevice, node: &UioDevice, index: usize) -> Result<usize, DriverError> {
    node.map_size(index).map_err(|error| DriverError::Open {
        path: device.folder().join("uio"),
        source: io::Error::other(error.to_string()),
    })
}

fn map(device: &PciDevice, node: &UioDevice, index: usize, what: &'static str) -> Result<SharedRegion, DriverError> {
    let address = || device.address().to_owned();
    let len = map_len(device, node, index)?;
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
        self.memory_map
    }
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn Interrupt>, DriverError> {
        let node = open_vector(&self.device, vector)?;
        let line = format!("{UIO_PCI_MSIX}-v{vector}@pci:{}", self.device.address());
        let stamps = map_len(&self.device, &node, MAP_STAMPS)?;
        let offset = (MAP_STAMPS * proto::layout::PAGE) as u64;
        let page = SharedView::map_device(node.as_fd(), offset, stamps).map_err(|source| DriverError::Map {
            what: "the stamp page",
            address: self.device.address().to_owned(),
            source,
        })?;
        let stamp = Stamp { page, offset: usize::from(vector.0) * STAMP };
        Ok(Box::new(UioInterrupt::new(node, line).stamped(stamp)))
    }
}
