//! `uio_pci_msix`, this project's module: one /dev/uioN per vector, all with the same maps.

use doorbell::Vector;
use doorbell::region::{SharedRegion, SharedView};

use super::uio::{IrqEntryStamp, Node, UioIrq, UioMap};
use super::{Bars, Driver, IrqSource, UIO_PCI_MSIX, map_error, no_vector, sysfs};
use crate::error::DeviceError;
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
    bars: Bars,
}

impl UioPciMsix {
    /// The module maps BAR2 write-back above 4 GiB. Uncached and write-combined mappings are made through sysfs. The kinds
    /// must not be mixed, because the first mapping determines the memory type of all.
    pub(super) fn open(device: &PciDevice, kind: Bar2Map) -> Result<Self, DeviceError> {
        let node = open_vector(device, Vector(0))?;
        let registers = map(device, &node, node.map(REGISTERS)?, "BAR0")?;
        let above_4g = device.bar(2)?.start >= 1 << 32;
        let (memory, memory_map) = match kind {
            Bar2Map::Uncached | Bar2Map::WriteCombined => sysfs::map_memory(device, kind)?,
            Bar2Map::WriteBack if !above_4g => {
                return Err(DeviceError::Missing(format!(
                    "BAR2 of {} is below 4 GiB, where firmware makes all memory uncachable: load {UIO_PCI_MSIX} with \
                     move_bar2=1, or share at least 1 GiB",
                    device.address()
                )));
            }
            Bar2Map::Auto | Bar2Map::WriteBack => {
                let found = node.map(MEMORY)?;
                let place = if above_4g { ", above 4 GiB" } else { "" };
                (map(device, &node, found, "BAR2")?, format!("{UIO_PCI_MSIX} map{}{place}", found.index))
            }
        };
        let bars = Bars { driver: UIO_PCI_MSIX, registers, memory, memory_map };
        Ok(Self { device: device.clone(), bars })
    }
}

fn open_vector(device: &PciDevice, vector: Vector) -> Result<Node, DeviceError> {
    let node = Node::open(device, &format!("{UIO_PCI_MSIX}-v{vector}"))?;
    node.ok_or_else(|| no_vector(device.address(), vector))
}

fn map(device: &PciDevice, node: &Node, map: UioMap, what: &str) -> Result<SharedRegion, DeviceError> {
    SharedRegion::map_device(&node.file, map.offset(), map.len).map_err(map_error(what, device.address()))
}

impl Driver for UioPciMsix {
    fn bars(&self) -> &Bars {
        &self.bars
    }
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn IrqSource>, DeviceError> {
        let node = open_vector(&self.device, vector)?;
        let line = format!("{UIO_PCI_MSIX}-v{vector}@pci:{}", self.device.address());
        let stamps = node.map(STAMPS)?;
        let page = SharedView::map_device(&node.file, stamps.offset(), stamps.len);
        let page = page.map_err(map_error("the page of IRQ entry stamps", self.device.address()))?;
        let stamp = IrqEntryStamp { page, offset: usize::from(vector.0) * STAMP_BYTES };
        Ok(Box::new(UioIrq::new(node, line, Some(stamp))))
    }
}
