//! Selects the device of a command.
//!
//! Doorbell devices are preferred to plain ones, regardless of their order on the bus: a machine may have plain devices for
//! other purposes, and one may be plugged in at any time. Several equal candidates are an error.

use std::path::Path;

use super::{PciDevice, SYSFS};
use crate::error::{DeviceError, START_QEMU};

/// The device features that a command requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The shared memory of every ivshmem device.
    Memory,
    /// Doorbells, which only `ivshmem-doorbell` has.
    Doorbells,
}

impl PciDevice {
    /// The device at `address`. Without an address: the only doorbell device. Without a doorbell device: the only plain
    /// device, if the command needs memory only.
    pub fn select(address: Option<&str>, needs: Needs) -> Result<Self, DeviceError> {
        Self::select_in(Path::new(SYSFS), address, needs)
    }

    fn select_in(bus: &Path, address: Option<&str>, needs: Needs) -> Result<Self, DeviceError> {
        let devices = Self::all_in(bus)?;
        if devices.is_empty() {
            return Err(DeviceError::NoDevice);
        }
        if let Some(address) = address {
            return at(&devices, address, needs);
        }
        let (mut doorbell, mut plain): (Vec<Self>, Vec<Self>) = devices.into_iter().partition(Self::has_doorbell);
        match (doorbell.len(), plain.len()) {
            (1, _) => Ok(doorbell.swap_remove(0)),
            (0, _) if needs == Needs::Doorbells => Err(DeviceError::Missing(format!(
                "no ivshmem-doorbell device in this machine, only {} (no doorbells); {START_QEMU}",
                list(&plain)
            ))),
            (0, 1) => Ok(plain.swap_remove(0)),
            (0, _) => Err(DeviceError::Ambiguous(list(&plain))),
            _ => Err(DeviceError::Ambiguous(list(&doorbell))),
        }
    }

    /// All other ivshmem devices of this machine.
    #[must_use]
    pub fn others(&self) -> Vec<Self> {
        let mut devices = Self::all_in(&self.bus).unwrap_or_default();
        devices.retain(|device| device.address != self.address);
        devices
    }

    /// The address with its kind and driver, such as `0000:00:03.0 (ivshmem-doorbell, uio_pci_msix)`.
    #[must_use]
    pub fn describe(&self) -> String {
        let kind = if self.has_doorbell() { "doorbell" } else { "plain" };
        let driver = self.driver();
        format!("{} (ivshmem-{kind}, {})", self.address, driver.as_deref().unwrap_or("no driver"))
    }
}

fn at(devices: &[PciDevice], address: &str, needs: Needs) -> Result<PciDevice, DeviceError> {
    // lspci omits the domain if there is only one.
    let full = if address.matches(':').count() == 1 { format!("0000:{address}") } else { address.to_owned() };
    let Some(device) = devices.iter().find(|device| device.address == full) else {
        let devices = list(devices);
        return Err(DeviceError::Usage(format!(
            "{address} is not an ivshmem device (PCI 1af4:1110); there is {devices}"
        )));
    };
    if needs == Needs::Doorbells && !device.has_doorbell() {
        return Err(DeviceError::Usage(format!(
            "{full} is ivshmem-plain, which has memory but no doorbells; select another with --device ADDRESS"
        )));
    }
    Ok(device.clone())
}

fn list(devices: &[PciDevice]) -> String {
    devices.iter().map(PciDevice::describe).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{DEVICE, VENDOR};
    use super::*;

    const PLAIN: &str = "0x00000000febd1000 0x00000000febd10ff 0x0000000000040200\n\
                         0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
    const DOORBELL: &str = "0x00000000febd1000 0x00000000febd10ff 0x0000000000040200\n\
                            0x00000000febd2000 0x00000000febd2fff 0x0000000000040200\n";

    fn bus_with(devices: &[(&str, &str)]) -> tempfile::TempDir {
        let bus = tempfile::tempdir().unwrap();
        for (address, resource) in devices {
            let folder = bus.path().join("devices").join(address);
            fs::create_dir_all(&folder).unwrap();
            for (name, text) in [("vendor", VENDOR), ("device", DEVICE), ("resource", resource)] {
                fs::write(folder.join(name), format!("{text}\n")).unwrap();
            }
        }
        bus
    }

    fn select(devices: &[(&str, &str)], address: Option<&str>, needs: Needs) -> Result<String, DeviceError> {
        let bus = bus_with(devices);
        PciDevice::select_in(bus.path(), address, needs).map(|device| device.address().to_owned())
    }

    const THREE: [(&str, &str); 3] = [("0000:00:01.0", PLAIN), ("0000:00:02.0", PLAIN), ("0000:00:03.0", DOORBELL)];

    #[test]
    fn prefers_the_only_doorbell_device() {
        for needs in [Needs::Memory, Needs::Doorbells] {
            assert_eq!(select(&THREE, None, needs).unwrap(), "0000:00:03.0");
        }
    }

    #[test]
    fn lists_several_doorbell_devices_with_status_2() {
        let devices = [("0000:00:01.0", PLAIN), ("0000:00:02.0", DOORBELL), ("0000:00:03.0", DOORBELL)];
        for needs in [Needs::Memory, Needs::Doorbells] {
            let error = select(&devices, None, needs).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("0000:00:02.0 (ivshmem-doorbell, no driver), 0000:00:03.0"), "{text}");
            assert!(!text.contains("0000:00:01.0") && text.contains("--device ADDRESS"), "{text}");
            assert_eq!(error.exit_status(), 2);
        }
    }

    #[test]
    fn selects_plain_device_for_memory_only() {
        assert_eq!(select(&THREE[..1], None, Needs::Memory).unwrap(), "0000:00:01.0");
        let error = select(&THREE[..1], None, Needs::Doorbells).unwrap_err();
        assert_eq!(error.exit_status(), 3);
        assert!(error.to_string().contains("-device ivshmem-doorbell"), "{error}");
        assert_eq!(select(&THREE[..2], None, Needs::Memory).unwrap_err().exit_status(), 2);
    }

    #[test]
    fn missing_device_is_status_3_with_hint() {
        let error = select(&[], None, Needs::Memory).unwrap_err();
        assert_eq!(error.exit_status(), 3);
        assert!(error.to_string().contains("start QEMU with"), "{error}");
    }

    #[test]
    fn address_may_omit_the_domain() {
        assert_eq!(select(&THREE, Some("0000:00:01.0"), Needs::Memory).unwrap(), "0000:00:01.0");
        assert_eq!(select(&THREE, Some("00:02.0"), Needs::Memory).unwrap(), "0000:00:02.0");
        for (address, needs, text) in [
            ("00:09.0", Needs::Memory, "0000:00:03.0 (ivshmem-doorbell, no driver)"),
            ("", Needs::Memory, "is not an ivshmem device"),
            ("00:01.0", Needs::Doorbells, "0000:00:01.0 is ivshmem-plain"),
        ] {
            let error = select(&THREE, Some(address), needs).unwrap_err();
            assert_eq!(error.exit_status(), 2, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
