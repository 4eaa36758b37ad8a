//! POSIX shared memory objects, which Linux keeps as files in /dev/shm.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
use thiserror::Error;
use tracing::{info, warn};

use super::{MemoryError, capacity, leads_to, length};
use cli_common::size::Bytes;

/// Where the objects lie.
pub(super) const FOLDER: &str = "/dev/shm";

/// The name of a POSIX shared memory object, without the leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShmName(String);

/// A text that names no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a name of 1 to 255 bytes without a slash, such as ivshmem")]
pub struct ShmNameError;

impl fmt::Display for ShmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ShmName {
    type Err = ShmNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // shm_open(3) takes names with a leading slash, so scripts write them.
        let name = text.strip_prefix('/').unwrap_or(text);
        let valid = (1..=255).contains(&name.len()) && !name.contains(['/', '\0']) && !matches!(name, "." | "..");
        valid.then(|| Self(name.into())).ok_or(ShmNameError)
    }
}

/// An object in use by this server, removed when dropped.
#[derive(Debug)]
pub(super) struct ShmObject {
    path: PathBuf,
    /// Holds the lock that tells other servers that this one lives. Never given to a client: the lock
    /// would live as long as the client.
    lock: File,
    /// It belongs to another user, who keeps it.
    is_foreign: bool,
}

impl ShmObject {
    /// Opens the object, or makes it, with exactly `size` bytes. As with QEMU's example server, one
    /// that exists is taken with what is in it, since others may have it mapped; it may grow, but
    /// never shrink under them.
    pub(super) fn open(name: &ShmName, size: u64) -> Result<(Self, File), MemoryError> {
        let path = Path::new(FOLDER).join(&name.0);
        let failed = |step| {
            let place = path.display().to_string();
            move |source| MemoryError::Make { step, place, source }
        };
        let lock = open_or_create(&path).map_err(|source| {
            let is_foreign = fs::symlink_metadata(&path).is_ok_and(|found| found.uid() != geteuid().as_raw());
            match source.kind() {
                io::ErrorKind::PermissionDenied if is_foreign => MemoryError::ShmForeign(path.clone()),
                _ => failed("open")(source),
            }
        })?;
        let owner = lock.metadata().map_err(failed("open"))?.uid();
        let is_foreign = owner != geteuid().as_raw();
        if is_foreign && !geteuid().is_root() {
            return Err(MemoryError::ShmForeign(path));
        }
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(MemoryError::ShmInUse(path)),
            Err(errno) => return Err(failed("lock")(errno.into())),
        }
        let file = open(&path, Create::No).map_err(failed("open"))?;
        if !leads_to(&path, &lock) {
            return Err(MemoryError::ShmInUse(path));
        }
        let found = length(&file).map_err(failed("open"))?;
        if found > size {
            let size = found;
            return Err(MemoryError::ShmLarger { path, size });
        }
        if is_foreign {
            warn!(
                "{} belongs to user {owner}, who can change its size and what is in it at any time; it is not removed at the \
                 end",
                path.display()
            );
        }
        let object = Self { path: path.clone(), lock, is_foreign };
        if found > 0 {
            info!("{} exists with {}: used with what is in it", path.display(), Bytes(found));
        }
        capacity::check_space(FOLDER.as_ref(), size - found)?;
        file.set_len(size).map_err(failed("size"))?;
        Ok((object, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ShmObject {
    /// Leaves the name alone when somebody gave it to another object meanwhile.
    fn drop(&mut self) {
        if !self.is_foreign && leads_to(&self.path, &self.lock) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// With `O_CREAT` the kernel refuses an existing object of another user to everyone, root too, because /dev/shm is sticky and
/// everyone may write there (`fs.protected_regular`, see
/// [proc_sys_fs(5)](https://man7.org/linux/man-pages/man5/proc_sys_fs.5.html)).
fn open_or_create(path: &Path) -> io::Result<File> {
    loop {
        match open(path, Create::No) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match open(path, Create::New) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Create {
    No,
    New,
}

fn open(path: &Path, create: Create) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(create == Create::New)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_the_leading_slash_of_shm_open() {
        assert_eq!("/ivshmem".parse(), Ok(ShmName("ivshmem".into())));
        assert_eq!("ivshmem".parse(), Ok(ShmName("ivshmem".into())));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let long = "x".repeat(256);
        for text in ["", "/", "a/b", "..", ".", "//x", &long] {
            assert_eq!(text.parse::<ShmName>(), Err(ShmNameError), "{text}");
        }
    }
}
