//! `vfio-pci`, a driver of the stock kernel: an eventfd per MSI-X vector, BARs mapped through the device's descriptor.
//!
//! It wants an IOMMU, although this device never reads the guest's memory. Nothing is mapped for DMA.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use doorbell::Vector;
use doorbell::region::SharedRegion;
use doorbell::wait::{EventSource, Woke};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{Driver, DriverError, IrqSource, VFIO_PCI};
use crate::pci::PciDevice;

mod ioctl;

/// Where VFIO's device files are.
const FILES: &str = "/dev/vfio";
/// The command register in configuration space, and in it the bit that lets a device send messages.
const COMMAND: u64 = 4;
const BUS_MASTER: u16 = 1 << 2;

/// Why VFIO cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VfioError {
    /// The device is in no IOMMU group.
    #[error(
        "{address} is behind no IOMMU, and {VFIO_PCI} needs one: start QEMU with -machine q35,kernel-irqchip=split \
         -device intel-iommu,intremap=on (before the ivshmem device) and the guest's kernel with \
         intel_iommu=on iommu=pt; or take a driver that needs none, such as {}",
        super::UIO_PCI_MSIX
    )]
    NoIommu {
        /// The device.
        address: String,
    },
    /// Another device of the group is held by a driver of the kernel.
    #[error(
        "IOMMU group {group} of {address} is not viable: other drivers hold {others}; unbind them, or give the ivshmem \
         device a place on the bus that it shares with none"
    )]
    NotViable {
        /// The device.
        address: String,
        /// The group.
        group: String,
        /// Devices and the drivers that hold them.
        others: String,
    },
    /// The group's file is open elsewhere, and only one may hold it.
    #[error("another process uses IOMMU group {group}; a VFIO device has one user at a time")]
    Busy {
        /// The group.
        group: String,
    },
    /// The IOMMU does not remap interrupts, which keeps devices from forging them.
    #[error("the IOMMU does not remap interrupts; start QEMU with -device intel-iommu,intremap=on")]
    NoRemapping,
    /// A VFIO of another age.
    #[error("{FILES} speaks version {0}, this program version {expected}", expected = ioctl::API_VERSION)]
    Version(i32),
    /// A BAR that the kernel does not let be mapped.
    #[error("the kernel does not let {what} of {address} be mapped; is CONFIG_VFIO_PCI_MMAP off?")]
    NotMappable {
        /// The device.
        address: String,
        /// Which BAR.
        what: &'static str,
    },
    /// The kernel refused a step.
    #[error("{VFIO_PCI} cannot {step}")]
    Refused {
        /// What was asked for.
        step: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl VfioError {
    /// The exit status: 1 the action failed, 3 the machine lacks something.
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

/// What must stay open for events to come; the device first to go.
#[derive(Debug)]
struct Handles {
    device: File,
    vectors: Vec<EventFd>,
    /// The kernel's request to give the device back, because it is being unplugged or unbound.
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
        let (container, group) = join(device)?;
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
        // A BAR smaller than a page is mapped as the page it lies in.
        let len = usize::try_from(info.size).unwrap_or(0).next_multiple_of(bench_protocol::layout::PAGE);
        SharedRegion::map_device(&self.device, info.offset, len).map_err(|source| DriverError::Map {
            what,
            address: address(),
            source,
        })
    }
}

/// A new container with the device's group in it.
fn join(device: &PciDevice) -> Result<(File, File), DriverError> {
    let number = group(device)?;
    let container = open_file(&Path::new(FILES).join("vfio"))?;
    let version = ioctl::api_version(&container).map_err(refused("tell its version"))?;
    if version != ioctl::API_VERSION {
        return Err(VfioError::Version(version).into());
    }
    let group = match open_file(&Path::new(FILES).join(&number)) {
        Err(DriverError::Open { source, .. }) if source.raw_os_error() == Some(Errno::EBUSY as i32) => {
            return Err(VfioError::Busy { group: number }.into());
        }
        opened => opened?,
    };
    if !ioctl::group_is_viable(&group).map_err(refused("tell the group's state"))? {
        let others = others(device);
        return Err(VfioError::NotViable { address: device.address().to_owned(), group: number, others }.into());
    }
    ioctl::set_container(&group, &container).map_err(refused("put the group into a container"))?;
    ioctl::set_iommu(&container).map_err(|error| match error {
        Errno::EPERM => VfioError::NoRemapping,
        error => refused("set the IOMMU up (is the module vfio_iommu_type1 loaded?)")(error),
    })?;
    Ok((container, group))
}

fn open_file(path: &Path) -> Result<File, DriverError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|source| DriverError::Open { path: path.to_owned(), source })
}

/// The group's other devices that a driver holds: `0000:00:1f.2 (ahci)`.
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

/// Opens the device and lets it send interrupts: an MSI-X message is a memory write of the device's own, and without the
/// bus master bit none leaves it. VFIO leaves that bit to its user.
fn open_device(group: &File, address: &str) -> Result<File, VfioError> {
    let name = CString::new(address).map_err(io::Error::from).map_err(refused("open the device"))?;
    let device: OwnedFd = ioctl::open_device(group, &name).map_err(refused("open the device"))?;
    let device = File::from(device);
    let config = ioctl::region_info(&device, ioctl::CONFIG_REGION).map_err(refused("describe configuration space"))?;
    let mut command = [0; 2];
    device.read_exact_at(&mut command, config.offset + COMMAND).map_err(refused("read configuration space"))?;
    let command = u16::from_le_bytes(command) | BUS_MASTER;
    let written = device.write_all_at(&command.to_le_bytes(), config.offset + COMMAND);
    written.map_err(refused("switch bus mastering on"))?;
    Ok(device)
}

/// An eventfd for each vector, all enabled at once: enabling more of them later would disable MSI-X for a moment.
fn take_vectors(device: &File) -> Result<Vec<EventFd>, VfioError> {
    let count = ioctl::msix_vectors(device).map_err(refused("count the vectors"))?;
    // Blocking ones: `block` is a plain read, and the kernel's side never reads.
    let eventfds: Vec<EventFd> = (0..count)
        .map(|_| EventFd::from_flags(EfdFlags::EFD_CLOEXEC))
        .collect::<Result<_, _>>()
        .map_err(refused("make an eventfd per vector"))?;
    // ivshmem-plain has none.
    if count > 0 {
        ioctl::set_msix_eventfds(device, &eventfds).map_err(refused("enable MSI-X"))?;
    }
    Ok(eventfds)
}

/// An eventfd that the kernel signals when the device is to go. It waits until the device is closed, so a user that never
/// looks blocks the removal for good.
fn watch_removal(device: &File) -> Result<EventFd, VfioError> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let removal = EventFd::from_flags(flags).map_err(refused("make an eventfd for the device's removal"))?;
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
        // The eventfd counts from when the device was opened, which is not when this caller began to listen.
        interrupt.drain().map_err(|source| DriverError::Open { path: "eventfd".into(), source })?;
        Ok(Box::new(interrupt))
    }
}

/// A vector's events: `read` blocks and returns how many came since the last one.
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
    fn block(&mut self) -> io::Result<Woke> {
        match self.eventfd().read() {
            Ok(events) => Ok(Woke::Events(events)),
            // As UIO reports a device that is gone.
            Err(Errno::EINTR) if self.handles.removal.read().is_ok() => Err(Errno::EIO.into()),
            Err(Errno::EINTR) => Ok(Woke::Guard),
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
