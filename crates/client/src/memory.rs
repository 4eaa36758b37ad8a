//! Access to the shared memory without trust in other processes.
//!
//! Any process with the descriptor can truncate a memory object that is not sealed against shrinking. A process that
//! then touches the missing part of its mapping gets SIGBUS. So such memory is mapped only on demand. Otherwise it is
//! read through the descriptor and written by the kernel, where truncation is an error
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
    /// Bytes at the time of joining.
    size: u64,
    may_shrink: bool,
}

impl Memory {
    /// Checks the memory object: a file whose size is a power of two and at least a page. QEMU makes a PCI BAR of it
    /// and aborts otherwise.
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

    /// Seals cannot be removed.
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

    /// Writes through a mapping. pwrite(2) would append, and grow an unsealed file, if another process set `O_APPEND`
    /// on the shared open file description.
    pub(super) fn write_at(&self, offset: u64, from: &[u8]) -> Result<(), ClientError> {
        self.check_range(offset, from.len())?;
        let Err(source) = safe_write::write(&self.fd, self.size, offset, from) else { return Ok(()) };
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::FAULT) if self.size_now()? < self.size => Err(self.shrank()),
            // The sandbox forbids process_vm_writev. Stores to sealed memory are safe.
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
