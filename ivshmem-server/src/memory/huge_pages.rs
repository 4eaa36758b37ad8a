//! Huge pages, which the kernel gives only from a pool that somebody reserved
//! ([hugetlbpage](https://docs.kernel.org/admin-guide/mm/hugetlbpage.html)).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use memfd::HugetlbSize;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::MemoryError;

const POOLS: &str = "/sys/kernel/mm/hugepages";

/// A size of huge pages that x86-64 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HugePageSize {
    /// 2 MiB.
    TwoMegabytes,
    /// 1 GiB.
    OneGigabyte,
}

impl From<HugePageSize> for HugetlbSize {
    fn from(page: HugePageSize) -> Self {
        match page {
            HugePageSize::TwoMegabytes => Self::Huge2MB,
            HugePageSize::OneGigabyte => Self::Huge1GB,
        }
    }
}

impl HugePageSize {
    /// A page's size.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::TwoMegabytes => 2 << 20,
            Self::OneGigabyte => 1 << 30,
        }
    }

    /// Whether so many bytes are free in the pool.
    pub(super) fn check(self, size: u64) -> Result<(), MemoryError> {
        self.pool(Path::new(POOLS)).check(size)
    }

    /// Takes all pages of a file from the pool.
    pub(super) fn reserve(self, file: &File, size: u64) -> Result<(), MemoryError> {
        loop {
            return match fallocate(file, FallocateFlags::empty(), 0, size) {
                Ok(()) => Ok(()),
                Err(Errno::INTR) => continue,
                Err(Errno::NOSPC | Errno::NOMEM) => Err(self.pool(Path::new(POOLS)).lacking(size, 0)),
                Err(errno) => Err(MemoryError::Make {
                    step: "take the huge pages of",
                    place: "memfd".into(),
                    source: errno.into(),
                }),
            };
        }
    }

    fn pool(self, pools: &Path) -> Pool {
        Pool::of(pools, self.bytes(), "leave --hugepages out")
    }
}

/// Whether so many bytes are free in the pool behind a mount of hugetlbfs, whose files have pages of this size. The mount
/// itself knows only its own limit.
pub(super) fn check_mount(page: u64, size: u64) -> Result<(), MemoryError> {
    match mounted(Path::new(POOLS), page).check(size) {
        // Without /sys the taking of the pages shows it.
        Err(MemoryError::HugePagesUnknown(_)) => Ok(()),
        checked => checked,
    }
}

/// The pages of such a mount turned out to be taken, though they were free before.
pub(super) fn taken_meanwhile(page: u64, size: u64) -> MemoryError {
    mounted(Path::new(POOLS), page).lacking(size, 0)
}

fn mounted(pools: &Path, page: u64) -> Pool {
    Pool::of(pools, page, "choose another --shm-dir")
}

/// The pages of one size that are reserved on this machine.
struct Pool {
    page: u64,
    folder: PathBuf,
    /// What to do without them.
    otherwise: &'static str,
}

impl Pool {
    fn of(pools: &Path, page: u64, otherwise: &'static str) -> Self {
        Self { page, folder: pools.join(format!("hugepages-{}kB", page >> 10)), otherwise }
    }

    fn check(&self, size: u64) -> Result<(), MemoryError> {
        let Ok(free) = number(&self.folder.join("free_hugepages")) else {
            return Err(MemoryError::HugePagesUnknown(self.page));
        };
        // Promised to others, though still counted as free.
        let promised = number(&self.folder.join("resv_hugepages")).unwrap_or(0);
        // What the kernel may add to the pool when asked; taking the pages shows whether it can.
        let more = number(&self.folder.join("nr_overcommit_hugepages")).unwrap_or(0);
        let added = number(&self.folder.join("surplus_hugepages")).unwrap_or(0);
        let free = free.saturating_sub(promised) + more.saturating_sub(added);
        if free >= size / self.page { Ok(()) } else { Err(self.lacking(size, free)) }
    }

    fn lacking(&self, size: u64, free: u64) -> MemoryError {
        let total = number(&self.folder.join("nr_hugepages")).unwrap_or(0);
        let reserve = total + (size / self.page).saturating_sub(free);
        let folder = self.folder.display().to_string();
        MemoryError::NoHugePages { size, page: self.page, free, reserve, folder, otherwise: self.otherwise }
    }
}

fn number(path: &Path) -> io::Result<u64> {
    fs::read_to_string(path)?.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(total: u64, free: u64, promised: u64) -> tempfile::TempDir {
        let pools = tempfile::tempdir().unwrap();
        let folder = pools.path().join("hugepages-2048kB");
        fs::create_dir(&folder).unwrap();
        for (name, value) in [("nr_hugepages", total), ("free_hugepages", free), ("resv_hugepages", promised)] {
            fs::write(folder.join(name), format!("{value}\n")).unwrap();
        }
        pools
    }

    #[test]
    fn what_is_free_and_not_promised_is_enough_or_the_cure_says_how_many_to_reserve() {
        let page = HugePageSize::TwoMegabytes;
        page.pool(pools(10, 8, 2).path()).check(12 << 20).unwrap();
        let error = page.pool(pools(10, 8, 3).path()).check(12 << 20).unwrap_err();
        let MemoryError::NoHugePages { free: 5, reserve: 11, .. } = error else { panic!("{error}") };
        assert!(error.to_string().contains("echo 11 >"), "{error}");
    }

    #[test]
    fn a_mount_without_a_limit_has_what_the_pool_has() {
        let page = 2 << 20;
        mounted(pools(4, 4, 0).path(), page).check(8 << 20).unwrap();
        let error = mounted(pools(4, 4, 0).path(), page).check(64 << 20).unwrap_err().to_string();
        for part in ["64M of huge pages are wanted, but 4 of 2M are free", "echo 32 >", "choose another --shm-dir"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("--hugepages"), "{error}");
    }

    #[test]
    fn what_the_kernel_may_add_to_the_pool_counts() {
        let pools = pools(0, 0, 0);
        let folder = pools.path().join("hugepages-2048kB");
        let page = HugePageSize::TwoMegabytes;
        fs::write(folder.join("nr_overcommit_hugepages"), "3\n").unwrap();
        page.pool(pools.path()).check(6 << 20).unwrap();
        fs::write(folder.join("surplus_hugepages"), "1\n").unwrap();
        page.pool(pools.path()).check(6 << 20).unwrap_err();
    }

    #[test]
    fn a_size_that_the_machine_does_not_know_is_named() {
        let error = HugePageSize::OneGigabyte.pool(pools(1, 1, 0).path()).check(1 << 30).unwrap_err();
        assert!(matches!(error, MemoryError::HugePagesUnknown(_)), "{error}");
    }
}
