//! The shared memory object: a sealed memfd, a POSIX shared memory object, or an unlinked file.
//!
//! A process that accesses a mapped page gets SIGBUS if the object was shrunk or the kernel cannot supply the page. So the
//! size is set once: a memfd is sealed against changes, and the blocks of a file are reserved before the first client maps it.

mod capacity;
mod huge_pages;
mod posix_shm;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memfd::{FileSeal, MemfdOptions};
use rustix::fs::{SealFlags, fcntl_get_seals};
use thiserror::Error;
use tracing::{debug, warn};

pub use huge_pages::HugePageSize;
pub use posix_shm::ShmName;

use cli_common::size::{ApproxBytes, Bytes};
use huge_pages::Pool;
use posix_shm::ShmObject;

/// Opens the memory again for one client ([proc_pid_fd(5)](https://man7.org/linux/man-pages/man5/proc_pid_fd.5.html)). The
/// holders of an open file description share its flags: if all clients had the same one, any client could set `O_APPEND`, and
/// pwrite(2) of the others would append.
///
/// Without `/proc` or free descriptors, returns the shared descriptor.
pub(crate) fn own_description(memory: &Arc<OwnedFd>) -> Arc<OwnedFd> {
    let opened = File::options().read(true).write(true).open(format!("/proc/self/fd/{}", memory.as_raw_fd()));
    match opened {
        Ok(own) => Arc::new(own.into()),
        Err(error) => {
            debug!(
                "a client shares the memory's open file description with others: cannot open /proc/self/fd: {error}"
            );
            Arc::clone(memory)
        }
    }
}

/// The largest power of two that fits into the size of a file, which is signed.
const MAX_SIZE: u64 = 1 << 62;

/// The kind of shared memory object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// A sealed memfd.
    Memfd,
    /// A sealed memfd of huge pages.
    HugePages(HugePageSize),
    /// The POSIX shared memory object with this name, removed at the end. A start that fails removes only an object that it
    /// created.
    Shm(ShmName),
    /// An unlinked file in this directory, such as a mount of hugetlbfs.
    Directory(PathBuf),
}

impl Backing {
    /// A hint for users of QEMU's example server, whose default is an object in /dev/shm.
    pub(crate) fn note(&self) -> Option<&'static str> {
        matches!(self, Self::Memfd).then_some(
            "the shared memory is a sealed memfd, without a file in /dev/shm; --shm-name NAME (-M) creates /dev/shm/NAME",
        )
    }
}

/// Why the shared memory cannot be created.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum MemoryError {
    #[error("the size {} is below the page size {}: use a larger --size", Bytes(*requested), Bytes(*page))]
    BelowPage { requested: u64, page: u64 },
    #[error("the size {} exceeds the maximum size of a file: use a smaller --size", Bytes(*.0))]
    TooLarge(u64),
    #[error(
        "{} of shared memory requested, but only {} available: use a smaller --size, or free memory",
        Bytes(*size),
        ApproxBytes(*available)
    )]
    NoMemory { size: u64, available: u64 },
    #[error(
        "{} requested in {}, but only {} free: use a smaller --size, or {hint}",
        Bytes(*size),
        directory.display(),
        ApproxBytes(*free)
    )]
    NoSpace { directory: PathBuf, size: u64, free: u64, hint: &'static str },
    #[error(
        "{directory} is not a directory: -m (--shm-dir) takes a directory, such as a mount of hugetlbfs{}",
        name.as_ref().map_or_else(
            || "; a POSIX shared memory object has a name without a slash, which -M (--shm-name) takes".into(),
            |name| format!("; for the POSIX shared memory object /dev/shm/{name} use -M {name} (--shm-name)"),
        ),
        directory = directory.display()
    )]
    NotADirectory {
        directory: PathBuf,
        /// The path as the name of a POSIX shared memory object, if valid.
        name: Option<ShmName>,
    },
    #[error(
        "{} of huge pages requested, but {free} of {} are free: reserve more with \
         `echo {reserve} > {pool}/nr_hugepages`, use a smaller --size, or {alternative}",
        Bytes(*size),
        Bytes(*page)
    )]
    NoHugePages {
        size: u64,
        page: u64,
        free: u64,
        reserve: u64,
        pool: String,
        /// How to do without them.
        alternative: &'static str,
    },
    #[error(
        "this machine does not support huge pages of {}: choose another size for --hugepages, or leave it out (1G needs a \
         processor with pdpe1gb, and CONFIG_HUGETLBFS)",
        Bytes(*.0)
    )]
    HugePagesUnsupported(u64),
    #[error("another server uses {}: stop it, or choose another --shm-name", .0.display())]
    ShmInUse(PathBuf),
    /// The object belongs to another user. Only root may use it.
    #[error("{} belongs to another user: choose another --shm-name, or start the server as that user", .0.display())]
    ShmOfOtherUser(PathBuf),
    /// A larger object exists. Shrinking it would kill processes that have it mapped.
    #[error(
        "{} exists with a size of {}: give this size with --size, remove it, or choose another --shm-name",
        path.display(),
        Bytes(*size)
    )]
    ShmLarger { path: PathBuf, size: u64 },
    #[error("cannot {step} the shared memory ({place})")]
    Create { step: &'static str, place: String, source: io::Error },
}

/// The shared memory object of a running server.
#[derive(Debug)]
pub struct SharedMemory {
    fd: Arc<OwnedFd>,
    size: u64,
    description: String,
    /// Removes the object's name when dropped, or leaves an existing object as it was.
    shm: Option<ShmObject>,
}

impl SharedMemory {
    /// Creates the object, with `requested` bytes rounded up to a power of two.
    pub fn create(backing: &Backing, requested: u64) -> Result<Self, MemoryError> {
        match backing {
            Backing::Memfd => Self::memfd(requested),
            Backing::HugePages(page) => Self::huge(*page, requested),
            Backing::Shm(name) => Self::shm(name, requested),
            Backing::Directory(directory) => Self::unlinked(directory, requested),
        }
    }

    fn new(file: File, size: u64, place: &str, shm: Option<ShmObject>) -> Self {
        Self { fd: Arc::new(file.into()), size, description: format!("{} in {place}", Bytes(size)), shm }
    }

    /// The size in bytes at creation: a power of two.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The present size. Other processes can change it if the object is not sealed.
    #[must_use]
    pub fn current_size(&self) -> Option<u64> {
        let metadata = rustix::fs::fstat(&self.fd).ok()?;
        u64::try_from(metadata.st_size).ok()
    }

    /// Whether it is sealed against shrinking.
    pub(crate) fn is_sealed(&self) -> bool {
        fcntl_get_seals(&self.fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK))
    }

    /// A path of the object, for commands of the user.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.shm {
            Some(shm) => shm.path().into(),
            None => format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()).into(),
        }
    }

    /// From now on an existing named object is removed at the end, like one that this server created.
    pub(crate) fn remove_at_end(&mut self) {
        if let Some(shm) = &mut self.shm {
            shm.remove_at_end();
        }
    }

    /// Size and kind, for display.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The seals ([fcntl(2)](https://man7.org/linux/man-pages/man2/fcntl.2.html), `F_GET_SEALS`).
    pub(crate) fn seals(&self) -> Vec<&'static str> {
        let names = [
            (SealFlags::SHRINK, "shrink"),
            (SealFlags::GROW, "grow"),
            (SealFlags::SEAL, "seal"),
            (SealFlags::WRITE, "write"),
        ];
        // An error means that the file system does not support seals.
        let seals = fcntl_get_seals(&self.fd).unwrap_or(SealFlags::empty());
        names.into_iter().filter(|(seal, _)| seals.contains(*seal)).map(|(_, name)| name).collect()
    }

    /// The descriptor from which each client gets its [own description](own_description).
    pub(crate) fn shared_fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.fd)
    }

    /// See [memfd_create(2)](https://man7.org/linux/man-pages/man2/memfd_create.2.html). Pages are not reserved: the kernel
    /// allocates each at its first access, on the NUMA node of the accessing CPU.
    fn memfd(requested: u64) -> Result<Self, MemoryError> {
        let size = round_up(requested, page_size())?;
        capacity::check_memory(size, 0)?;
        Ok(Self::new(sealed(MemfdOptions::new(), size)?, size, "a sealed memfd", None))
    }

    /// Takes all pages now: a client that accesses a page missing in the pool would get SIGBUS.
    fn huge(page: HugePageSize, requested: u64) -> Result<Self, MemoryError> {
        let size = round_up(requested, page.bytes())?;
        let pool = Pool::of_memfd(page);
        pool.check(size)?;
        let file = sealed(MemfdOptions::new().hugetlb(Some(page.into())), size)?;
        pool.reserve(&file, size)?;
        Ok(Self::new(file, size, &format!("a sealed memfd of {} pages", Bytes(page.bytes())), None))
    }

    /// See [shm_overview(7)](https://man7.org/linux/man-pages/man7/shm_overview.7.html). Such objects cannot be sealed.
    fn shm(name: &ShmName, requested: u64) -> Result<Self, MemoryError> {
        let size = round_up(requested, page_size())?;
        let (object, file) = ShmObject::open(name, size)?;
        let place = object.path().display().to_string();
        Ok(Self::new(file, size, &place, Some(object)))
    }

    fn unlinked(directory: &Path, requested: u64) -> Result<Self, MemoryError> {
        let failed = |step| {
            move |source| MemoryError::Create { step, place: format!("a file in {}", directory.display()), source }
        };
        if !directory.is_dir() {
            return Err(MemoryError::NotADirectory { directory: directory.into(), name: ShmName::of_path(directory) });
        }
        let page = capacity::page_size_of(directory).map_err(failed("create"))?;
        let size = round_up(requested, page.max(page_size()))?;
        let file = tempfile::tempfile_in(directory).map_err(failed("create"))?;
        capacity::check_space(directory, size, 0)?;
        file.set_len(size).map_err(failed("size"))?;
        capacity::reserve(&file, directory, size)?;
        Ok(Self::new(file, size, &format!("an unlinked file in {}", directory.display()), None))
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Creates a memfd whose size cannot change.
fn sealed(options: MemfdOptions, size: u64) -> Result<File, MemoryError> {
    let failed = |step| move |source| MemoryError::Create { step, place: "memfd".into(), source };
    let memfd = options.allow_sealing(true).create("ivshmem").map_err(|error| failed("create")(memfd_cause(error)))?;
    memfd.as_file().set_len(size).map_err(failed("size"))?;
    memfd
        .add_seals(&[FileSeal::SealShrink, FileSeal::SealGrow, FileSeal::SealSeal])
        .map_err(|error| failed("seal")(memfd_cause(error)))?;
    Ok(memfd.into_file())
}

fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// QEMU's device maps the memory as a PCI BAR, so its size must be a power of two.
fn round_up(requested: u64, page: u64) -> Result<u64, MemoryError> {
    if requested < page {
        return Err(MemoryError::BelowPage { requested, page });
    }
    let size = requested
        .checked_next_power_of_two()
        .filter(|&size| size <= MAX_SIZE)
        .ok_or(MemoryError::TooLarge(requested))?;
    if size != requested {
        warn!("the size {} is not a power of two: rounded up to {}", Bytes(requested), Bytes(size));
    }
    Ok(size)
}

fn memfd_cause(error: memfd::Error) -> io::Error {
    match error {
        memfd::Error::Create(cause) | memfd::Error::AddSeals(cause) | memfd::Error::GetSeals(cause) => cause,
    }
}

fn length(file: &File) -> io::Result<u64> {
    file.metadata().map(|metadata| metadata.len())
}

/// Whether a path refers to an open file.
fn refers_to(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(at_path), Ok(open)) => (at_path.dev(), at_path.ino()) == (open.dev(), open.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_sizes_up_to_a_power_of_two() {
        assert_eq!(round_up(4096, 4096).unwrap(), 4096);
        assert_eq!(round_up(4097, 4096).unwrap(), 8192);
        assert_eq!(round_up(3 << 30, 4096).unwrap(), 4 << 30);
    }

    #[test]
    fn refuses_too_small_and_too_large_sizes() {
        for requested in [0, 1, 4095] {
            let error = round_up(requested, 4096).unwrap_err();
            assert!(matches!(error, MemoryError::BelowPage { .. }), "{error}");
        }
        for requested in [MAX_SIZE + 1, u64::MAX] {
            let error = round_up(requested, 4096).unwrap_err();
            assert!(matches!(error, MemoryError::TooLarge(_)), "{error}");
        }
    }
}
