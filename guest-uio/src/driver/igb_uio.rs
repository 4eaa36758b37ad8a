//! `igb_uio`, DPDK's module: one /dev/uioN for vector 0; other vectors are not available.
//!
//! BARs are mapped through sysfs, as DPDK does. UIO cannot map the 256-byte BAR0, because a mapping is at least a page.

use doorbell::Vector;
use doorbell::region::SharedRegion;

use super::sysfs::Bars;
use super::uio::{self as node, UioIrq};
use super::{Driver, DriverError, IGB_UIO, IrqSource};
use crate::pci::PciDevice;
use bench_protocol::boot::Bar2Map;

/// See the module.
#[derive(Debug)]
pub(super) struct IgbUio {
    device: PciDevice,
    bars: Bars,
}

impl IgbUio {
    pub(super) fn open(device: &PciDevice, kind: Bar2Map) -> Result<Self, DriverError> {
        Ok(Self { device: device.clone(), bars: Bars::map(device, kind)? })
    }

    /// Whether MSI-X is enabled. Without vectors the module silently falls back to INTx, which ivshmem never raises.
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
        let no_interrupts = |why: &str| DriverError::NoInterrupts { why: why.to_owned() };
        let node = node::open(&self.device, IGB_UIO)?
            .ok_or_else(|| no_interrupts("igb_uio created no /dev/uioN; check dmesg"))?;
        if !self.has_msi_x() {
            return Err(no_interrupts(
                "igb_uio did not allocate an MSI-X vector; load it with intr_mode=msix, and check dmesg",
            ));
        }
        Ok(Box::new(UioIrq::new(node, IGB_UIO.to_owned())))
    }
}
