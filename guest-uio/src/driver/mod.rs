//! One way to reach an ivshmem device, whichever kernel driver holds it: registers, memory, interrupts.

use std::io;
use std::path::PathBuf;

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

/// UIO with MSI-X: this project's module.
pub const UIO_PCI_MSIX: &str = "uio_pci_msix";
/// UIO of the stock kernel: INTx only, which ivshmem-doorbell does not have.
pub const UIO_PCI_GENERIC: &str = "uio_pci_generic";
/// UIO with one MSI-X vector: DPDK's module, which distributions package.
pub const IGB_UIO: &str = "igb_uio";
/// VFIO of the stock kernel: every vector, but only behind an IOMMU.
pub const VFIO_PCI: &str = "vfio-pci";
/// Every driver that this program can use.
pub const ALL: [&str; 4] = [UIO_PCI_MSIX, UIO_PCI_GENERIC, IGB_UIO, VFIO_PCI];

/// Why a driver cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The device could not be handled.
    #[error(transparent)]
    Pci(#[from] PciError),
    /// A BAR could not be mapped.
    #[error("cannot map {what} of {address}")]
    Map {
        /// Which BAR.
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
    /// The driver's node lacks a map, or has it under another name.
    #[error(
        "{} has no map named {name} (it has: {present}): another version of {UIO_PCI_MSIX} is loaded; build guest-uio/kmod \
         of this version, rmmod {UIO_PCI_MSIX}, and load the new one",
        path.display()
    )]
    NoMap {
        /// The node's folder in sysfs.
        path: PathBuf,
        /// The map.
        name: &'static str,
        /// The maps there are.
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
    /// The device went away while it was in use.
    #[error("{address} was unplugged, or taken from its driver, while it was in use")]
    Gone {
        /// The device.
        address: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The device has no such vector.
    #[error("{address} has no interrupt vector {vector}; give it more with -device ivshmem-doorbell,vectors=N")]
    NoVector {
        /// The device.
        address: String,
        /// What was asked for.
        vector: Vector,
    },
    /// The driver takes one vector, whatever the device has.
    #[error("{IGB_UIO} takes vector 0 and no other; for vector {vector} take {UIO_PCI_MSIX} or {VFIO_PCI}")]
    OneVector {
        /// What was asked for.
        vector: Vector,
    },
    /// The driver delivers no interrupts at all.
    #[error("{why}")]
    NoInterrupts {
        /// Why, and the cure.
        why: String,
    },
    /// The memory cannot be mapped in that way.
    #[error("{why}")]
    NoSuchMap {
        /// Why, and the cure.
        why: String,
    },
    /// VFIO cannot be used.
    #[error(transparent)]
    Vfio(#[from] VfioError),
    /// A driver that this program cannot use.
    #[error("{driver} holds the device, which is none of {}; run guest-uio bind", ALL.join(", "))]
    Unknown {
        /// The driver.
        driver: String,
    },
}

impl DriverError {
    /// The exit status: 1 the action failed, 2 wrong usage, 3 the machine lacks something.
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

/// How BAR2 is to be mapped: which type of memory the guest asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MapKind {
    /// Whatever the driver does best.
    #[default]
    Auto,
    /// Every access goes to the device.
    Uncached,
    /// Writes are gathered; reads go to the device.
    WriteCombined,
    /// Ordinary cached memory.
    WriteBack,
}

impl MapKind {
    /// From `auto`, `uc`, `wc` or `wb`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "uc" => Some(Self::Uncached),
            "wc" => Some(Self::WriteCombined),
            "wb" => Some(Self::WriteBack),
            _ => None,
        }
    }
}

/// A doorbell's events, with what a measurement needs beside waiting for them.
pub trait IrqSource: EventSource {
    /// Collects, without blocking, what is left over.
    fn drain(&mut self) -> io::Result<u64>;
    /// How the interrupt's line in /proc/interrupts is named.
    fn line(&self) -> &str;
}

/// An ivshmem device through one kernel driver.
pub trait Driver {
    /// The kernel driver's name.
    fn name(&self) -> &'static str;
    /// BAR0.
    fn registers(&self) -> &SharedRegion;
    /// BAR2.
    fn memory(&self) -> &SharedRegion;
    /// By which file BAR2 is mapped.
    fn memory_map(&self) -> &str;
    /// Opens the events of a vector. Events that came before are not seen: open first, then let others ring.
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn IrqSource>, DriverError>;
}

/// Gives a device to `driver`. What the kernel would refuse without a word is refused with its reason.
pub fn bind(device: &PciDevice, driver: &str) -> Result<(), DriverError> {
    // The kernel log alone would name either reason.
    device.check_addresses()?;
    if driver == VFIO_PCI {
        vfio::group(device)?;
    }
    Ok(device.bind(driver)?)
}

/// The error of a wait that failed. All drivers report a device that is gone as EIO.
#[must_use]
pub fn wait_error(device: &PciDevice, source: io::Error) -> DriverError {
    let address = device.address().to_owned();
    if source.raw_os_error() == Some(Errno::EIO as i32) {
        DriverError::Gone { address, source }
    } else {
        DriverError::Wait { address, source }
    }
}

/// Opens a device through whichever driver holds it; through sysfs if none does.
pub fn open(device: &PciDevice) -> Result<Box<dyn Driver>, DriverError> {
    open_mapped(device, MapKind::Auto)
}

/// Opens a device as [`open`] does, with its memory mapped in a certain way.
pub fn open_mapped(device: &PciDevice, kind: MapKind) -> Result<Box<dyn Driver>, DriverError> {
    device.check_addresses()?;
    match device.driver().as_deref() {
        Some(UIO_PCI_MSIX) => Ok(Box::new(uio_pci_msix::UioPciMsix::open(device, kind)?)),
        Some(IGB_UIO) => Ok(Box::new(igb_uio::IgbUio::open(device, kind)?)),
        Some(VFIO_PCI) if matches!(kind, MapKind::WriteCombined | MapKind::WriteBack) => {
            let why = format!("{VFIO_PCI} maps BAR2 uncached only; take {UIO_PCI_MSIX}");
            Err(DriverError::NoSuchMap { why })
        }
        Some(VFIO_PCI) => Ok(Box::new(vfio::Vfio::open(device)?)),
        Some(UIO_PCI_GENERIC) => Ok(Box::new(sysfs::Sysfs::open(device, UIO_PCI_GENERIC, kind)?)),
        None => Ok(Box::new(sysfs::Sysfs::open(device, "none", kind)?)),
        Some(other) => Err(DriverError::Unknown { driver: other.to_owned() }),
    }
}
