//! Why a device cannot be selected or bound, each with a hint.

use std::io;
use std::path::PathBuf;

/// QEMU's arguments for a device that this program can use.
const START_QEMU: &str =
    "start QEMU with -chardev socket,path=SOCKET,id=ivshmem -device ivshmem-doorbell,chardev=ivshmem";

/// What can go wrong with the device in sysfs.
#[derive(Debug, thiserror::Error)]
pub enum PciError {
    /// No such device.
    #[error("no ivshmem device (PCI 1af4:1110) in this machine; {START_QEMU}")]
    NoDevice,
    /// Devices, but none with doorbells, where doorbells are needed.
    #[error("no ivshmem-doorbell device in this machine, only {devices}: memory without doorbells; {START_QEMU}")]
    NoDoorbell {
        /// The ones there are.
        devices: String,
    },
    /// Several devices that would do.
    #[error("several ivshmem devices: {devices}; select one with --device ADDRESS")]
    Ambiguous {
        /// All of them.
        devices: String,
    },
    /// No device at the requested address.
    #[error("{address} is not an ivshmem device (PCI 1af4:1110); there is {devices}")]
    NotAt {
        /// The address.
        address: String,
        /// The devices that are there.
        devices: String,
    },
    /// The selected device has no doorbells, where doorbells are needed.
    #[error("{address} is ivshmem-plain, which has memory but no doorbells; select another with --device ADDRESS")]
    Plain {
        /// The device.
        address: String,
    },
    /// A BAR without an address cannot be mapped.
    #[error(
        "BAR{bar} of {address}{} has no address: its PCI bridge has no window for it; start QEMU with a larger one \
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
    #[error("the kernel has no driver {driver}; load its module first (modprobe {driver}, or insmod {driver}.ko)")]
    NoDriver {
        /// The driver.
        driver: String,
    },
    /// The kernel took the request, but the driver did not take the device.
    #[error("{driver} did not take {address}; the kernel's log (dmesg) has the reason")]
    Refused {
        /// The driver.
        driver: String,
        /// The device's address.
        address: String,
    },
    /// More vectors than the guest's CPUs have room for.
    #[error(
        "{driver} cannot get as many interrupt vectors as {address} has: one CPU takes about 200; \
         give the device fewer vectors, or the guest more CPUs"
    )]
    NoVectors {
        /// The driver.
        driver: String,
        /// The device's address.
        address: String,
    },
    /// Only root may.
    #[error("cannot access {}: binding and mapping need root", path.display())]
    Denied {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Sysfs could not be read or written.
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
    /// The exit status: 1 the action failed, 2 wrong usage, 3 the machine lacks something.
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
