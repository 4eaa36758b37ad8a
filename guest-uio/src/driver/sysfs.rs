//! BARs mapped through sysfs, for a device without driver or with `uio_pci_generic`. It can ring peers, but it receives no
//! interrupts.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use doorbell::Vector;
use doorbell::region::SharedRegion;
use nix::libc;

use super::{Driver, DriverError, IrqSource, UIO_PCI_GENERIC, UIO_PCI_MSIX, uio};
use crate::pci::PciDevice;
use bench_protocol::boot::Bar2Map;

/// The mapped BAR0 and BAR2.
#[derive(Debug)]
pub(super) struct Bars {
    pub(super) registers: SharedRegion,
    pub(super) memory: SharedRegion,
    /// The file that `memory` maps.
    pub(super) memory_map: &'static str,
}

impl Bars {
    /// Maps both. Requires memory decoding, which a bound driver has enabled.
    pub(super) fn map(device: &PciDevice, kind: Bar2Map) -> Result<Self, DriverError> {
        let registers = map(device, "resource0", 0, "BAR0")?;
        let (memory, memory_map) = map_memory(device, kind)?;
        Ok(Self { registers, memory, memory_map })
    }
}

/// Maps BAR2; returns the mapping and the name of the mapped file.
pub(super) fn map_memory(device: &PciDevice, kind: Bar2Map) -> Result<(SharedRegion, &'static str), DriverError> {
    let uncached = || Ok((map(device, "resource2", 2, "BAR2")?, "sysfs resource2"));
    let combined = || Ok((map(device, "resource2_wc", 2, "BAR2")?, "sysfs resource2_wc"));
    match kind {
        Bar2Map::Uncached => uncached(),
        Bar2Map::WriteCombined => combined(),
        // Prefer write-combined: uncached accesses are several times slower on real processors.
        Bar2Map::Auto => combined().or_else(|_: DriverError| uncached()),
        Bar2Map::WriteBack => Err(DriverError::NoSuchMap {
            why: format!("sysfs maps BAR2 uncached or write-combined only; for write-back use {UIO_PCI_MSIX}"),
        }),
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sysfs {
    name: &'static str,
    device: PciDevice,
    bars: Bars,
}

impl Sysfs {
    pub(super) fn open(device: &PciDevice, name: &'static str, kind: Bar2Map) -> Result<Self, DriverError> {
        // Writing `enable` enables memory decoding, which no driver has done.
        if name == "none" {
            let path = device.folder().join("enable");
            std::fs::write(&path, "1").map_err(|source| DriverError::Open { path, source })?;
        }
        Ok(Self { name, device: device.clone(), bars: Bars::map(device, kind)? })
    }

    /// The reason for missing interrupts. With `uio_pci_generic`, the kernel's own error is part of it.
    fn diagnose(&self) -> String {
        let hint = format!("load {UIO_PCI_MSIX} (guest-uio/kmod) and run guest-uio bind --driver {UIO_PCI_MSIX}");
        if self.name != UIO_PCI_GENERIC {
            return format!("no driver is bound to {}, so its interrupts are lost; {hint}", self.device.address());
        }
        let observed = match uio::first(&self.device).map(|path| {
            let mut word = [0; 4];
            let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
            (path, opened.and_then(|mut file: File| file.read(&mut word)))
        }) {
            Some((path, Err(error))) => format!("read({}): {error}", path.display()),
            Some((path, Ok(_))) => format!("read({}) works, but INTx is never raised", path.display()),
            None => "/dev/uioN is missing".to_owned(),
        };
        format!(
            "{UIO_PCI_GENERIC} cannot deliver this device's interrupts: it handles INTx only, and ivshmem-doorbell \
             signals through MSI-X only ({observed}); {hint}"
        )
    }
}

fn map(device: &PciDevice, file: &str, bar: usize, what: &'static str) -> Result<SharedRegion, DriverError> {
    let path = device.folder().join(file);
    let len = usize::try_from(device.bar(bar)?.len).unwrap_or(0);
    let opened = OpenOptions::new().read(true).write(true).open(&path);
    let opened = opened.map_err(|source| DriverError::Open { path, source })?;
    // A BAR smaller than a page is mapped as its whole page.
    SharedRegion::map_device(&opened, 0, len.next_multiple_of(bench_protocol::memory_map::PAGE))
        .map_err(|source| DriverError::Map { what, address: device.address().to_owned(), source })
}

impl Driver for Sysfs {
    fn name(&self) -> &'static str {
        self.name
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
    fn interrupt(&self, _: Vector) -> Result<Box<dyn IrqSource>, DriverError> {
        Err(DriverError::NoInterrupts { why: self.diagnose() })
    }
}
