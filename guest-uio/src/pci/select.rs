//! Which device a command works on, without an address from the user.
//!
//! A doorbell device comes before plain ones, wherever they are on the bus: a machine may have plain devices for other
//! purposes, and one may be plugged in at any time. Of several equal candidates none is taken by chance.

use std::path::Path;

use super::{PciDevice, PciError, SYSFS};

/// What a command needs of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The memory, which every ivshmem device has.
    Memory,
    /// Doorbells, which `ivshmem-plain` does not have.
    Doorbells,
}

impl PciDevice {
    /// The device at `address`, or the one that a command means without an address: the only doorbell device, and where
    /// the memory is enough and there is no doorbell device, the only plain one.
    pub fn select(address: Option<&str>, needs: Needs) -> Result<Self, PciError> {
        Self::select_in(Path::new(SYSFS), address, needs)
    }

    fn select_in(bus: &Path, address: Option<&str>, needs: Needs) -> Result<Self, PciError> {
        let devices = Self::all_in(bus)?;
        if devices.is_empty() {
            return Err(PciError::NoDevice);
        }
        if let Some(address) = address {
            return at(&devices, address, needs);
        }
        let (mut doorbell, mut plain): (Vec<Self>, Vec<Self>) = devices.into_iter().partition(Self::has_doorbell);
        match (doorbell.len(), plain.len()) {
            (1, _) => Ok(doorbell.swap_remove(0)),
            (0, _) if needs == Needs::Doorbells => Err(PciError::NoDoorbell { devices: list(&plain) }),
            (0, 1) => Ok(plain.swap_remove(0)),
            (0, _) => Err(PciError::Ambiguous { devices: list(&plain) }),
            _ => Err(PciError::Ambiguous { devices: list(&doorbell) }),
        }
    }

    /// Every ivshmem device of this machine but this one.
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

fn at(devices: &[PciDevice], address: &str, needs: Needs) -> Result<PciDevice, PciError> {
    // lspci leaves the domain out where there is only one.
    let full = if address.matches(':').count() == 1 { format!("0000:{address}") } else { address.to_owned() };
    let Some(device) = devices.iter().find(|device| device.address == full) else {
        return Err(PciError::NotAt { address: address.to_owned(), devices: list(devices) });
    };
    if needs == Needs::Doorbells && !device.has_doorbell() {
        return Err(PciError::Plain { address: full });
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

    fn select(devices: &[(&str, &str)], address: Option<&str>, needs: Needs) -> Result<String, PciError> {
        let bus = bus_with(devices);
        PciDevice::select_in(bus.path(), address, needs).map(|device| device.address().to_owned())
    }

    const THREE: [(&str, &str); 3] = [("0000:00:01.0", PLAIN), ("0000:00:02.0", PLAIN), ("0000:00:03.0", DOORBELL)];

    #[test]
    fn only_doorbell_device_is_taken_before_plain_ones() {
        for needs in [Needs::Memory, Needs::Doorbells] {
            assert_eq!(select(&THREE, None, needs).unwrap(), "0000:00:03.0");
        }
    }

    #[test]
    fn several_doorbell_devices_are_listed_with_status_2() {
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
    fn plain_device_is_enough_for_memory_only() {
        assert_eq!(select(&THREE[..1], None, Needs::Memory).unwrap(), "0000:00:01.0");
        let error = select(&THREE[..1], None, Needs::Doorbells).unwrap_err();
        assert_eq!(error.exit_status(), 3);
        assert!(error.to_string().contains("-device ivshmem-doorbell"), "{error}");
        assert_eq!(select(&THREE[..2], None, Needs::Memory).unwrap_err().exit_status(), 2);
    }

    #[test]
    fn no_device_at_all_is_status_3_with_a_hint() {
        let error = select(&[], None, Needs::Memory).unwrap_err();
        assert_eq!(error.exit_status(), 3);
        assert!(error.to_string().contains("start QEMU with"), "{error}");
    }

    #[test]
    fn address_selects_a_device_with_or_without_its_domain() {
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
