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

use super::{Bars, Driver, IrqSource, UIO_PCI_MSIX, VFIO_PCI, map_error, no_vector};
use crate::error::{DeviceError, system};
use crate::pci::PciDevice;

mod ioctl;

/// Directory of VFIO's device files.
const VFIO_DIR: &str = "/dev/vfio";
/// The command register in configuration space, and its bus master bit.
const COMMAND: u64 = 4;
const BUS_MASTER: u16 = 1 << 2;

/// The error of a refused step.
fn refused<E: Into<io::Error>>(step: &str) -> impl FnOnce(E) -> DeviceError {
    system(format!("{VFIO_PCI} cannot {step}"))
}

/// The number of the device's IOMMU group.
pub(super) fn group(device: &PciDevice) -> Result<String, DeviceError> {
    fs::read_link(device.folder().join("iommu_group"))
        .ok()
        .and_then(|link| Some(link.file_name()?.to_str()?.to_owned()))
        .ok_or_else(|| {
            DeviceError::Missing(format!(
                "{VFIO_PCI} needs an IOMMU, and {} is not behind one: start QEMU with -machine q35,kernel-irqchip=split \
                 -device intel-iommu,intremap=on (before the ivshmem device) and the guest's kernel with intel_iommu=on \
                 iommu=pt; or use {UIO_PCI_MSIX}, which works without an IOMMU",
                device.address()
            ))
        })
}

/// See the module.
#[derive(Debug)]
pub(super) struct Vfio {
    handles: Rc<Handles>,
    address: String,
    bars: Bars,
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
    pub(super) fn open(device: &PciDevice) -> Result<Self, DeviceError> {
        let handles = Handles::open(device)?;
        let registers = handles.map(device, 0, "BAR0")?;
        let memory = handles.map(device, 2, "BAR2")?;
        let bars = Bars { driver: VFIO_PCI, registers, memory, memory_map: "vfio-pci region 2".to_owned() };
        Ok(Self { handles: Rc::new(handles), address: device.address().to_owned(), bars })
    }
}

impl Handles {
    fn open(device: &PciDevice) -> Result<Self, DeviceError> {
        let (container, group) = open_container(device)?;
        let device = open_device(&group, device.address())?;
        let vectors = take_vectors(&device)?;
        let removal = watch_removal(&device)?;
        Ok(Self { device, vectors, removal, _group: group, _container: container })
    }

    fn map(&self, device: &PciDevice, bar: u32, what: &str) -> Result<SharedRegion, DeviceError> {
        let address = device.address();
        let info = ioctl::region_info(&self.device, bar).map_err(refused("describe a BAR"))?;
        if !ioctl::can_be_mapped(&info) {
            return Err(DeviceError::Missing(format!(
                "the kernel does not permit mapping {what} of {address}; is CONFIG_VFIO_PCI_MMAP off?"
            )));
        }
        // A BAR smaller than a page is mapped as its whole page.
        let len = usize::try_from(info.size).unwrap_or(0).next_multiple_of(bench_protocol::memory_map::PAGE);
        SharedRegion::map_device(&self.device, info.offset, len).map_err(map_error(what, address))
    }
}

/// Creates a container that has the device's group.
fn open_container(device: &PciDevice) -> Result<(File, File), DeviceError> {
    let number = group(device)?;
    let path = Path::new(VFIO_DIR).join("vfio");
    let container = open_file(&path).map_err(system(format!("cannot open {}", path.display())))?;
    let version = ioctl::api_version(&container).map_err(refused("read the API version"))?;
    if version != ioctl::API_VERSION {
        let expected = ioctl::API_VERSION;
        return Err(DeviceError::Missing(format!(
            "VFIO has API version {version}; this program needs version {expected}"
        )));
    }
    let path = Path::new(VFIO_DIR).join(&number);
    let group = open_file(&path).map_err(|error| {
        // The group's file permits one user.
        if error.raw_os_error() == Some(Errno::EBUSY as i32) {
            let text = format!("another process uses IOMMU group {number}; a VFIO device has one user at a time");
            return DeviceError::Failed(text);
        }
        system(format!("cannot open {}", path.display()))(error)
    })?;
    if !ioctl::group_is_viable(&group).map_err(refused("read the group's state"))? {
        return Err(DeviceError::Missing(format!(
            "IOMMU group {number} of {} is not viable: other drivers are bound to {}; unbind them, or attach the ivshmem \
             device where it has an IOMMU group of its own",
            device.address(),
            others(device)
        )));
    }
    ioctl::set_container(&group, &container).map_err(refused("add the group to a container"))?;
    ioctl::set_iommu(&container).map_err(|error| match error {
        // VFIO requires remapping, because devices could forge interrupts otherwise.
        Errno::EPERM => DeviceError::Missing(
            "the IOMMU does not remap interrupts; start QEMU with -device intel-iommu,intremap=on".to_owned(),
        ),
        error => refused("set the IOMMU model (is the module vfio_iommu_type1 loaded?)")(error),
    })?;
    Ok((container, group))
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
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
fn open_device(group: &File, address: &str) -> Result<File, DeviceError> {
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
fn take_vectors(device: &File) -> Result<Vec<EventFd>, DeviceError> {
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
fn watch_removal(device: &File) -> Result<EventFd, DeviceError> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let removal = EventFd::from_flags(flags).map_err(refused("create an eventfd for the device's removal"))?;
    ioctl::set_request_eventfd(device, &removal).map_err(refused("watch for the device's removal"))?;
    Ok(removal)
}

impl Driver for Vfio {
    fn bars(&self) -> &Bars {
        &self.bars
    }
    fn interrupt(&self, vector: Vector) -> Result<Box<dyn IrqSource>, DeviceError> {
        let address = &self.address;
        let index = usize::from(vector.0);
        if index >= self.handles.vectors.len() {
            return Err(no_vector(address, vector));
        }
        let line = format!("vfio-msix[{vector}]({address})");
        let mut interrupt = VfioIrq { handles: Rc::clone(&self.handles), index, line };
        // The eventfd has counted since the device was opened; discard earlier events.
        interrupt.drain().map_err(system("cannot open eventfd"))?;
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
