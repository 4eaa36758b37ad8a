//! The ivshmem device in sysfs: found by its ids, never by an address; its BARs; binding and unbinding drivers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Red Hat's vendor id, in which QEMU's devices live.
pub const VENDOR: &str = "0x1af4";
/// ivshmem (QEMU, docs/specs/ivshmem-spec).
pub const DEVICE: &str = "0x1110";
/// Where Linux shows PCI.
pub const SYSFS: &str = "/sys/bus/pci";

/// What can go wrong with the device in sysfs.
#[derive(Debug, thiserror::Error)]
pub enum PciError {
    /// No such device.
    #[error(
        "there is no ivshmem device (PCI 1af4:1110) in this machine; start QEMU with \
         -chardev socket,path=SOCKET,id=ivshmem -device ivshmem-doorbell,chardev=ivshmem"
    )]
    NoDevice,
    /// No device at the address that was asked for.
    #[error("{address} is no ivshmem device (PCI 1af4:1110)")]
    NotAt {
        /// The address.
        address: String,
    },
    /// The driver is not loaded.
    #[error("the kernel has no driver {driver}; load its module first (modprobe {driver}, or insmod {driver}.ko)")]
    NoDriver {
        /// The driver.
        driver: String,
    },
    /// The kernel took the request, but the driver did not take the device.
    #[error("{driver} did not take {address}; the kernel's log (dmesg) says why")]
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
    /// The device at `address`, or the first one by address.
    pub fn find(address: Option<&str>) -> Result<Self, PciError> {
        let mut all = Self::all_in(Path::new(SYSFS))?;
        match address {
            None if all.is_empty() => Err(PciError::NoDevice),
            None => Ok(all.swap_remove(0)),
            Some(wanted) => all
                .into_iter()
                .find(|device| device.address == wanted)
                .ok_or_else(|| PciError::NotAt { address: wanted.to_owned() }),
        }
    }

    /// Every ivshmem device below a sysfs PCI folder, by address.
    pub fn all_in(bus: &Path) -> Result<Vec<Self>, PciError> {
        let folder = bus.join("devices");
        let entries = fs::read_dir(&folder).map_err(|source| PciError::Sysfs { path: folder, source })?;
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

    /// Whether it is `ivshmem-doorbell`: that one has a BAR for its MSI-X table, `ivshmem-plain` has none.
    pub fn has_doorbell(&self) -> Result<bool, PciError> {
        Ok(self.bar(1)?.len > 0)
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

/// A line of sysfs `resource`: first address, last address, flags; all zero where there is no BAR.
fn parse_bar(line: &str) -> Option<Bar> {
    let mut words = line.split_whitespace().map(|w| u64::from_str_radix(w.trim_start_matches("0x"), 16));
    let (start, end) = (words.next()?.ok()?, words.next()?.ok()?);
    (end > start).then(|| Bar { start, len: end - start + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus_with(devices: &[(&str, &str, &str)]) -> tempfile::TempDir {
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
