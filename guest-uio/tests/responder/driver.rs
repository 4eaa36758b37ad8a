//! A driver over memory objects and an eventfd instead of a PCI device.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use doorbell::Vector;
use doorbell::region::SharedRegion;
use doorbell::tsc::tsc_now;
use doorbell::wait::{EventSource, Wakeup};
use guest_uio::driver::{Bars, Driver, IrqSource};
use guest_uio::error::DeviceError;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// The guest's peer id.
pub(crate) const GUEST_ID: u16 = 7;
/// Milliseconds until a wait without interrupt returns.
const WAIT_TIMEOUT: u8 = 20;
/// `IVPosition` in BAR0.
const IV_POSITION: usize = 8;
/// 16 MiB: measuring the memory type overwrites the last 8 MiB, which must not include the control words.
const MEMORY_BYTES: u64 = 16 << 20;

/// What host and guest share.
#[derive(Clone)]
pub(crate) struct Device {
    memory: Arc<File>,
    registers: Arc<File>,
    /// The guest's vector 0; `None` for a driver without interrupts.
    pub(crate) vector: Option<Arc<EventFd>>,
    /// Set when the device is unplugged.
    pub(crate) removed: Arc<AtomicBool>,
}

impl Device {
    pub(crate) fn new() -> Self {
        let device = Self {
            memory: Arc::new(memory_object(MEMORY_BYTES)),
            registers: Arc::new(memory_object(4096)),
            vector: Some(Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap())),
            removed: Arc::default(),
        };
        device.map_registers().word32(IV_POSITION).unwrap().store(u32::from(GUEST_ID), Ordering::Relaxed);
        device
    }

    pub(crate) fn without_interrupts() -> Self {
        Self { vector: None, ..Self::new() }
    }

    pub(crate) fn map_memory(&self) -> SharedRegion {
        SharedRegion::map_object(self.memory.as_fd()).unwrap()
    }

    pub(crate) fn map_registers(&self) -> SharedRegion {
        SharedRegion::map_object(self.registers.as_fd()).unwrap()
    }

    pub(crate) fn driver(&self) -> TestDriver {
        let memory_map = "memory object".to_owned();
        let bars = Bars { driver: "test", registers: self.map_registers(), memory: self.map_memory(), memory_map };
        TestDriver { device: self.clone(), bars }
    }
}

fn memory_object(bytes: u64) -> File {
    let file = memfd::MemfdOptions::default().create("responder-test").unwrap().into_file();
    file.set_len(bytes).unwrap();
    file
}

pub(crate) struct TestDriver {
    device: Device,
    bars: Bars,
}

impl Driver for TestDriver {
    fn bars(&self) -> &Bars {
        &self.bars
    }
    fn interrupt(&self, _: Vector) -> Result<Box<dyn IrqSource>, DeviceError> {
        let Some(eventfd) = &self.device.vector else {
            return Err(DeviceError::Missing("the test driver lacks interrupts".to_owned()));
        };
        let (eventfd, removed) = (Arc::clone(eventfd), Arc::clone(&self.device.removed));
        Ok(Box::new(EventFdIrq { eventfd, removed, entry: None }))
    }
}

struct EventFdIrq {
    eventfd: Arc<EventFd>,
    removed: Arc<AtomicBool>,
    entry: Option<u64>,
}

impl EventFdIrq {
    fn pending(&self, timeout: u8) -> io::Result<u64> {
        let mut fds = [PollFd::new(self.eventfd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            // The periodic signal of the responder.
            Ok(0) | Err(Errno::EINTR) => Ok(0),
            Ok(_) => Ok(self.eventfd.read()?),
            Err(error) => Err(error.into()),
        }
    }
}

impl EventSource for EventFdIrq {
    /// Has its own timeout, because the kernel may deliver the responder's signal to another thread of the test.
    fn wait_event(&mut self) -> io::Result<Wakeup> {
        let events = self.pending(WAIT_TIMEOUT)?;
        if self.removed.load(Ordering::Relaxed) {
            return Err(Errno::EIO.into());
        }
        if events == 0 {
            return Ok(Wakeup::Timeout);
        }
        self.entry = Some(tsc_now());
        Ok(Wakeup::Events(events))
    }
    fn irq_entry_tsc(&self) -> Option<u64> {
        self.entry
    }
}

impl IrqSource for EventFdIrq {
    fn drain(&mut self) -> io::Result<u64> {
        self.pending(0)
    }
    fn line(&self) -> &'static str {
        "responder-test"
    }
}
