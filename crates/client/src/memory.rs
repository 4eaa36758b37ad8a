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

use super::{Client, ClientError, descriptor, safe_write};

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

    fn map(&self) -> Result<SharedRegion, ClientError> {
        Ok(SharedRegion::map_object(&self.fd)?)
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

impl Client {
    /// The memory object.
    #[must_use]
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.memory.fd.as_fd()
    }

    /// The shared memory's size in bytes.
    #[must_use]
    pub fn memory_size(&self) -> u64 {
        self.memory.size
    }

    /// Whether another holder of the shared memory can shrink it: it is not sealed (`F_SEAL_SHRINK`). Seals cannot be
    /// removed.
    #[must_use]
    pub fn is_shrinkable(&self) -> bool {
        self.memory.may_shrink
    }

    /// Maps the shared memory. Fails if the memory is not sealed against shrinking: any process with the descriptor, a
    /// guest's QEMU included, could then kill this process with SIGBUS.
    pub fn map(&self) -> Result<SharedRegion, ClientError> {
        if self.memory.may_shrink { Err(ClientError::MemoryNotSealed) } else { self.memory.map() }
    }

    /// Maps the shared memory, sealed or not. Use it only if every process with the descriptor is trusted not to shrink
    /// it. QEMU's example server cannot seal.
    pub fn map_unsealed(&self) -> Result<SharedRegion, ClientError> {
        self.memory.map()
    }

    /// Reads the shared memory through its descriptor ([pread(2)](https://man7.org/linux/man-pages/man2/pread.2.html)).
    /// Slower than a mapping, but safe with unsealed memory: returns [`ClientError::MemoryShrank`] if another process
    /// shrank it.
    pub fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<(), ClientError> {
        let memory = &self.memory;
        memory.check_range(offset, to.len())?;
        let mut done = 0;
        while done < to.len() {
            match pread(&memory.fd, &mut to[done..], offset + done as u64) {
                Ok(0) => return Err(memory.shrank()),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(ClientError::MemoryAccess { offset, source: errno.into() }),
            }
        }
        Ok(())
    }

    /// Writes the shared memory, as safely as [`read_at`](Self::read_at) reads it. Writes through a mapping, and so always
    /// at `offset`: pwrite(2) would append, and grow an unsealed file, if another process set `O_APPEND` on the shared open
    /// file description.
    pub fn write_at(&self, offset: u64, from: &[u8]) -> Result<(), ClientError> {
        let memory = &self.memory;
        memory.check_range(offset, from.len())?;
        let Err(source) = safe_write::write(&memory.fd, memory.size, offset, from) else { return Ok(()) };
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::FAULT) if memory.size_now()? < memory.size => Err(memory.shrank()),
            // The sandbox forbids process_vm_writev. Stores to sealed memory are safe.
            Some(Errno::PERM | Errno::NOSYS) if !memory.may_shrink => {
                let offset = usize::try_from(offset).map_err(|_| memory.out_of_range(offset, from.len()))?;
                Ok(memory.map()?.copy_in(offset, from)?)
            }
            _ => Err(ClientError::MemoryAccess { offset, source }),
        }
    }
}
