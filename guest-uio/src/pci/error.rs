//! Errors of device selection and binding, each with a hint.

use std::io;
use std::path::PathBuf;

/// QEMU arguments that create a usable device.
const START_QEMU: &str =
    "start QEMU with -chardev socket,path=SOCKET,id=ivshmem -device ivshmem-doorbell,chardev=ivshmem";

/// A failed access to the device in sysfs.
#[derive(Debug, thiserror::Error)]
pub enum PciError {
    /// The machine lacks an ivshmem device.
    #[error("no ivshmem device (PCI 1af4:1110) in this machine; {START_QEMU}")]
    NoDevice,
    /// Doorbells are required, and every device is ivshmem-plain.
    #[error("no ivshmem-doorbell device in this machine, only {devices} (no doorbells); {START_QEMU}")]
    NoDoorbell {
        /// The devices present.
        devices: String,
    },
    /// Several devices match.
    #[error("several ivshmem devices: {devices}; select one with --device ADDRESS")]
    Ambiguous {
        /// The matching devices.
        devices: String,
    },
    /// No device at the requested address.
    #[error("{address} is not an ivshmem device (PCI 1af4:1110); there is {devices}")]
    NotAt {
        /// The address.
        address: String,
        /// The devices present.
        devices: String,
    },
    /// Doorbells are required, and the selected device is ivshmem-plain.
    #[error("{address} is ivshmem-plain, which has memory but no doorbells; select another with --device ADDRESS")]
    Plain {
        /// The device.
        address: String,
    },
    /// A BAR without an address cannot be mapped.
    #[error(
        "BAR{bar} of {address}{} has no address, because its PCI bridge's window is too small; start QEMU with a larger window \
         (-device pcie-root-port,pref64-reserve=SIZE), or with the device on the root bus (bus=pcie.0)",
        size(*bytes)
    )]
    NoRoom {
        /// The device.
        address: String,
        /// Which BAR.
        bar: usize,
        /// Its size; 0 if the kernel dropped it.
        bytes: u64,
    },
    /// The driver is not loaded.
    #[error("driver {driver} is not loaded; load its module first (modprobe {driver}, or insmod {driver}.ko)")]
    NoDriver {
        /// The driver.
        driver: String,
    },
    /// The driver rejected the device.
    #[error("{driver} did not bind to {address}; see the kernel log (dmesg)")]
    Refused {
        /// The driver.
        driver: String,
        /// The device's address.
        address: String,
    },
    /// The guest's CPUs cannot provide enough interrupt vectors.
    #[error(
        "{driver} cannot allocate an interrupt vector for each of {address}'s; one CPU provides about 200: \
         give the device fewer vectors, or the guest more CPUs"
    )]
    NoVectors {
        /// The driver.
        driver: String,
        /// The device's address.
        address: String,
    },
    /// Access requires root.
    #[error("cannot access {}: binding and mapping need root", path.display())]
    Denied {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A sysfs file could not be read or written.
    #[error("cannot access {}", path.display())]
    Sysfs {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

fn size(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { format!(" ({bytes} bytes)") }
}

impl PciError {
    /// The exit status: 1 failed, 2 wrong usage, 3 a device, driver or feature is missing.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Denied { .. } | Self::Sysfs { .. } => 1,
            Self::Ambiguous { .. } | Self::NotAt { .. } | Self::Plain { .. } => 2,
            Self::NoDevice
            | Self::NoDoorbell { .. }
            | Self::NoRoom { .. }
            | Self::NoDriver { .. }
            | Self::NoVectors { .. } => 3,
        }
    }
}
