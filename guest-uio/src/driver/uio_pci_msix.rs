//! `uio_pci_msix`, this project's module: one /dev/uioN per vector, all with the same maps.

use std::os::fd::AsFd;

use doorbell::Vector;
use doorbell::region::{SharedRegion, SharedView};
use uio::UioDevice;

use super::uio::{self as node, IrqEntryStamp, UioIrq, UioMap};
use super::{Driver, DriverError, IrqSource, UIO_PCI_MSIX, sysfs};
use crate::pci::PciDevice;
use bench_protocol::boot::Bar2Map;

/// Name of the map of BAR0.
const REGISTERS: &str = "registers";
/// Name of the map of BAR2.
const MEMORY: &str = "memory";
/// Name of the map of the IRQ entry stamps. Each vector has 64 bytes; the first eight are the time stamp counter at the last
/// entry of its interrupt handler (`struct stamp` in `kmod/uio_pci_msix.c`).
const STAMPS: &str = "stamps";
/// Bytes per stamp.
const STAMP_BYTES: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct UioPciMsix {
    device: PciDevice,
    registers: SharedRegion,
    memory: SharedRegion,
    memory_map: String,
}

impl UioPciMsix {
    /// The module maps BAR2 write-back above 4 GiB. Uncached and write-combined mappings are made through sysfs. The kinds
    /// must not be mixed, because the first mapping determines the memory type of all.
    pub(super) fn open(device: &PciDevice, kind: Bar2Map) -> Result<Self, DriverError> {
        let node = open_vector(device, Vector(0))?;
        let registers = map(device, &node, UioMap::find(device, &node, REGISTERS)?, "BAR0")?;
        let above_4g = device.bar(2)?.start >= 1 << 32;
        let (memory, memory_map) = match kind {
            Bar2Map::Uncached | Bar2Map::WriteCombined => {
                let (memory, file) = sysfs::map_memory(device, kind)?;
                (memory, file.to_owned())
            }
            Bar2Map::WriteBack if !above_4g => {
                return Err(DriverError::NoSuchMap {
                    why: format!(
                        "BAR2 of {} is below 4 GiB, where firmware makes all memory uncachable: load {UIO_PCI_MSIX} \
                         with move_bar2=1, or share at least 1 GiB",
                        device.address()
                    ),
                });
            }
            Bar2Map::Auto | Bar2Map::WriteBack => {
                let found = UioMap::find(device, &node, MEMORY)?;
                let place = if above_4g { ", above 4 GiB" } else { "" };
                (map(device, &node, found, "BAR2")?, format!("{UIO_PCI_MSIX} map{}{place}", found.index))
            }
        };
        Ok(Self { device: device.clone(), registers, memory, memory_map })
    }
}

fn open_vector(device: &PciDevice, vector: Vector) -> Result<UioDevice, DriverError> {
    let node = node::open(device, &format!("{UIO_PCI_MSIX}-v{vector}"))?;
    node.ok_or_else(|| DriverError::NoVector { address: device.address().to_owned(), vector })
}

fn map(device: &PciDevice, node: &UioDevice, map: UioMap, what: &'static str) -> Result<SharedRegion, DriverError> {
    SharedRegion::map_device(node.as_fd(), map.offset(), map.len).map_err(|source| DriverError::Map {
        what,
        address: device.address().to_owned(),
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
    fn memory_map(&self) -> &str {
        &self.memory_map
    }
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn IrqSource>, DriverError> {
        let node = open_vector(&self.device, vector)?;
        let line = format!("{UIO_PCI_MSIX}-v{vector}@pci:{}", self.device.address());
        let stamps = UioMap::find(&self.device, &node, STAMPS)?;
        let page = SharedView::map_device(node.as_fd(), stamps.offset(), stamps.len);
        let page = page.map_err(|source| DriverError::Map {
            what: "the page of IRQ entry stamps",
            address: self.device.address().to_owned(),
            source,
        })?;
        let stamp = IrqEntryStamp { page, offset: usize::from(vector.0) * STAMP_BYTES };
        Ok(Box::new(UioIrq::new(node, line).stamped(stamp)))
    }
}
