//! POSIX shared memory objects: files in /dev/shm.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
use tracing::{info, warn};

use super::{MemoryError, capacity, length, refers_to};
use cli_common::size::Bytes;

/// The directory of the objects.
pub(super) const DIRECTORY: &str = "/dev/shm";

/// The name of a POSIX shared memory object, without the leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShmName(String);

impl fmt::Display for ShmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ShmName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // shm_open(3) takes names with a leading slash, so scripts use them.
        let name = text.strip_prefix('/').unwrap_or(text);
        let valid = (1..=255).contains(&name.len()) && !name.contains(['/', '\0']) && !matches!(name, "." | "..");
        valid.then(|| Self(name.into())).ok_or("expected a name of 1 to 255 bytes without a slash, such as ivshmem")
    }
}

/// The object of this server, removed when dropped.
#[derive(Debug)]
pub(super) struct ShmObject {
    path: PathBuf,
    /// Holds the lock that keeps other servers off the object. Not for clients, because the lock would last as long as the
    /// client.
    lock: File,
    /// The object of another user is not removed.
    is_foreign: bool,
}

impl ShmObject {
    /// Opens or creates the object with exactly `size` bytes. As in QEMU's example server, an existing object keeps its
    /// contents, because other processes may have it mapped. It may grow, but must not shrink.
    pub(super) fn open(name: &ShmName, size: u64) -> Result<(Self, File), MemoryError> {
        let path = Path::new(DIRECTORY).join(&name.0);
        let failed = |step| {
            let place = path.display().to_string();
            move |source| MemoryError::Create { step, place, source }
        };
        let lock = open_or_create(&path).map_err(|source| {
            let is_foreign = fs::symlink_metadata(&path).is_ok_and(|found| found.uid() != geteuid().as_raw());
            match source.kind() {
                io::ErrorKind::PermissionDenied if is_foreign => MemoryError::ShmOfOtherUser(path.clone()),
                _ => failed("open")(source),
            }
        })?;
        let owner = lock.metadata().map_err(failed("open"))?.uid();
        let is_foreign = owner != geteuid().as_raw();
        if is_foreign && !geteuid().is_root() {
            return Err(MemoryError::ShmOfOtherUser(path));
        }
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(MemoryError::ShmInUse(path)),
            Err(errno) => return Err(failed("lock")(errno.into())),
        }
        let file = options().open(&path).map_err(failed("open"))?;
        if !refers_to(&path, &lock) {
            return Err(MemoryError::ShmInUse(path));
        }
        let existing = length(&file).map_err(failed("open"))?;
        if existing > size {
            let size = existing;
            return Err(MemoryError::ShmLarger { path, size });
        }
        if is_foreign {
            warn!(
                "{} belongs to user {owner}, who can change its size and contents at any time. It is not removed at the end",
                path.display()
            );
        }
        let object = Self { path: path.clone(), lock, is_foreign };
        if existing > 0 {
            info!("{} exists with a size of {}: it is used with its contents", path.display(), Bytes(existing));
        }
        capacity::check_space(DIRECTORY.as_ref(), size - existing)?;
        file.set_len(size).map_err(failed("size"))?;
        Ok((object, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ShmObject {
    /// Keeps an object that another process has created with the same name.
    fn drop(&mut self) {
        if !self.is_foreign && refers_to(&self.path, &self.lock) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens without `O_CREAT` first. With it, the kernel does not open an existing object of another user, even for root,
/// because /dev/shm is sticky and world-writable (`fs.protected_regular`, see
/// [proc_sys_fs(5)](https://man7.org/linux/man-pages/man5/proc_sys_fs.5.html)).
fn open_or_create(path: &Path) -> io::Result<File> {
    loop {
        match options().open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match options().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened,
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_leading_slash_of_shm_open() {
        assert_eq!("/ivshmem".parse(), Ok(ShmName("ivshmem".into())));
        assert_eq!("ivshmem".parse(), Ok(ShmName("ivshmem".into())));
    }

    #[test]
    fn refuses_names_with_other_slashes_and_dots() {
        let long = "x".repeat(256);
        for text in ["", "/", "a/b", "..", ".", "//x", &long] {
            assert!(text.parse::<ShmName>().is_err(), "{text}");
        }
    }
}
