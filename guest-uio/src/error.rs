//! The error of every use of the device. A text has its hint, if there is one, after the first semicolon.

use std::fmt::Display;
use std::io;

/// QEMU arguments that create a usable device.
pub(crate) const START_QEMU: &str =
    "start QEMU with -chardev socket,path=SOCKET,id=ivshmem -device ivshmem-doorbell,chardev=ivshmem";

/// A failed use of the device or its driver. The variants differ in the exit status, or in how a caller continues.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The machine lacks an ivshmem device.
    #[error("no ivshmem device (PCI 1af4:1110) in this machine; {START_QEMU}")]
    NoDevice,
    /// Several devices match; the text lists them.
    #[error("several ivshmem devices: {0}; select one with --device ADDRESS")]
    Ambiguous(String),
    /// The selected device cannot be used for the command.
    #[error("{0}")]
    Usage(String),
    /// A device, driver or feature is missing.
    #[error("{0}")]
    Missing(String),
    /// An operation failed without a reason of the system.
    #[error("{0}")]
    Failed(String),
    /// The system refused an operation.
    #[error("{what}")]
    System {
        /// The operation.
        what: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl DeviceError {
    /// The exit status: 1 failed, 2 wrong usage, 3 a device, driver or feature is missing.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::System { .. } => 1,
            Self::Ambiguous(_) | Self::Usage(_) => 2,
            Self::NoDevice | Self::Missing(_) => 3,
        }
    }

    /// The device was removed while it was in use.
    #[must_use]
    pub fn gone(address: &str, source: io::Error) -> Self {
        system(format!("{address} was unplugged, or taken from its driver, while it was in use"))(source)
    }
}

/// Converts the reason of a failed operation.
pub(crate) fn system<E: Into<io::Error>>(what: impl Display) -> impl FnOnce(E) -> DeviceError {
    move |source| DeviceError::System { what: what.to_string(), source: source.into() }
}
