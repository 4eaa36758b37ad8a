//! `vfio-pci`, a driver of the stock kernel: one eventfd per MSI-X vector; BARs are mapped through the device's file.
//!
//! It requires an IOMMU, although ivshmem never reads the guest's memory. Nothing is mapped for DMA.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use doorbell::Vector;
use doorbell::region::SharedRegion;
use doorbell::wait::{EventSource, Wakeup};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{Driver, DriverError, IrqSource, VFIO_PCI};
use crate::pci::PciDevice;

mod ioctl;

/// Directory of VFIO's device files.
const VFIO_DIR: &str = "/dev/vfio";
/// The command register in configuration space, and its bus master bit.
const COMMAND: u64 = 4;
const BUS_MASTER: u16 = 1 << 2;

/// A failed use of VFIO.
#[derive(Debug, thiserror::Error)]
pub enum VfioError {
    /// The device is not in an IOMMU group.
    #[error(
        "{VFIO_PCI} needs an IOMMU, and {address} is not behind one: start QEMU with -machine q35,kernel-irqchip=split \
         -device intel-iommu,intremap=on (before the ivshmem device) and the guest's kernel with \
         intel_iommu=on iommu=pt; or use {}, which works without an IOMMU",
        super::UIO_PCI_MSIX
    )]
    NoIommu {
        /// The device.
        address: String,
    },
    /// Another device of the group is bound to a kernel driver.
    #[error(
        "IOMMU group {group} of {address} is not viable: other drivers are bound to {others}; unbind them, or attach the \
         ivshmem device where it has an IOMMU group of its own"
    )]
    NotViable {
        /// The device.
        address: String,
        /// The group.
        group: String,
        /// Devices and their drivers.
        others: String,
    },
    /// Another process has opened the group's file, which permits one user.
    #[error("another process uses IOMMU group {group}; a VFIO device has one user at a time")]
    Busy {
        /// The group.
        group: String,
    },
    /// The IOMMU does not remap interrupts. VFIO requires that, because devices could forge interrupts otherwise.
    #[error("the IOMMU does not remap interrupts; start QEMU with -device intel-iommu,intremap=on")]
    NoRemapping,
    /// VFIO has another API version.
    #[error("VFIO has API version {0}; this program needs version {expected}", expected = ioctl::API_VERSION)]
    Version(i32),
    /// The kernel does not permit mapping a BAR.
    #[error("the kernel does not permit mapping {what} of {address}; is CONFIG_VFIO_PCI_MMAP off?")]
    NotMappable {
        /// The device.
        address: String,
        /// Which BAR.
        what: &'static str,
    },
    /// An ioctl failed.
    #[error("{VFIO_PCI} cannot {step}")]
    Refused {
        /// The failed step.
        step: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl VfioError {
    /// The exit status: 1 failed, 3 a device, driver or feature is missing.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Busy { .. } | Self::Refused { .. } => 1,
            Self::NoIommu { .. }
            | Self::NotViable { .. }
            | Self::NoRemapping
            | Self::Version(_)
            | Self::NotMappable { .. } => 3,
        }
    }
}

fn refused<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> VfioError {
    move |source| VfioError::Refused { step, source: source.into() }
}

/// The number of the device's IOMMU group.
pub(super) fn group(device: &PciDevice) -> Result<String, VfioError> {
    fs::read_link(device.folder().join("iommu_group"))
        .ok()
        .and_then(|link| Some(link.file_name()?.to_str()?.to_owned()))
        .ok_or_else(|| VfioError::NoIommu { address: device.address().to_owned() })
}

/// See the module.
#[derive(Debug)]
pub(super) struct Vfio {
    handles: Rc<Handles>,
    address: String,
    registers: SharedRegion,
    memory: SharedRegion,
}

/// Files that must stay open while interrupts are in use. Closed in this order: the device first.
#[derive(Debug)]
struct Handles {
    device: File,
    vectors: Vec<EventFd>,
    /// Signalled by the kernel to request the device's release, when it is unplugged or unbound.
    removal: EventFd,
    _group: File,
    _container: File,
}

impl Vfio {
    pub(super) fn open(device: &PciDevice) -> Result<Self, DriverError> {
        let handles = Handles::open(device)?;
        let registers = handles.map(device, 0, "BAR0")?;
        let memory = handles.map(device, 2, "BAR2")?;
        Ok(Self { handles: Rc::new(handles), address: device.address().to_owned(), registers, memory })
    }
}

impl Handles {
    fn open(device: &PciDevice) -> Result<Self, DriverError> {
        let (container, group) = open_container(device)?;
        let device = open_device(&group, device.address())?;
        let vectors = take_vectors(&device)?;
        let removal = watch_removal(&device)?;
        Ok(Self { device, vectors, removal, _group: group, _container: container })
    }

    fn map(&self, device: &PciDevice, bar: u32, what: &'static str) -> Result<SharedRegion, DriverError> {
        let address = || device.address().to_owned();
        let info = ioctl::region_info(&self.device, bar).map_err(refused("describe a BAR"))?;
        if !info.can_be_mapped() {
            return Err(VfioError::NotMappable { address: address(), what }.into());
        }
        // A BAR smaller than a page is mapped as its whole page.
        let len = usize::try_from(info.size).unwrap_or(0).next_multiple_of(bench_protocol::memory_map::PAGE);
        SharedRegion::map_device(&self.device, info.offset, len).map_err(|source| DriverError::Map {
            what,
            address: address(),
            source,
        })
    }
}

/// Creates a container that has the device's group.
fn open_container(device: &PciDevice) -> Result<(File, File), DriverError> {
    let number = group(device)?;
    let container = open_file(&Path::new(VFIO_DIR).join("vfio"))?;
    let version = ioctl::api_version(&container).map_err(refused("read the API version"))?;
    if version != ioctl::API_VERSION {
        return Err(VfioError::Version(version).into());
    }
    let group = match open_file(&Path::new(VFIO_DIR).join(&number)) {
        Err(DriverError::Open { source, .. }) if source.raw_os_error() == Some(Errno::EBUSY as i32) => {
            return Err(VfioError::Busy { group: number }.into());
        }
        opened => opened?,
    };
    if !ioctl::group_is_viable(&group).map_err(refused("read the group's state"))? {
        let others = others(device);
        return Err(VfioError::NotViable { address: device.address().to_owned(), group: number, others }.into());
    }
    ioctl::set_container(&group, &container).map_err(refused("add the group to a container"))?;
    ioctl::set_iommu(&container).map_err(|error| match error {
        Errno::EPERM => VfioError::NoRemapping,
        error => refused("set the IOMMU model (is the module vfio_iommu_type1 loaded?)")(error),
    })?;
    Ok((container, group))
}

fn open_file(path: &Path) -> Result<File, DriverError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|source| DriverError::Open { path: path.to_owned(), source })
}

/// The group's other devices that are bound to a driver: `0000:00:1f.2 (ahci)`.
fn others(device: &PciDevice) -> String {
    let held = |path: PathBuf| {
        let driver = fs::read_link(path.join("driver")).ok()?;
        let driver = driver.file_name()?.to_str()?;
        (driver != VFIO_PCI).then(|| format!("{} ({driver})", path.file_name().unwrap_or_default().display()))
    };
    let entries = fs::read_dir(device.folder().join("iommu_group/devices"));
    let mut held: Vec<String> =
        entries.into_iter().flatten().flatten().filter_map(|entry| held(entry.path())).collect();
    held.sort();
    held.join(", ")
}

/// Opens the device and enables bus mastering. An MSI-X message is a memory write by the device, so it requires the bus
/// master bit, which VFIO does not set.
fn open_device(group: &File, address: &str) -> Result<File, VfioError> {
    let name = CString::new(address).map_err(io::Error::from).map_err(refused("open the device"))?;
    let device: OwnedFd = ioctl::open_device(group, &name).map_err(refused("open the device"))?;
    let device = File::from(device);
    let config = ioctl::region_info(&device, ioctl::CONFIG_REGION).map_err(refused("describe configuration space"))?;
    let mut command = [0; 2];
    device.read_exact_at(&mut command, config.offset + COMMAND).map_err(refused("read configuration space"))?;
    let command = u16::from_le_bytes(command) | BUS_MASTER;
    let written = device.write_all_at(&command.to_le_bytes(), config.offset + COMMAND);
    written.map_err(refused("enable bus mastering"))?;
    Ok(device)
}

/// Creates one eventfd per vector and enables all vectors in one step: enabling more later briefly disables MSI-X.
fn take_vectors(device: &File) -> Result<Vec<EventFd>, VfioError> {
    let count = ioctl::msix_vectors(device).map_err(refused("count the vectors"))?;
    // Blocking, because waiting is a plain read.
    let eventfds: Vec<EventFd> = (0..count)
        .map(|_| EventFd::from_flags(EfdFlags::EFD_CLOEXEC))
        .collect::<Result<_, _>>()
        .map_err(refused("create an eventfd per vector"))?;
    if count > 0 {
        ioctl::set_msix_eventfds(device, &eventfds).map_err(refused("enable MSI-X"))?;
    }
    Ok(eventfds)
}

/// Creates the eventfd that the kernel signals to request the device's release. The kernel waits until the device is closed:
/// a user that ignores the eventfd blocks the removal forever.
fn watch_removal(device: &File) -> Result<EventFd, VfioError> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let removal = EventFd::from_flags(flags).map_err(refused("create an eventfd for the device's removal"))?;
    ioctl::set_request_eventfd(device, &removal).map_err(refused("watch for the device's removal"))?;
    Ok(removal)
}

impl Driver for Vfio {
    fn name(&self) -> &'static str {
        VFIO_PCI
    }
    fn registers(&self) -> &SharedRegion {
        &self.registers
    }
    fn memory(&self) -> &SharedRegion {
        &self.memory
    }
    fn memory_map(&self) -> &'static str {
        "vfio-pci region 2"
    }
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn IrqSource>, DriverError> {
        let address = &self.address;
        let index = usize::from(vector.0);
        if index >= self.handles.vectors.len() {
            return Err(DriverError::NoVector { address: address.clone(), vector });
        }
        let line = format!("vfio-msix[{vector}]({address})");
        let mut interrupt = VfioIrq { handles: Rc::clone(&self.handles), index, line };
        // The eventfd has counted since the device was opened; discard earlier events.
        interrupt.drain().map_err(|source| DriverError::Open { path: "eventfd".into(), source })?;
        Ok(Box::new(interrupt))
    }
}

/// The interrupts of one vector. `read` blocks and returns the number since the last read.
struct VfioIrq {
    handles: Rc<Handles>,
    index: usize,
    line: String,
}

impl VfioIrq {
    fn eventfd(&self) -> &EventFd {
        &self.handles.vectors[self.index]
    }
}

impl EventSource for VfioIrq {
    fn wait_event(&mut self) -> io::Result<Wakeup> {
        match self.eventfd().read() {
            Ok(events) => Ok(Wakeup::Events(events)),
            // UIO reports a removed device as EIO, too.
            Err(Errno::EINTR) if self.handles.removal.read().is_ok() => Err(Errno::EIO.into()),
            Err(Errno::EINTR) => Ok(Wakeup::Timeout),
            Err(error) => Err(error.into()),
        }
    }
}

impl IrqSource for VfioIrq {
    fn drain(&mut self) -> io::Result<u64> {
        let mut fds = [PollFd::new(self.eventfd().as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::ZERO)? == 0 {
            return Ok(0);
        }
        Ok(self.eventfd().read()?)
    }
    fn line(&self) -> &str {
        &self.line
    }
}
