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
        self.check_in(Path::new(POOLS), size)
    }

    fn check_in(self, pools: &Path, size: u64) -> Result<(), MemoryError> {
        let folder = self.pool(pools);
        let Ok(free) = number(&folder.join("free_hugepages")) else {
            return Err(MemoryError::HugePagesUnknown(self.bytes()));
        };
        // Promised to others, though still counted as free.
        let promised = number(&folder.join("resv_hugepages")).unwrap_or(0);
        // What the kernel may add to the pool when asked; taking the pages shows whether it can.
        let more = number(&folder.join("nr_overcommit_hugepages")).unwrap_or(0);
        let added = number(&folder.join("surplus_hugepages")).unwrap_or(0);
        let free = free.saturating_sub(promised) + more.saturating_sub(added);
        if free >= size / self.bytes() { Ok(()) } else { Err(self.lacking(&folder, size, free)) }
    }

    /// Takes all pages of a file from the pool.
    pub(super) fn reserve(self, file: &File, size: u64) -> Result<(), MemoryError> {
        loop {
            return match fallocate(file, FallocateFlags::empty(), 0, size) {
                Ok(()) => Ok(()),
                Err(Errno::INTR) => continue,
                Err(Errno::NOSPC | Errno::NOMEM) => Err(self.lacking(&self.pool(Path::new(POOLS)), size, 0)),
                Err(errno) => Err(MemoryError::Make {
                    step: "take the huge pages of",
                    place: "memfd".into(),
                    source: errno.into(),
                }),
            };
        }
    }

    fn lacking(self, folder: &Path, size: u64, free: u64) -> MemoryError {
        let page = self.bytes();
        let total = number(&folder.join("nr_hugepages")).unwrap_or(0);
        let reserve = total + (size / page).saturating_sub(free);
        MemoryError::NoHugePages { size, page, free, reserve, folder: folder.display().to_string() }
    }

    fn pool(self, pools: &Path) -> PathBuf {
        pools.join(format!("hugepages-{}kB", self.bytes() >> 10))
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
        page.check_in(pools(10, 8, 2).path(), 12 << 20).unwrap();
        let error = page.check_in(pools(10, 8, 3).path(), 12 << 20).unwrap_err();
        let MemoryError::NoHugePages { free: 5, reserve: 11, .. } = error else { panic!("{error}") };
        assert!(error.to_string().contains("echo 11 >"), "{error}");
    }

    #[test]
    fn what_the_kernel_may_add_to_the_pool_counts() {
        let pools = pools(0, 0, 0);
        let folder = pools.path().join("hugepages-2048kB");
        let page = HugePageSize::TwoMegabytes;
        fs::write(folder.join("nr_overcommit_hugepages"), "3\n").unwrap();
        page.check_in(pools.path(), 6 << 20).unwrap();
        fs::write(folder.join("surplus_hugepages"), "1\n").unwrap();
        page.check_in(pools.path(), 6 << 20).unwrap_err();
    }

    #[test]
    fn a_size_that_the_machine_does_not_know_is_named() {
        let error = HugePageSize::OneGigabyte.check_in(pools(1, 1, 0).path(), 1 << 30).unwrap_err();
        assert!(matches!(error, MemoryError::HugePagesUnknown(_)), "{error}");
    }
}
