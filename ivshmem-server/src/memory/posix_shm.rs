//! POSIX shared memory objects: files in /dev/shm.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
use tracing::{info, warn};

use super::{MemoryError, capacity, length, refers_to};
use crate::regular_file;
use cli_common::size::Bytes;

/// The flag with the name.
const FLAG: &str = "--shm-name";

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

impl ShmName {
    /// The path of the object.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.0)
    }

    /// The name of the object at a path in /dev/shm, or of a path without a directory.
    pub(super) fn of_path(path: &Path) -> Option<Self> {
        path.strip_prefix(DIRECTORY).unwrap_or(path).to_str()?.parse().ok()
    }
}

impl FromStr for ShmName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // shm_open(3) takes names with a leading slash, so scripts use them.
        let name = text.strip_prefix('/').unwrap_or(text);
        let valid = (1..=255).contains(&name.len()) && !name.contains(['/', '\0']) && !matches!(name, "." | "..");
        valid.then(|| Self(name.into())).ok_or_else(|| {
            let in_directory =
                text.strip_prefix(DIRECTORY).and_then(|rest| rest.strip_prefix('/')?.parse::<Self>().ok());
            let example = in_directory.map_or_else(|| "ivshmem".into(), |name| name.0);
            format!("expected a name of 1 to 255 bytes without a slash, such as {example}")
        })
    }
}

/// What happens to the object when it is dropped.
#[derive(Debug)]
enum AtEnd {
    Remove,
    Keep,
    /// An existing object gets its size back if the start fails.
    Restore {
        size: u64,
    },
}

/// The object of this server.
#[derive(Debug)]
pub(super) struct ShmObject {
    path: PathBuf,
    /// Holds the lock that keeps other servers off the object. Not for clients, because the lock would last as long as the
    /// client.
    lock: File,
    /// The object of another user is never removed.
    is_foreign: bool,
    at_end: AtEnd,
}

impl ShmObject {
    /// Opens or creates the object with exactly `size` bytes, and reserves its blocks. As in QEMU's example server, an existing
    /// object keeps its contents, because other processes may have it mapped. It may grow, but must not shrink.
    pub(super) fn open(name: &ShmName, size: u64) -> Result<(Self, File), MemoryError> {
        let path = name.path();
        let failed = |step| {
            let place = path.display().to_string();
            move |source| MemoryError::Create { step, place, source }
        };
        let (lock, is_new) = regular_file::open_or_create(&path, 0o600, FLAG).map_err(|source| {
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
        let file = regular_file::open(&path, FLAG).map_err(failed("open"))?;
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
        let at_end = if is_new { AtEnd::Remove } else { AtEnd::Restore { size: existing } };
        let object = Self { path: path.clone(), lock, is_foreign, at_end };
        if existing > 0 {
            info!("{} exists with a size of {}: it is used with its contents", path.display(), Bytes(existing));
        }
        let directory = DIRECTORY.as_ref();
        capacity::check_space(directory, size, existing)?;
        file.set_len(size).map_err(failed("size"))?;
        capacity::reserve(&file, directory, size)?;
        Ok((object, file))
    }

    /// From now on an existing object is removed at the end, like one that this server created.
    pub(super) fn remove_at_end(&mut self) {
        self.at_end = if self.is_foreign { AtEnd::Keep } else { AtEnd::Remove };
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ShmObject {
    /// Keeps an object that another process has created with the same name.
    fn drop(&mut self) {
        match self.at_end {
            AtEnd::Remove if refers_to(&self.path, &self.lock) => _ = fs::remove_file(&self.path),
            AtEnd::Restore { size } => _ = self.lock.set_len(size),
            AtEnd::Remove | AtEnd::Keep => {}
        }
    }
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
