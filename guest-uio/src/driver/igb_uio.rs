//! `igb_uio`, DPDK's module: one /dev/uioN with vector 0, and no other vector.
//!
//! Its maps are of no use here: UIO refuses to map a BAR0 of 256 bytes as the page that a mapping must be. It does not
//! claim the BARs either, so they are mapped through sysfs, as DPDK does.

use doorbell::Vector;
use doorbell::region::SharedRegion;

use super::sysfs::Bars;
use super::uio::{self as node, UioIrq};
use super::{Driver, DriverError, IGB_UIO, IrqSource, MapKind};
use crate::pci::PciDevice;

/// See the module.
#[derive(Debug)]
pub(super) struct IgbUio {
    device: PciDevice,
    bars: Bars,
}

impl IgbUio {
    pub(super) fn open(device: &PciDevice, kind: MapKind) -> Result<Self, DriverError> {
        Ok(Self { device: device.clone(), bars: Bars::map(device, kind)? })
    }

    /// Whether MSI-X is on. The module falls back to INTx, which this device never raises, without an error.
    fn has_msi_x(&self) -> bool {
        self.device.folder().join("msi_irqs").read_dir().is_ok_and(|mut vectors| vectors.next().is_some())
    }
}

impl Driver for IgbUio {
    fn name(&self) -> &'static str {
        IGB_UIO
    }
    fn registers(&self) -> &SharedRegion {
        &self.bars.registers
    }
    fn memory(&self) -> &SharedRegion {
        &self.bars.memory
    }
    fn memory_map(&self) -> &'static str {
        self.bars.memory_map
    }
    /// The module enables MSI-X and bus mastering when the node is opened, and disables both on the last close.
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn IrqSource>, DriverError> {
        if vector != Vector(0) {
            return Err(DriverError::OneVector { vector });
        }
        let deaf = |why: &str| DriverError::NoInterrupts { why: why.to_owned() };
        let node = node::open(&self.device, IGB_UIO)?.ok_or_else(|| deaf("igb_uio has made no /dev/uioN"))?;
        if !self.has_msi_x() {
            return Err(deaf("igb_uio took no MSI-X vector; load it with intr_mode=msix, and check dmesg"));
        }
        Ok(Box::new(UioIrq::new(node, IGB_UIO.to_owned())))
    }
}
