//! Checks that memory and file systems have enough space, before a client maps the object.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statfs};
use rustix::io::{Errno, retry_on_intr};

use super::MemoryError;
use super::huge_pages::Pool;

/// `f_type` of statfs(2): linux/magic.h.
const TMPFS_MAGIC: u64 = 0x0102_1994;
const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileSystemKind {
    /// Files take memory, up to the mount's limit.
    Tmpfs,
    /// Files take huge pages from a pool.
    Hugetlbfs,
    Other,
}

struct FileSystem {
    kind: FileSystemKind,
    block: u64,
    /// Free bytes; `None` if the mount has no limit.
    free: Option<u64>,
}

/// See [statfs(2)](https://man7.org/linux/man-pages/man2/statfs.2.html).
fn file_system(directory: &Path) -> io::Result<FileSystem> {
    let stat = statfs(directory)?;
    let kind = match stat.f_type.cast_unsigned() & 0xffff_ffff {
        TMPFS_MAGIC => FileSystemKind::Tmpfs,
        HUGETLBFS_MAGIC => FileSystemKind::Hugetlbfs,
        _ => FileSystemKind::Other,
    };
    let block = stat.f_bsize.cast_unsigned();
    let free = (stat.f_blocks != 0).then(|| stat.f_bavail.saturating_mul(block));
    Ok(FileSystem { kind, block, free })
}

/// The page size for mappings of files in this directory.
pub(super) fn page_size_of(directory: &Path) -> io::Result<u64> {
    let file_system = file_system(directory)?;
    Ok(match file_system.kind {
        FileSystemKind::Hugetlbfs => file_system.block,
        FileSystemKind::Tmpfs | FileSystemKind::Other => super::page_size(),
    })
}

/// Checks that memory is available for an object of `size` bytes, of which `existing` are used already. The kernel may grant
/// more, but then the OOM killer ends some process later.
pub(super) fn check_memory(size: u64, existing: u64) -> Result<(), MemoryError> {
    match fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text)) {
        Some(available) if available < size - existing => Err(MemoryError::NoMemory { size, available }),
        _ => Ok(()),
    }
}

/// Free memory and swap, from [proc_meminfo(5)](https://man7.org/linux/man-pages/man5/proc_meminfo.5.html).
fn available(meminfo: &str) -> Option<u64> {
    let bytes = |name: &str| {
        let line = meminfo.lines().find(|line| line.starts_with(name))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib << 10)
    };
    Some(bytes("MemAvailable:")? + bytes("SwapFree:").unwrap_or(0))
}

/// Checks that the file system of a directory has space for a file of `size` bytes, of which `existing` are used already.
pub(super) fn check_space(directory: &Path, size: u64, existing: u64) -> Result<(), MemoryError> {
    let file_system = file_system(directory).map_err(|source| MemoryError::Create {
        step: "check the space for",
        place: directory.display().to_string(),
        source,
    })?;
    if let Some(free) = file_system.free.filter(|&free| free < size - existing) {
        return Err(no_space(directory, size, free, file_system.kind));
    }
    match file_system.kind {
        FileSystemKind::Tmpfs => check_memory(size, existing),
        FileSystemKind::Hugetlbfs => match Pool::of_mount(file_system.block).check(size) {
            // Without /sys, reserving the pages detects missing ones.
            Err(MemoryError::HugePagesUnsupported(_)) => Ok(()),
            checked => checked,
        },
        FileSystemKind::Other => Ok(()),
    }
}

/// Reserves all blocks of a file, because accessing a page must not fail later
/// ([fallocate(2)](https://man7.org/linux/man-pages/man2/fallocate.2.html)).
pub(super) fn reserve(file: &File, directory: &Path, size: u64) -> Result<(), MemoryError> {
    retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, size)).map_err(|errno| match errno {
        Errno::NOSPC => out_of_space(directory, size),
        _ => MemoryError::Create {
            step: "reserve the blocks of",
            place: directory.display().to_string(),
            source: errno.into(),
        },
    })
}

/// The error for space that ran out after the check.
fn out_of_space(directory: &Path, size: u64) -> MemoryError {
    match file_system(directory) {
        Ok(FileSystem { kind: FileSystemKind::Hugetlbfs, block, .. }) => Pool::of_mount(block).missing_pages(size, 0),
        Ok(FileSystem { kind, free, .. }) => no_space(directory, size, free.unwrap_or(0), kind),
        Err(_) => no_space(directory, size, 0, FileSystemKind::Other),
    }
}

fn no_space(directory: &Path, size: u64, free: u64, kind: FileSystemKind) -> MemoryError {
    let hint = match kind {
        FileSystemKind::Tmpfs => "enlarge the mount (mount -o remount,size=SIZE DIR)",
        FileSystemKind::Hugetlbfs => "raise the mount's limit (its size= option)",
        FileSystemKind::Other => "free space there",
    };
    MemoryError::NoSpace { directory: directory.into(), size, free, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_includes_swap() {
        let meminfo = "MemTotal:  100 kB\nMemAvailable:   3 kB\nSwapFree:    2 kB\n";
        assert_eq!(available(meminfo), Some(5 << 10));
        assert_eq!(available("MemAvailable: 3 kB\n"), Some(3 << 10));
        assert_eq!(available("MemFree: 3 kB\n"), None);
    }

    #[test]
    fn refuses_more_than_the_available_memory() {
        let error = check_memory(1 << 60, 0).unwrap_err();
        assert!(matches!(error, MemoryError::NoMemory { .. }), "{error}");
    }
}
