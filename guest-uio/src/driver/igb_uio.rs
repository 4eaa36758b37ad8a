//! `igb_uio`, DPDK's module: one /dev/uioN for vector 0; other vectors are not available.
//!
//! BARs are mapped through sysfs, as DPDK does. UIO cannot map the 256-byte BAR0, because a mapping is at least a page.

use doorbell::Vector;

use super::uio::{Node, UioIrq};
use super::{Bars, Driver, IGB_UIO, IrqSource, UIO_PCI_MSIX, VFIO_PCI, sysfs};
use crate::error::DeviceError;
use crate::pci::PciDevice;
use bench_protocol::boot::Bar2Map;

/// See the module.
#[derive(Debug)]
pub(super) struct IgbUio {
    device: PciDevice,
    bars: Bars,
}

impl IgbUio {
    pub(super) fn open(device: &PciDevice, kind: Bar2Map) -> Result<Self, DeviceError> {
        Ok(Self { device: device.clone(), bars: sysfs::map_bars(device, IGB_UIO, kind)? })
    }
}

impl Driver for IgbUio {
    fn bars(&self) -> &Bars {
        &self.bars
    }
    /// The module enables MSI-X and bus mastering when the node is opened, and disables both on the last close.
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn IrqSource>, DeviceError> {
        if vector != Vector(0) {
            return Err(DeviceError::Missing(format!(
                "{IGB_UIO} supports vector 0 only; for vector {vector} use {UIO_PCI_MSIX} or {VFIO_PCI}"
            )));
        }
        let missing = |why: &str| DeviceError::Missing(why.to_owned());
        let node = Node::open(&self.device, IGB_UIO)?;
        let node = node.ok_or_else(|| missing("igb_uio created no /dev/uioN; check dmesg"))?;
        // Without vectors the module silently falls back to INTx, which ivshmem never raises.
        if self.device.allocated_vectors() == 0 {
            return Err(missing(
                "igb_uio did not allocate an MSI-X vector; load it with intr_mode=msix, and check dmesg",
            ));
        }
        Ok(Box::new(UioIrq::new(node, IGB_UIO.to_owned(), None)))
    }
}
