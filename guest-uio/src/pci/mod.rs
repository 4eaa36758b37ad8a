//! The ivshmem device in sysfs: its ids, BARs and capabilities; binding and unbinding drivers.
//!
//! `select` picks the device that a command works on, `error` has the reasons why there is none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

mod error;
mod select;

pub use error::PciError;
pub use select::Needs;

/// Red Hat's vendor id, in which QEMU's devices live.
pub const VENDOR: &str = "0x1af4";
/// ivshmem (QEMU, docs/specs/ivshmem-spec).
pub const DEVICE: &str = "0x1110";
/// Where Linux shows PCI.
pub const SYSFS: &str = "/sys/bus/pci";

/// An ivshmem device.
#[derive(Debug, Clone)]
pub struct PciDevice {
    bus: PathBuf,
    address: String,
}

/// A base address register's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Bus address of its first byte; 0 if it has none.
    pub start: u64,
    /// Length in bytes; 0 if the device does not have this BAR.
    pub len: u64,
}

impl PciDevice {
    /// Every ivshmem device below a sysfs PCI folder, by address.
    pub fn all_in(bus: &Path) -> Result<Vec<Self>, PciError> {
        let folder = bus.join("devices");
        let entries = match fs::read_dir(&folder) {
            // A kernel without PCI, or a container without sysfs.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(|source| PciError::Sysfs { path: folder, source })?,
        };
        let mut found: Vec<Self> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .map(|address| Self { bus: bus.to_owned(), address })
            .filter(|device| device.attribute("vendor") == VENDOR && device.attribute("device") == DEVICE)
            .collect();
        found.sort_by(|a, b| a.address.cmp(&b.address));
        Ok(found)
    }

    /// The address, such as `0000:00:03.0`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The device's folder in sysfs.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.bus.join("devices").join(&self.address)
    }

    /// An attribute's trimmed text; empty if there is none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> String {
        fs::read_to_string(self.folder().join(name)).map_or_else(|_| String::new(), |text| text.trim().to_owned())
    }

    /// A BAR's window.
    pub fn bar(&self, index: usize) -> Result<Bar, PciError> {
        let path = self.folder().join("resource");
        let text = fs::read_to_string(&path).map_err(|source| PciError::Sysfs { path, source })?;
        Ok(text.lines().nth(index).and_then(parse_bar).unwrap_or(Bar { start: 0, len: 0 }))
    }

    /// Whether it is `ivshmem-doorbell`: that one has MSI-X with a table in BAR1, `ivshmem-plain` has neither. Their ids
    /// and revisions are equal.
    #[must_use]
    pub fn has_doorbell(&self) -> bool {
        // A BAR that found no room on the bus is missing in the list, the capability is not.
        self.bar(1).is_ok_and(|bar| bar.len > 0) || self.msix_vectors().is_some()
    }

    /// The MSI-X vectors that the device has (PCI Local Bus Specification 3.0, section 6.8.2); `None` without MSI-X, and
    /// where only root may read the capability.
    #[must_use]
    pub fn msix_vectors(&self) -> Option<u16> {
        msix_vectors_in(&fs::read(self.folder().join("config")).ok()?)
    }

    /// Whether the device is still plugged in.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.folder().exists()
    }

    /// Fails if firmware and kernel found no room for a BAR, as after hot-plugging behind a bridge with a small window.
    pub fn check_addresses(&self) -> Result<(), PciError> {
        for index in [0, 2] {
            let bar = self.bar(index)?;
            if bar.start == 0 {
                return Err(PciError::NoRoom { address: self.address.clone(), bar: index, bytes: bar.len });
            }
        }
        Ok(())
    }

    /// The driver that holds the device.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        let link = fs::read_link(self.folder().join("driver")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    /// Gives the device to `driver` and to no other: `driver_override` is exact, where `new_id` would also take every
    /// other device of these ids.
    pub fn bind(&self, driver: &str) -> Result<(), PciError> {
        if self.driver().as_deref() == Some(driver) {
            return Ok(());
        }
        let folder = self.bus.join("drivers").join(driver);
        if !folder.exists() {
            return Err(PciError::NoDriver { driver: driver.to_owned() });
        }
        let previous = self.driver();
        self.unbind()?;
        self.write(&self.folder().join("driver_override"), driver)?;
        let bound = self.write(&folder.join("bind"), &self.address).map_err(|error| match error {
            PciError::Sysfs { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                PciError::NoVectors { driver: driver.to_owned(), address: self.address.clone() }
            }
            PciError::Sysfs { .. } => PciError::Refused { driver: driver.to_owned(), address: self.address.clone() },
            other => other,
        });
        if self.driver().as_deref() == Some(driver) {
            return Ok(());
        }
        // The override would keep every other driver away, too.
        self.write(&self.folder().join("driver_override"), "\n")?;
        if let Some(previous) = previous {
            // Whoever had the device keeps it; the error that is told is the first one.
            let _ = self.write(&self.folder().join("driver_override"), &previous);
            let _ = self.write(&self.bus.join("drivers").join(&previous).join("bind"), &self.address);
        }
        bound?;
        Err(PciError::Refused { driver: driver.to_owned(), address: self.address.clone() })
    }

    /// Takes the device from whichever driver has it.
    pub fn unbind(&self) -> Result<(), PciError> {
        if self.driver().is_some() {
            self.write(&self.folder().join("driver/unbind"), &self.address)?;
        }
        self.write(&self.folder().join("driver_override"), "\n")
    }

    #[expect(clippy::unused_self, reason = "reads as an act on the device")]
    fn write(&self, path: &Path, text: &str) -> Result<(), PciError> {
        fs::write(path, text).map_err(|source| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::PermissionDenied => PciError::Denied { path, source },
                _ => PciError::Sysfs { path, source },
            }
        })
    }
}

/// The size of the MSI-X table, by the list of capabilities in configuration space.
fn msix_vectors_in(config: &[u8]) -> Option<u16> {
    /// Status register; the bit for a list of capabilities; where the list begins; the id of MSI-X.
    const STATUS: usize = 0x06;
    const HAS_LIST: u8 = 1 << 4;
    const LIST: usize = 0x34;
    const MSI_X: u8 = 0x11;
    if config.get(STATUS)? & HAS_LIST == 0 {
        return None;
    }
    let mut at = usize::from(*config.get(LIST)?);
    // A list has no more entries than fit; a device that is gone reads as all ones, which would be a loop.
    for _ in 0..48 {
        match *config.get(at..at + 4)? {
            [MSI_X, _, low, high] => return Some((u16::from_le_bytes([low, high]) & 0x7ff) + 1),
            [_, 0, ..] => return None,
            [_, next, ..] => at = usize::from(next),
            _ => return None,
        }
    }
    None
}

/// A line of sysfs `resource`: first address, last address, flags; all zero where there is no BAR.
fn parse_bar(line: &str) -> Option<Bar> {
    let mut words = line.split_whitespace().map(|w| u64::from_str_radix(w.trim_start_matches("0x"), 16));
    let (start, end) = (words.next()?.ok()?, words.next()?.ok()?);
    (end > start).then(|| Bar { start, len: end - start + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn bus_with(devices: &[(&str, &str, &str)]) -> tempfile::TempDir {
        let bus = tempfile::tempdir().unwrap();
        for (address, vendor, device) in devices {
            let folder = bus.path().join("devices").join(address);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("vendor"), format!("{vendor}\n")).unwrap();
            fs::write(folder.join("device"), format!("{device}\n")).unwrap();
        }
        fs::create_dir_all(bus.path().join("devices")).unwrap();
        bus
    }

    #[test]
    fn devices_are_found_by_their_ids_and_in_order_of_address() {
        let bus = bus_with(&[
            ("0000:00:1f.0", "0x8086", "0x2918"),
            ("0000:00:05.0", VENDOR, DEVICE),
            ("0000:00:03.0", VENDOR, DEVICE),
            ("0000:00:04.0", VENDOR, "0x1000"),
        ]);
        let found = PciDevice::all_in(bus.path()).unwrap();
        let addresses: Vec<&str> = found.iter().map(PciDevice::address).collect();
        assert_eq!(addresses, ["0000:00:03.0", "0000:00:05.0"]);
    }

    #[test]
    fn a_kernel_without_pci_has_no_devices() {
        assert!(PciDevice::all_in(Path::new("/nonexistent")).unwrap().is_empty());
    }

    #[test]
    fn msix_vectors_are_found_in_the_capability_list() {
        let mut config = vec![0; 256];
        assert_eq!(msix_vectors_in(&config), None);
        config[0x06] = 1 << 4;
        config[0x34] = 0x40;
        // Power management, then MSI-X with a table of 4.
        config[0x40..0x44].copy_from_slice(&[0x01, 0x50, 0, 0]);
        config[0x50..0x54].copy_from_slice(&[0x11, 0, 3, 0x80]);
        assert_eq!(msix_vectors_in(&config), Some(4));
        // As others than root read it: the header alone.
        assert_eq!(msix_vectors_in(&config[..64]), None);
        config[0x50] = 0x05;
        assert_eq!(msix_vectors_in(&config), None);
        assert_eq!(msix_vectors_in(&[0xff; 256]), None);
        config[0x41] = 0x40;
        assert_eq!(msix_vectors_in(&config), None, "a list in a circle ends");
    }

    #[test]
    fn bar_without_an_address_is_named_with_its_size() {
        let bus = bus_with(&[("0000:01:00.0", VENDOR, DEVICE)]);
        let device = PciDevice::all_in(bus.path()).unwrap().remove(0);
        let resource = |bar2: &str| {
            let text = format!("0x0000000080000000 0x00000000800000ff 0x0000000000040200\n0x0 0x0 0x0\n{bar2}\n");
            fs::write(device.folder().join("resource"), text).unwrap();
        };
        resource("0x0000000090000000 0x0000000093ffffff 0x000000000014220c");
        assert!(device.check_addresses().is_ok());
        resource("0x0000000000000000 0x0000000003ffffff 0x000000002014220c");
        let error = device.check_addresses().unwrap_err().to_string();
        assert!(error.contains("BAR2 of 0000:01:00.0 (67108864 bytes) has no address"), "{error}");
        resource("0x0000000000000000 0x0000000000000000 0x0000000000000000");
        let error = device.check_addresses().unwrap_err().to_string();
        assert!(error.contains("BAR2 of 0000:01:00.0 has no address"), "{error}");
    }

    #[test]
    fn a_bar_is_read_from_its_first_and_last_address() {
        let line = "0x00000000f8000000 0x00000000fbffffff 0x000000000014220c";
        assert_eq!(parse_bar(line), Some(Bar { start: 0xf800_0000, len: 64 << 20 }));
        assert_eq!(parse_bar("0x0000000000000000 0x0000000000000000 0x0000000000000000"), None);
        assert_eq!(parse_bar("nonsense"), None);
    }

    #[test]
    fn binding_to_a_driver_that_is_not_loaded_names_the_cure() {
        let bus = bus_with(&[("0000:00:03.0", VENDOR, DEVICE)]);
        let device = PciDevice::all_in(bus.path()).unwrap().remove(0);
        let error = device.bind("uio_pci_generic").unwrap_err();
        assert!(error.to_string().contains("modprobe uio_pci_generic"), "{error}");
    }
}
