//! The shared memory, as a client that trusts nobody uses it.
//!
//! Any holder of a memory object that is not sealed against shrinking can cut it short. Whoever has it mapped and
//! touches what is gone is ended by SIGBUS, in the middle of a load. So such memory is mapped only on demand, and
//! otherwise read through the descriptor and written by the kernel, where the same event is an error
//! ([memfd_create(2)](https://man7.org/linux/man-pages/man2/memfd_create.2.html), "File sealing").

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use doorbell::region::{SharedRegion, may_shrink};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, pread};

use super::{ClientError, descriptor, safe_write};

/// The memory object of a server.
#[derive(Debug)]
pub(super) struct Memory {
    fd: OwnedFd,
    /// In bytes, when it came.
    size: u64,
    may_shrink: bool,
}

impl Memory {
    /// Takes what a server gave, if it is what a peer can use: a file of a power of two of bytes, from a page on, because
    /// QEMU makes a PCI BAR of it and aborts otherwise.
    pub(super) fn accept(fd: OwnedFd) -> Result<Self, ClientError> {
        let stat = fstat(&fd).map_err(|errno| ClientError::MemorySize(errno.into()))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(ClientError::NotAMemoryObject(descriptor::describe_kind(kind)));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let page = rustix::param::page_size() as u64;
        match size {
            0 => Err(ClientError::EmptyMemory),
            _ if size < page || !size.is_power_of_two() => Err(ClientError::InvalidMemorySize { size, page }),
            _ => Ok(Self { may_shrink: may_shrink(&fd), fd, size }),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Seals are never taken back, so what was sealed when it came stays so.
    pub(super) fn may_shrink(&self) -> bool {
        self.may_shrink
    }

    pub(super) fn map(&self) -> Result<SharedRegion, ClientError> {
        if self.may_shrink { Err(ClientError::MemoryNotSealed) } else { self.map_anyway() }
    }

    pub(super) fn map_anyway(&self) -> Result<SharedRegion, ClientError> {
        Ok(SharedRegion::map_object(&self.fd)?)
    }

    /// See [pread(2)](https://man7.org/linux/man-pages/man2/pread.2.html).
    pub(super) fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<(), ClientError> {
        self.check_range(offset, to.len())?;
        let mut done = 0;
        while done < to.len() {
            match pread(&self.fd, &mut to[done..], offset + done as u64) {
                Ok(0) => return Err(self.shrank()),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(ClientError::MemoryAccess { offset, source: errno.into() }),
            }
        }
        Ok(())
    }

    /// Writes through a mapping, where the offset is this process's own. pwrite(2) would append instead of writing there
    /// as soon as any holder of the same open file description sets `O_APPEND` on it, and a file that is not sealed would
    /// grow.
    pub(super) fn write_at(&self, offset: u64, from: &[u8]) -> Result<(), ClientError> {
        self.check_range(offset, from.len())?;
        let Err(source) = safe_write::write(&self.fd, self.size, offset, from) else { return Ok(()) };
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::FAULT) if self.size_now()? < self.size => Err(self.shrank()),
            // In sandboxes that forbid it. What is sealed can be stored to without danger.
            Some(Errno::PERM | Errno::NOSYS) if !self.may_shrink => {
                let offset = usize::try_from(offset).map_err(|_| self.out_of_range(offset, from.len()))?;
                Ok(self.map_anyway()?.copy_in(offset, from)?)
            }
            _ => Err(ClientError::MemoryAccess { offset, source }),
        }
    }

    fn check_range(&self, offset: u64, len: usize) -> Result<(), ClientError> {
        let end = offset.checked_add(len as u64);
        if end.is_some_and(|end| end <= self.size) { Ok(()) } else { Err(self.out_of_range(offset, len)) }
    }

    fn out_of_range(&self, offset: u64, len: usize) -> ClientError {
        ClientError::OutOfRange { offset, len, size: self.size }
    }

    fn size_now(&self) -> Result<u64, ClientError> {
        let stat = fstat(&self.fd).map_err(|errno| ClientError::MemorySize(errno.into()))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn shrank(&self) -> ClientError {
        ClientError::MemoryShrank { size: self.size, now: self.size_now().unwrap_or(0) }
    }
}
