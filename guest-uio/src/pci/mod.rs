//! The ivshmem device in sysfs: its ids, BARs and capabilities; binding and unbinding drivers.
//!
//! `select` picks a command's device.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

mod select;

pub use select::Needs;

use crate::error::{DeviceError, system};

/// Red Hat's PCI vendor id, used by QEMU's devices.
pub const VENDOR: &str = "0x1af4";
/// The PCI device id of ivshmem (QEMU, docs/specs/ivshmem-spec).
pub const DEVICE: &str = "0x1110";
/// The PCI bus in sysfs.
pub const SYSFS: &str = "/sys/bus/pci";

/// An ivshmem device.
#[derive(Debug, Clone)]
pub struct PciDevice {
    bus: PathBuf,
    address: String,
}

/// The address range of a base address register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Bus address of the first byte; 0 if unassigned.
    pub start: u64,
    /// Length in bytes; 0 if the device does not have this BAR.
    pub len: u64,
}

impl PciDevice {
    /// All ivshmem devices in a sysfs PCI folder, sorted by address.
    pub fn all_in(bus: &Path) -> Result<Vec<Self>, DeviceError> {
        let folder = bus.join("devices");
        let entries = match fs::read_dir(&folder) {
            // A kernel without PCI, or a container without sysfs.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(access(&folder))?,
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

    /// An attribute's trimmed text; empty if it cannot be read.
    #[must_use]
    pub fn attribute(&self, name: &str) -> String {
        fs::read_to_string(self.folder().join(name)).map_or_else(|_| String::new(), |text| text.trim().to_owned())
    }

    /// A BAR's address range.
    pub fn bar(&self, index: usize) -> Result<Bar, DeviceError> {
        let path = self.folder().join("resource");
        let text = fs::read_to_string(&path).map_err(access(&path))?;
        Ok(text.lines().nth(index).and_then(parse_bar).unwrap_or(Bar { start: 0, len: 0 }))
    }

    /// Whether it is `ivshmem-doorbell`. Only that variant has MSI-X and its table in BAR1; the ids and revisions of both
    /// variants are equal.
    #[must_use]
    pub fn has_doorbell(&self) -> bool {
        // An unassigned BAR is missing in `resource`; the MSI-X capability is still listed.
        self.bar(1).is_ok_and(|bar| bar.len > 0) || self.msix_vectors().is_some()
    }

    /// Number of MSI-X vectors (PCI Local Bus Specification 3.0, section 6.8.2). `None` without MSI-X, or if only root may
    /// read the capability.
    #[must_use]
    pub fn msix_vectors(&self) -> Option<u16> {
        msix_vectors_in(&fs::read(self.folder().join("config")).ok()?)
    }

    /// Number of MSI-X vectors that the driver has allocated.
    #[must_use]
    pub fn allocated_vectors(&self) -> u16 {
        let taken = fs::read_dir(self.folder().join("msi_irqs")).map_or(0, Iterator::count);
        u16::try_from(taken).unwrap_or(u16::MAX)
    }

    /// Fails if BAR0 or BAR2 lacks an address, for example after hot-plugging behind a bridge with a small window.
    pub fn check_addresses(&self) -> Result<(), DeviceError> {
        for index in [0, 2] {
            let bar = self.bar(index)?;
            if bar.start == 0 {
                // The size is 0 if the kernel dropped it with the address.
                let size = if bar.len == 0 { String::new() } else { format!(" ({} bytes)", bar.len) };
                return Err(DeviceError::Missing(format!(
                    "BAR{index} of {}{size} has no address, because its PCI bridge's window is too small; start QEMU with a \
                     larger window (-device pcie-root-port,pref64-reserve=SIZE), or with the device on the root bus \
                     (bus=pcie.0)",
                    self.address
                )));
            }
        }
        Ok(())
    }

    /// The bound driver.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        let link = fs::read_link(self.folder().join("driver")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    /// Binds the device to `driver`. Uses `driver_override`, because `new_id` would also bind every other device with these
    /// ids.
    pub fn bind(&self, driver: &str) -> Result<(), DeviceError> {
        if self.driver().as_deref() == Some(driver) {
            return Ok(());
        }
        let folder = self.bus.join("drivers").join(driver);
        if !folder.exists() {
            return Err(DeviceError::Missing(format!(
                "driver {driver} is not loaded; load its module first (modprobe {driver}, or insmod {driver}.ko)"
            )));
        }
        let previous = self.driver();
        self.unbind()?;
        write(&self.folder().join("driver_override"), driver)?;
        let bind = folder.join("bind");
        let bound = fs::write(&bind, &self.address);
        if self.driver().as_deref() == Some(driver) {
            return Ok(());
        }
        // A remaining override would keep every other driver from binding.
        write(&self.folder().join("driver_override"), "\n")?;
        if let Some(previous) = previous {
            // Best effort: the error of the requested binding is the one to report.
            let _ = write(&self.folder().join("driver_override"), &previous);
            let _ = write(&self.bus.join("drivers").join(&previous).join("bind"), &self.address);
        }
        let address = &self.address;
        Err(match bound {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => access(&bind)(error),
            // The guest's CPUs cannot provide enough interrupt vectors.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => DeviceError::Missing(format!(
                "{driver} cannot allocate an interrupt vector for each of {address}'s; one CPU provides about 200: give the \
                 device fewer vectors, or the guest more CPUs"
            )),
            _ => DeviceError::Failed(format!("{driver} did not bind to {address}; see the kernel log (dmesg)")),
        })
    }

    /// Unbinds the device from its driver, if it has one.
    pub fn unbind(&self) -> Result<(), DeviceError> {
        if self.driver().is_some() {
            write(&self.folder().join("driver/unbind"), &self.address)?;
        }
        write(&self.folder().join("driver_override"), "\n")
    }
}

fn write(path: &Path, text: &str) -> Result<(), DeviceError> {
    fs::write(path, text).map_err(access(path))
}

/// The error of a failed access to a file in sysfs.
fn access(path: &Path) -> impl FnOnce(io::Error) -> DeviceError {
    let path = path.display().to_string();
    move |source| {
        let denied = source.kind() == io::ErrorKind::PermissionDenied;
        let root = if denied { ": binding and mapping need root" } else { "" };
        system(format!("cannot access {path}{root}"))(source)
    }
}

/// The size of the MSI-X table, from the capability list in configuration space.
fn msix_vectors_in(config: &[u8]) -> Option<u16> {
    // Names as in include/uapi/linux/pci_regs.h.
    const STATUS: usize = 0x06;
    const STATUS_CAP_LIST: u8 = 1 << 4;
    const CAPABILITY_LIST: usize = 0x34;
    const CAP_ID_MSIX: u8 = 0x11;
    if config.get(STATUS)? & STATUS_CAP_LIST == 0 {
        return None;
    }
    let mut at = usize::from(*config.get(CAPABILITY_LIST)?);
    // Bounded: the configuration space of an unplugged device reads as all ones, which is an endless list.
    for _ in 0..48 {
        match *config.get(at..at + 4)? {
            [CAP_ID_MSIX, _, low, high] => return Some((u16::from_le_bytes([low, high]) & 0x7ff) + 1),
            [_, 0, ..] => return None,
            [_, next, ..] => at = usize::from(next),
            _ => return None,
        }
    }
    None
}

/// Parses a line of sysfs `resource`: first address, last address, flags. All are zero for a missing BAR.
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
    fn finds_devices_by_ids_sorted_by_address() {
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
    fn finds_no_devices_without_pci() {
        assert!(PciDevice::all_in(Path::new("/nonexistent")).unwrap().is_empty());
    }

    #[test]
    fn reads_msix_vectors_from_capability_list() {
        let mut config = vec![0; 256];
        assert_eq!(msix_vectors_in(&config), None);
        config[0x06] = 1 << 4;
        config[0x34] = 0x40;
        // Power management, then MSI-X with a table of 4.
        config[0x40..0x44].copy_from_slice(&[0x01, 0x50, 0, 0]);
        config[0x50..0x54].copy_from_slice(&[0x11, 0, 3, 0x80]);
        assert_eq!(msix_vectors_in(&config), Some(4));
        // Without root only the header is readable.
        assert_eq!(msix_vectors_in(&config[..64]), None);
        config[0x50] = 0x05;
        assert_eq!(msix_vectors_in(&config), None);
        assert_eq!(msix_vectors_in(&[0xff; 256]), None);
        config[0x41] = 0x40;
        assert_eq!(msix_vectors_in(&config), None, "a circular list");
    }

    #[test]
    fn error_names_bar_without_address_and_its_size() {
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
    fn parses_bar_from_first_and_last_address() {
        let line = "0x00000000f8000000 0x00000000fbffffff 0x000000000014220c";
        assert_eq!(parse_bar(line), Some(Bar { start: 0xf800_0000, len: 64 << 20 }));
        assert_eq!(parse_bar("0x0000000000000000 0x0000000000000000 0x0000000000000000"), None);
        assert_eq!(parse_bar("nonsense"), None);
    }

    #[test]
    fn error_for_missing_driver_hints_at_modprobe() {
        let bus = bus_with(&[("0000:00:03.0", VENDOR, DEVICE)]);
        let device = PciDevice::all_in(bus.path()).unwrap().remove(0);
        let error = device.bind("uio_pci_generic").unwrap_err();
        assert!(error.to_string().contains("modprobe uio_pci_generic"), "{error}");
    }
}
