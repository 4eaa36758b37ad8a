//! The shared memory object: a sealed memfd, a POSIX shared memory object, or an unlinked file.
//!
//! Whoever maps it and finds it shorter later dies of SIGBUS, and so does whoever touches a page that
//! the machine cannot supply. So the object gets its size once: a memfd is sealed against any change,
//! a file's blocks are reserved before the first client sees it.

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
pub use posix_shm::{ShmName, ShmNameError};

use cli_common::size::{ApproxBytes, Bytes};
use posix_shm::ShmObject;

/// Opens the memory anew, for one client. The flags of an open file description belong to all who hold it: were it the same
/// for all, any client could set `O_APPEND`, and every other one's pwrite(2) would append
/// ([proc_pid_fd(5)](https://man7.org/linux/man-pages/man5/proc_pid_fd.5.html)).
///
/// Where that cannot be done, for want of `/proc` or of descriptors, it is the one that others have too.
pub(crate) fn own_description(memory: &Arc<OwnedFd>) -> Arc<OwnedFd> {
    let opened = File::options().read(true).write(true).open(format!("/proc/self/fd/{}", memory.as_raw_fd()));
    match opened {
        Ok(own) => Arc::new(own.into()),
        Err(error) => {
            debug!(
                "a client gets the memory's descriptor that others have too: /proc/self/fd cannot be opened: {error}"
            );
            Arc::clone(memory)
        }
    }
}

/// The largest power of two that a file's size, a signed number, can hold.
const MAX_SIZE: u64 = 1 << 62;

/// What the shared memory is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// A sealed memfd.
    Memfd,
    /// A sealed memfd of huge pages.
    HugePages(HugePageSize),
    /// The POSIX shared memory object of this name, removed at the end.
    Shm(ShmName),
    /// An unlinked file in this folder, such as one of hugetlbfs.
    Directory(PathBuf),
}

impl Backing {
    /// What users of QEMU's example server expect otherwise: that one makes an object in /dev/shm by default.
    pub(crate) fn note(&self) -> Option<&'static str> {
        matches!(self, Self::Memfd).then_some(
            "the shared memory is a sealed memfd, without a file in /dev/shm; --shm-name NAME (-M) creates /dev/shm/NAME",
        )
    }
}

/// Why there is no shared memory.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// Smaller than what can be mapped.
    #[error("the size {} is below a page of {}: give more with --size", Bytes(*requested), Bytes(*page))]
    BelowPage {
        /// The size asked for.
        requested: u64,
        /// The page's.
        page: u64,
    },
    /// Larger than a file can be.
    #[error("the size {} is more than a file can have: give less with --size", Bytes(*.0))]
    TooLarge(u64),
    /// The machine has not so much memory to give.
    #[error(
        "{} of shared memory are wanted, but only {} are available: \
         give less with --size, or free memory",
        Bytes(*size),
        ApproxBytes(*available)
    )]
    NoMemory {
        /// The size wanted.
        size: u64,
        /// What is left.
        available: u64,
    },
    /// The file system has not so much space.
    #[error(
        "{} are wanted in {}, but only {} are free there: give less with --size, or {cure}",
        Bytes(*size),
        folder.display(),
        ApproxBytes(*free)
    )]
    NoSpace {
        /// The file system's folder.
        folder: PathBuf,
        /// The size wanted.
        size: u64,
        /// What is free.
        free: u64,
        /// How to get more.
        cure: &'static str,
    },
    /// The folder for an unlinked file is missing, or is not a folder.
    #[error(
        "{folder} is not a folder: -m (--shm-dir) takes a folder, such as a mount of hugetlbfs{}",
        name.as_ref().map_or_else(String::new, |name| format!(
            "; for the POSIX shared memory object /dev/shm/{name} give -M {name} (--shm-name)"
        )),
        folder = folder.display()
    )]
    NotAFolder {
        /// The path.
        folder: PathBuf,
        /// The path as the name of a POSIX shared memory object, if it can be one.
        name: Option<ShmName>,
    },
    /// The machine has not so many huge pages reserved.
    #[error(
        "{} of huge pages are wanted, but {free} of {} are free: reserve more with \
         `echo {reserve} > {folder}/nr_hugepages`, give less with --size, or {otherwise}",
        Bytes(*size),
        Bytes(*page)
    )]
    NoHugePages {
        /// The size wanted.
        size: u64,
        /// A page's.
        page: u64,
        /// How many are free.
        free: u64,
        /// How many must be reserved in all.
        reserve: u64,
        /// Where the kernel keeps them.
        folder: String,
        /// What to do without them.
        otherwise: &'static str,
    },
    /// The kernel or the processor has no huge pages of this size.
    #[error(
        "this machine has no huge pages of {}: choose another size for --hugepages, or leave it out (1G takes a \
         processor with pdpe1gb, and CONFIG_HUGETLBFS)",
        Bytes(*.0)
    )]
    HugePagesUnknown(u64),
    /// The name belongs to a living server.
    #[error("another server uses {}: stop it, or choose another --shm-name", .0.display())]
    ShmInUse(PathBuf),
    /// The name belongs to another user. Root may use it.
    #[error("{} belongs to another user: choose another --shm-name, or start the server as that user", .0.display())]
    ShmForeign(PathBuf),
    /// An object of this name is there; to shrink it would kill who has it mapped.
    #[error(
        "{} exists with {}: ask for this size with --size, remove it, or choose another --shm-name",
        path.display(),
        Bytes(*size)
    )]
    ShmLarger {
        /// The object's path.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// A step of the making failed.
    #[error("cannot {step} the shared memory ({place})")]
    Make {
        /// Which step.
        step: &'static str,
        /// What the memory is made of.
        place: String,
        /// Why.
        source: io::Error,
    },
}

/// The shared memory, as long as the server lives.
#[derive(Debug)]
pub struct SharedMemory {
    fd: Arc<OwnedFd>,
    size: u64,
    description: String,
    /// Removes the object's name when dropped.
    shm: Option<ShmObject>,
}

impl SharedMemory {
    /// Makes the memory, of `requested` bytes rounded up to a power of two.
    pub fn create(backing: &Backing, requested: u64) -> Result<Self, MemoryError> {
        match backing {
            Backing::Memfd => Self::memfd(requested),
            Backing::HugePages(page) => Self::huge(*page, requested),
            Backing::Shm(name) => Self::shm(name, requested),
            Backing::Directory(folder) => Self::unlinked(folder, requested),
        }
    }

    /// Its size in bytes: a power of two.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its size at this moment, which others can change if it is not sealed.
    #[must_use]
    pub fn current_size(&self) -> Option<u64> {
        let metadata = rustix::fs::fstat(&self.fd).ok()?;
        u64::try_from(metadata.st_size).ok()
    }

    /// Whether its size can never shrink.
    pub(crate) fn is_sealed(&self) -> bool {
        fcntl_get_seals(&self.fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK))
    }

    /// Its path, or what it is where it has none.
    pub(crate) fn place(&self) -> String {
        self.shm.as_ref().map_or_else(|| self.description.clone(), |shm| shm.path().display().to_string())
    }

    /// What it is, for people.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What can no longer be done to it ([fcntl(2)](https://man7.org/linux/man-pages/man2/fcntl.2.html), `F_GET_SEALS`).
    pub(crate) fn seals(&self) -> Vec<&'static str> {
        let names = [
            (SealFlags::SHRINK, "shrink"),
            (SealFlags::GROW, "grow"),
            (SealFlags::SEAL, "seal"),
            (SealFlags::WRITE, "write"),
        ];
        // A file system without seals says so with an error.
        let seals = fcntl_get_seals(&self.fd).unwrap_or(SealFlags::empty());
        names.into_iter().filter(|(seal, _)| seals.contains(*seal)).map(|(_, name)| name).collect()
    }

    /// The descriptor from which each client gets [its own](own_description).
    pub(crate) fn shared_fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.fd)
    }

    /// See [memfd_create(2)](https://man7.org/linux/man-pages/man2/memfd_create.2.html). Its pages
    /// come when they are touched, near the CPU that touches them, so nothing is reserved.
    fn memfd(requested: u64) -> Result<Self, MemoryError> {
        let size = round_up(requested, page_size())?;
        capacity::check_memory(size)?;
        Ok(Self {
            fd: Arc::new(sealed(MemfdOptions::new(), size)?.into()),
            size,
            description: format!("{} in a sealed memfd", Bytes(size)),
            shm: None,
        })
    }

    /// All pages are taken at once: whoever touched one that the pool lacks would die of SIGBUS.
    fn huge(page: HugePageSize, requested: u64) -> Result<Self, MemoryError> {
        let size = round_up(requested, page.bytes())?;
        page.check(size)?;
        let file = sealed(MemfdOptions::new().hugetlb(Some(page.into())), size)?;
        page.reserve(&file, size)?;
        Ok(Self {
            fd: Arc::new(file.into()),
            size,
            description: format!("{} in a sealed memfd of {} pages", Bytes(size), Bytes(page.bytes())),
            shm: None,
        })
    }

    /// See [shm_overview(7)](https://man7.org/linux/man-pages/man7/shm_overview.7.html). Such an
    /// object cannot be sealed.
    fn shm(name: &ShmName, requested: u64) -> Result<Self, MemoryError> {
        let size = round_up(requested, page_size())?;
        let (object, file) = ShmObject::open(name, size)?;
        capacity::reserve(&file, posix_shm::FOLDER.as_ref(), size)?;
        Ok(Self {
            fd: Arc::new(file.into()),
            size,
            description: format!("{} in {}", Bytes(size), object.path().display()),
            shm: Some(object),
        })
    }

    fn unlinked(folder: &Path, requested: u64) -> Result<Self, MemoryError> {
        let failed =
            |step| move |source| MemoryError::Make { step, place: format!("a file in {}", folder.display()), source };
        if !folder.is_dir() {
            let name = folder.to_str().and_then(|name| name.parse().ok());
            return Err(MemoryError::NotAFolder { folder: folder.into(), name });
        }
        let page = capacity::page_size_of(folder).map_err(failed("create"))?;
        let size = round_up(requested, page.max(page_size()))?;
        let file = tempfile::tempfile_in(folder).map_err(failed("create"))?;
        capacity::check_space(folder, size)?;
        file.set_len(size).map_err(failed("size"))?;
        capacity::reserve(&file, folder, size)?;
        Ok(Self {
            fd: Arc::new(file.into()),
            size,
            description: format!("{} in an unlinked file in {}", Bytes(size), folder.display()),
            shm: None,
        })
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A memfd whose size never changes again.
fn sealed(options: MemfdOptions, size: u64) -> Result<File, MemoryError> {
    let failed = |step| move |source| MemoryError::Make { step, place: "memfd".into(), source };
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

/// QEMU's device needs a power of two, because it makes a PCI BAR of the memory.
fn round_up(requested: u64, page: u64) -> Result<u64, MemoryError> {
    if requested < page {
        return Err(MemoryError::BelowPage { requested, page });
    }
    let size = requested
        .checked_next_power_of_two()
        .filter(|&size| size <= MAX_SIZE)
        .ok_or(MemoryError::TooLarge(requested))?;
    if size != requested {
        warn!("the size {} is no power of two: rounded up to {}", Bytes(requested), Bytes(size));
    }
    Ok(size)
}

fn memfd_cause(error: memfd::Error) -> io::Error {
    match error {
        memfd::Error::Create(cause) | memfd::Error::AddSeals(cause) | memfd::Error::GetSeals(cause) => cause,
    }
}

/// The size of an open file.
fn length(file: &File) -> io::Result<u64> {
    file.metadata().map(|metadata| metadata.len())
}

/// Whether a path still leads to an open file.
fn leads_to(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(found), Ok(ours)) => (found.dev(), found.ino()) == (ours.dev(), ours.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up_to_a_power_of_two() {
        assert_eq!(round_up(4096, 4096).unwrap(), 4096);
        assert_eq!(round_up(4097, 4096).unwrap(), 8192);
        assert_eq!(round_up(3 << 30, 4096).unwrap(), 4 << 30);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
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
