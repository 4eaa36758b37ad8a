//! Whether the machine can hold what is asked for, asked before anybody maps it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statfs};
use rustix::io::Errno;

use super::{MemoryError, huge_pages};

/// `f_type` of statfs(2): linux/magic.h.
const TMPFS_MAGIC: u64 = 0x0102_1994;
const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Files take memory, up to the mount's limit.
    Tmpfs,
    /// Files take huge pages from a pool.
    Hugetlbfs,
    Other,
}

struct FileSystem {
    kind: Kind,
    block: u64,
    /// Free bytes; none where the mount has no limit.
    free: Option<u64>,
}

/// See [statfs(2)](https://man7.org/linux/man-pages/man2/statfs.2.html).
fn file_system(folder: &Path) -> io::Result<FileSystem> {
    let stat = statfs(folder)?;
    let kind = match stat.f_type.cast_unsigned() & 0xffff_ffff {
        TMPFS_MAGIC => Kind::Tmpfs,
        HUGETLBFS_MAGIC => Kind::Hugetlbfs,
        _ => Kind::Other,
    };
    let block = stat.f_bsize.cast_unsigned();
    let free = (stat.f_blocks != 0).then(|| stat.f_bavail.saturating_mul(block));
    Ok(FileSystem { kind, block, free })
}

/// The unit in which files of this folder can be mapped.
pub(super) fn page_size_of(folder: &Path) -> io::Result<u64> {
    let file_system = file_system(folder)?;
    Ok(match file_system.kind {
        Kind::Hugetlbfs => file_system.block,
        Kind::Tmpfs | Kind::Other => super::page_size(),
    })
}

/// Whether the machine has `size` bytes of memory to give. What the kernel would still grant beyond
/// that ends with the OOM killer, and it picks its victim itself.
pub(super) fn check_memory(size: u64) -> Result<(), MemoryError> {
    match fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text)) {
        Some(available) if available < size => Err(MemoryError::NoMemory { size, available }),
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

/// Whether the file system of a folder has `size` free bytes.
pub(super) fn check_space(folder: &Path, size: u64) -> Result<(), MemoryError> {
    let file_system = file_system(folder).map_err(|source| MemoryError::Make {
        step: "find room for",
        place: folder.display().to_string(),
        source,
    })?;
    if let Some(free) = file_system.free.filter(|&free| free < size) {
        return Err(no_space(folder, size, free, file_system.kind));
    }
    match file_system.kind {
        Kind::Tmpfs => check_memory(size),
        Kind::Hugetlbfs => huge_pages::check_mount(file_system.block, size),
        Kind::Other => Ok(()),
    }
}

/// Reserves all blocks of a file, so that touching a page cannot fail later
/// ([fallocate(2)](https://man7.org/linux/man-pages/man2/fallocate.2.html)).
pub(super) fn reserve(file: &File, folder: &Path, size: u64) -> Result<(), MemoryError> {
    loop {
        return match fallocate(file, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(()),
            Err(Errno::INTR) => continue,
            Err(Errno::NOSPC) => Err(taken_meanwhile(folder, size)),
            Err(errno) => Err(MemoryError::Make {
                step: "reserve the blocks of",
                place: folder.display().to_string(),
                source: errno.into(),
            }),
        };
    }
}

/// There was room, and now there is none.
fn taken_meanwhile(folder: &Path, size: u64) -> MemoryError {
    match file_system(folder) {
        Ok(FileSystem { kind: Kind::Hugetlbfs, block, .. }) => huge_pages::taken_meanwhile(block, size),
        Ok(FileSystem { kind, free, .. }) => no_space(folder, size, free.unwrap_or(0), kind),
        Err(_) => no_space(folder, size, 0, Kind::Other),
    }
}

fn no_space(folder: &Path, size: u64, free: u64, kind: Kind) -> MemoryError {
    let cure = match kind {
        Kind::Tmpfs => "enlarge it (mount -o remount,size=SIZE FOLDER)",
        Kind::Hugetlbfs => "raise the mount's limit (its size= option)",
        Kind::Other => "make room there",
    };
    MemoryError::NoSpace { folder: folder.into(), size, free, cure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_counts_swap() {
        let meminfo = "MemTotal:  100 kB\nMemAvailable:   3 kB\nSwapFree:    2 kB\n";
        assert_eq!(available(meminfo), Some(5 << 10));
        assert_eq!(available("MemAvailable: 3 kB\n"), Some(3 << 10));
        assert_eq!(available("MemFree: 3 kB\n"), None);
    }

    #[test]
    fn more_than_the_machine_has_is_refused() {
        let error = check_memory(1 << 60).unwrap_err();
        assert!(matches!(error, MemoryError::NoMemory { .. }), "{error}");
    }
}
