//! BARs mapped through sysfs, for a device without driver or with `uio_pci_generic`. It can ring peers, but it receives no
//! interrupts.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use doorbell::Vector;
use doorbell::region::SharedRegion;
use nix::libc;

use super::{Bars, Driver, IrqSource, UIO_PCI_GENERIC, UIO_PCI_MSIX, map_error, uio};
use crate::error::{DeviceError, system};
use crate::pci::PciDevice;
use bench_protocol::boot::{Bar2Map, NO_DRIVER};

/// Maps BAR0 and BAR2. Requires memory decoding, which a bound driver has enabled.
pub(super) fn map_bars(device: &PciDevice, driver: &'static str, kind: Bar2Map) -> Result<Bars, DeviceError> {
    let registers = map(device, "resource0", 0, "BAR0")?;
    let (memory, memory_map) = map_memory(device, kind)?;
    Ok(Bars { driver, registers, memory, memory_map })
}

/// Maps BAR2; returns the mapping and the name of the mapped file.
pub(super) fn map_memory(device: &PciDevice, kind: Bar2Map) -> Result<(SharedRegion, String), DeviceError> {
    let mapped = |file: &str| Ok((map(device, file, 2, "BAR2")?, format!("sysfs {file}")));
    let (uncached, combined) = (|| mapped("resource2"), || mapped("resource2_wc"));
    match kind {
        Bar2Map::Uncached => uncached(),
        Bar2Map::WriteCombined => combined(),
        // Prefer write-combined: uncached accesses are several times slower on real processors.
        Bar2Map::Auto => combined().or_else(|_: DeviceError| uncached()),
        Bar2Map::WriteBack => Err(DeviceError::Missing(format!(
            "sysfs maps BAR2 uncached or write-combined only; for write-back use {UIO_PCI_MSIX}"
        ))),
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sysfs {
    device: PciDevice,
    bars: Bars,
}

impl Sysfs {
    pub(super) fn open(device: &PciDevice, driver: &'static str, kind: Bar2Map) -> Result<Self, DeviceError> {
        // Writing `enable` enables memory decoding, which no driver has done.
        if driver == NO_DRIVER {
            let path = device.folder().join("enable");
            std::fs::write(&path, "1").map_err(system(format!("cannot open {}", path.display())))?;
        }
        Ok(Self { device: device.clone(), bars: map_bars(device, driver, kind)? })
    }

    /// The reason for missing interrupts. With `uio_pci_generic`, the kernel's own error is part of it.
    fn diagnose(&self) -> String {
        let hint = format!("load {UIO_PCI_MSIX} (guest-uio/kmod) and run guest-uio bind --driver {UIO_PCI_MSIX}");
        if self.bars.driver != UIO_PCI_GENERIC {
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

fn map(device: &PciDevice, file: &str, bar: usize, what: &str) -> Result<SharedRegion, DeviceError> {
    let path = device.folder().join(file);
    let len = usize::try_from(device.bar(bar)?.len).unwrap_or(0);
    let opened = OpenOptions::new().read(true).write(true).open(&path);
    let opened = opened.map_err(system(format!("cannot open {}", path.display())))?;
    // A BAR smaller than a page is mapped as its whole page.
    SharedRegion::map_device(&opened, 0, len.next_multiple_of(bench_protocol::memory_map::PAGE))
        .map_err(map_error(what, device.address()))
}

impl Driver for Sysfs {
    fn bars(&self) -> &Bars {
        &self.bars
    }
    fn interrupt(&self, _: Vector) -> Result<Box<dyn IrqSource>, DeviceError> {
        Err(DeviceError::Missing(self.diagnose()))
    }
}
