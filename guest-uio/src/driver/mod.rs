//! The [`Driver`] trait: registers, memory and interrupts of an ivshmem device, with one implementation per kernel driver.

use std::io;
use std::path::PathBuf;

use bench_protocol::boot::{Bar2Map, GuestDriver};
use doorbell::Vector;
use doorbell::region::{RegionError, SharedRegion};
use doorbell::wait::EventSource;
use nix::errno::Errno;

use crate::pci::{PciDevice, PciError};

mod igb_uio;
mod sysfs;
mod uio;
mod uio_pci_msix;
mod vfio;

pub use vfio::VfioError;

/// The name of this project's UIO driver.
pub const UIO_PCI_MSIX: &str = GuestDriver::UioPciMsix.name();
/// The name of the stock UIO driver.
pub const UIO_PCI_GENERIC: &str = GuestDriver::UioPciGeneric.name();
/// The name of DPDK's UIO driver.
pub const IGB_UIO: &str = GuestDriver::IgbUio.name();
/// The name of the stock VFIO driver.
pub const VFIO_PCI: &str = GuestDriver::VfioPci.name();
/// The names of the supported drivers.
pub const ALL: [&str; 4] = [UIO_PCI_MSIX, UIO_PCI_GENERIC, IGB_UIO, VFIO_PCI];

/// A failed use of a driver.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// An access to the device in sysfs failed.
    #[error(transparent)]
    Pci(#[from] PciError),
    /// A BAR could not be mapped.
    #[error("cannot map {what} of {address}")]
    Map {
        /// The BAR or page.
        what: &'static str,
        /// The device.
        address: String,
        /// The reason.
        #[source]
        source: RegionError,
    },
    /// A device file could not be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The driver's node lacks a map.
    #[error(
        "{} has no map named {name} (it has: {present}): another version of {UIO_PCI_MSIX} is loaded; rmmod \
         {UIO_PCI_MSIX}, then build and load guest-uio/kmod of this version",
        path.display()
    )]
    NoMap {
        /// The node's folder in sysfs.
        path: PathBuf,
        /// The map.
        name: &'static str,
        /// The maps present.
        present: String,
    },
    /// Waiting for a doorbell failed.
    #[error("cannot wait for doorbells of {address}")]
    Wait {
        /// The device.
        address: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The device was removed while it was in use.
    #[error("{address} was unplugged, or taken from its driver, while it was in use")]
    Gone {
        /// The device.
        address: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The device lacks this vector.
    #[error("{address} has no interrupt vector {vector}; give it more with -device ivshmem-doorbell,vectors=N")]
    NoVector {
        /// The device.
        address: String,
        /// The requested vector.
        vector: Vector,
    },
    /// The driver supports one vector only.
    #[error("{IGB_UIO} supports vector 0 only; for vector {vector} use {UIO_PCI_MSIX} or {VFIO_PCI}")]
    OneVector {
        /// The requested vector.
        vector: Vector,
    },
    /// The driver does not deliver interrupts.
    #[error("{why}")]
    NoInterrupts {
        /// The reason, with a hint.
        why: String,
    },
    /// The driver cannot map the memory with this type.
    #[error("{why}")]
    NoSuchMap {
        /// The reason, with a hint.
        why: String,
    },
    /// VFIO cannot be used.
    #[error(transparent)]
    Vfio(#[from] VfioError),
    /// The bound driver is not supported.
    #[error("the device is bound to {driver}, which is not supported; run guest-uio bind (drivers: {})", ALL.join(", "))]
    Unknown {
        /// The driver.
        driver: String,
    },
}

impl DriverError {
    /// The exit status: 1 failed, 2 wrong usage, 3 a device, driver or feature is missing.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Pci(error) => error.exit_status(),
            Self::Vfio(error) => error.exit_status(),
            Self::Map { .. } | Self::Open { .. } | Self::Wait { .. } | Self::Gone { .. } => 1,
            Self::NoMap { .. }
            | Self::NoVector { .. }
            | Self::OneVector { .. }
            | Self::NoInterrupts { .. }
            | Self::NoSuchMap { .. }
            | Self::Unknown { .. } => 3,
        }
    }
}

/// The interrupts of one vector.
pub trait IrqSource: EventSource {
    /// Collects pending events without blocking.
    fn drain(&mut self) -> io::Result<u64>;
    /// The interrupt's name in /proc/interrupts.
    fn line(&self) -> &str;
}

/// An ivshmem device, accessed through one kernel driver.
pub trait Driver {
    /// The kernel driver's name.
    fn name(&self) -> &'static str;
    /// BAR0.
    fn registers(&self) -> &SharedRegion;
    /// BAR2.
    fn memory(&self) -> &SharedRegion;
    /// The file through which BAR2 is mapped.
    fn memory_map(&self) -> &str;
    /// Opens the interrupts of a vector. Earlier interrupts are not counted: call this before a peer may ring.
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn IrqSource>, DriverError>;
}

/// Binds a device to `driver`. Checks first what the kernel would reject without a reason.
pub fn bind(device: &PciDevice, driver: &str) -> Result<(), DriverError> {
    // The kernel reports both reasons in its log only.
    device.check_addresses()?;
    if driver == VFIO_PCI {
        vfio::group(device)?;
    }
    Ok(device.bind(driver)?)
}

/// The error of a failed wait. All drivers report a removed device as EIO.
#[must_use]
pub fn wait_error(device: &PciDevice, source: io::Error) -> DriverError {
    let address = device.address().to_owned();
    if source.raw_os_error() == Some(Errno::EIO as i32) {
        DriverError::Gone { address, source }
    } else {
        DriverError::Wait { address, source }
    }
}

/// Opens a device through its driver, or through sysfs if it is unbound.
pub fn open(device: &PciDevice) -> Result<Box<dyn Driver>, DriverError> {
    open_mapped(device, Bar2Map::Auto)
}

/// Like [`open`], with a requested memory type.
pub fn open_mapped(device: &PciDevice, kind: Bar2Map) -> Result<Box<dyn Driver>, DriverError> {
    device.check_addresses()?;
    match device.driver().as_deref() {
        Some(UIO_PCI_MSIX) => Ok(Box::new(uio_pci_msix::UioPciMsix::open(device, kind)?)),
        Some(IGB_UIO) => Ok(Box::new(igb_uio::IgbUio::open(device, kind)?)),
        Some(VFIO_PCI) if matches!(kind, Bar2Map::WriteCombined | Bar2Map::WriteBack) => {
            let why = format!("{VFIO_PCI} maps BAR2 uncached only; use {UIO_PCI_MSIX}");
            Err(DriverError::NoSuchMap { why })
        }
        Some(VFIO_PCI) => Ok(Box::new(vfio::Vfio::open(device)?)),
        Some(UIO_PCI_GENERIC) => Ok(Box::new(sysfs::Sysfs::open(device, UIO_PCI_GENERIC, kind)?)),
        None => Ok(Box::new(sysfs::Sysfs::open(device, "none", kind)?)),
        Some(other) => Err(DriverError::Unknown { driver: other.to_owned() }),
    }
}
