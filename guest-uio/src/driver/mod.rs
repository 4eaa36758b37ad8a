//! The [`Driver`] trait: registers, memory and interrupts of an ivshmem device, with one implementation per kernel driver.

use std::io;

use bench_protocol::boot::{Bar2Map, GuestDriver, NO_DRIVER};
use doorbell::Vector;
use doorbell::region::{RegionError, SharedRegion};
use doorbell::wait::EventSource;
use nix::errno::Errno;

use crate::error::{DeviceError, system};
use crate::pci::PciDevice;

mod igb_uio;
mod sysfs;
mod uio;
mod uio_pci_msix;
mod vfio;

/// The name of this project's UIO driver.
pub const UIO_PCI_MSIX: &str = GuestDriver::UioPciMsix.name();
/// The name of the stock UIO driver.
pub const UIO_PCI_GENERIC: &str = GuestDriver::UioPciGeneric.name();
/// The name of DPDK's UIO driver.
pub const IGB_UIO: &str = GuestDriver::IgbUio.name();
/// The name of the stock VFIO driver.
pub const VFIO_PCI: &str = GuestDriver::VfioPci.name();

/// The interrupts of one vector.
pub trait IrqSource: EventSource {
    /// Collects pending events without blocking.
    fn drain(&mut self) -> io::Result<u64>;
    /// The interrupt's name in /proc/interrupts.
    fn line(&self) -> &str;
}

/// The mapped BARs of a device.
#[derive(Debug)]
pub struct Bars {
    /// The kernel driver's name.
    pub driver: &'static str,
    /// BAR0.
    pub registers: SharedRegion,
    /// BAR2.
    pub memory: SharedRegion,
    /// The file through which BAR2 is mapped.
    pub memory_map: String,
}

/// An ivshmem device, accessed through one kernel driver.
pub trait Driver {
    /// Registers and memory.
    fn bars(&self) -> &Bars;
    /// Opens the interrupts of a vector. Earlier interrupts are not counted: call this before a peer may ring.
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn IrqSource>, DeviceError>;
}

/// Binds a device to `driver`. Checks first what the kernel would reject without a reason.
pub fn bind(device: &PciDevice, driver: GuestDriver) -> Result<(), DeviceError> {
    // The kernel reports both reasons in its log only.
    device.check_addresses()?;
    if driver.needs_iommu() {
        vfio::group(device)?;
    }
    device.bind(driver.name())
}

/// Whether a wait failed because the device was removed. All drivers report that as EIO.
pub(crate) fn is_removed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EIO as i32)
}

/// The error of a failed wait.
#[must_use]
pub fn wait_error(device: &PciDevice, source: io::Error) -> DeviceError {
    let address = device.address();
    if is_removed(&source) {
        DeviceError::gone(address, source)
    } else {
        system(format!("cannot wait for doorbells of {address}"))(source)
    }
}

/// The error of a mapping that the system refused.
fn map_error(what: &str, address: &str) -> impl FnOnce(RegionError) -> DeviceError {
    let what = format!("cannot map {what} of {address}");
    move |error| system(what)(io::Error::other(error))
}

/// The error for a vector that the device lacks.
fn no_vector(address: &str, vector: Vector) -> DeviceError {
    DeviceError::Missing(format!(
        "{address} has no interrupt vector {vector}; give it more with -device ivshmem-doorbell,vectors=N"
    ))
}

/// Opens a device through its driver, or through sysfs if it is unbound.
pub fn open(device: &PciDevice, kind: Bar2Map) -> Result<Box<dyn Driver>, DeviceError> {
    device.check_addresses()?;
    let Some(bound) = device.driver() else { return Ok(Box::new(sysfs::Sysfs::open(device, NO_DRIVER, kind)?)) };
    let Ok(driver) = bound.parse::<GuestDriver>() else {
        return Err(DeviceError::Missing(format!(
            "the device is bound to {bound}, which is not supported; run guest-uio bind (drivers: {})",
            GuestDriver::ALL.map(GuestDriver::name).join(", ")
        )));
    };
    match driver {
        GuestDriver::UioPciMsix => Ok(Box::new(uio_pci_msix::UioPciMsix::open(device, kind)?)),
        GuestDriver::IgbUio => Ok(Box::new(igb_uio::IgbUio::open(device, kind)?)),
        GuestDriver::VfioPci if matches!(kind, Bar2Map::WriteCombined | Bar2Map::WriteBack) => {
            Err(DeviceError::Missing(format!("{VFIO_PCI} maps BAR2 uncached only; use {UIO_PCI_MSIX}")))
        }
        GuestDriver::VfioPci => Ok(Box::new(vfio::Vfio::open(device)?)),
        GuestDriver::UioPciGeneric => Ok(Box::new(sysfs::Sysfs::open(device, UIO_PCI_GENERIC, kind)?)),
    }
}
