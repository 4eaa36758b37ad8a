//! Huge pages, which the kernel takes from a pool that the administrator reserves
//! ([hugetlbpage](https://docs.kernel.org/admin-guide/mm/hugetlbpage.html)).

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use memfd::HugetlbSize;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use super::MemoryError;

const POOLS: &str = "/sys/kernel/mm/hugepages";

/// Sizes of huge pages on x86-64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HugePageSize {
    /// 2 MiB
    #[value(name = "2M", alias = "2m")]
    TwoMegabytes,
    /// 1 GiB
    #[value(name = "1G", alias = "1g")]
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
    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::TwoMegabytes => 2 << 20,
            Self::OneGigabyte => 1 << 30,
        }
    }
}

/// The machine's huge pages of one size.
pub(super) struct Pool {
    page: u64,
    path: PathBuf,
    /// How to do without them.
    alternative: &'static str,
}

impl Pool {
    fn new(pools: &Path, page: u64, alternative: &'static str) -> Self {
        Self { page, path: pools.join(format!("hugepages-{}kB", page >> 10)), alternative }
    }

    /// The pool of a memfd.
    pub(super) fn of_memfd(page: HugePageSize) -> Self {
        Self::new(Path::new(POOLS), page.bytes(), "leave --hugepages out")
    }

    /// The pool of a hugetlbfs mount with this page size. statfs(2) reports only the mount's own limit.
    pub(super) fn of_mount(page: u64) -> Self {
        Self::new(Path::new(POOLS), page, "choose another --shm-dir")
    }

    /// Checks that the pool has `size` free bytes.
    pub(super) fn check(&self, size: u64) -> Result<(), MemoryError> {
        let Some(free) = self.read("free_hugepages") else {
            return Err(MemoryError::HugePagesUnsupported(self.page));
        };
        // Reserved by mappings, but still counted as free.
        let reserved = self.read("resv_hugepages").unwrap_or(0);
        // The kernel may add these to the pool on demand. Reserving the pages detects whether it can.
        let overcommit = self.read("nr_overcommit_hugepages").unwrap_or(0);
        let surplus = self.read("surplus_hugepages").unwrap_or(0);
        let free = free.saturating_sub(reserved) + overcommit.saturating_sub(surplus);
        if free >= size / self.page { Ok(()) } else { Err(self.missing_pages(size, free)) }
    }

    /// Takes all pages of a memfd from the pool.
    pub(super) fn reserve(&self, memfd: &File, size: u64) -> Result<(), MemoryError> {
        retry_on_intr(|| fallocate(memfd, FallocateFlags::empty(), 0, size)).map_err(|errno| match errno {
            Errno::NOSPC | Errno::NOMEM => self.missing_pages(size, 0),
            _ => MemoryError::Create { step: "take the huge pages of", place: "memfd".into(), source: errno.into() },
        })
    }

    pub(super) fn missing_pages(&self, size: u64, free: u64) -> MemoryError {
        let total = self.read("nr_hugepages").unwrap_or(0);
        let reserve = total + (size / self.page).saturating_sub(free);
        let pool = self.path.display().to_string();
        MemoryError::NoHugePages { size, page: self.page, free, reserve, pool, alternative: self.alternative }
    }

    fn read(&self, name: &str) -> Option<u64> {
        fs::read_to_string(self.path.join(name)).ok()?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(total: u64, free: u64, reserved: u64) -> tempfile::TempDir {
        let pools = tempfile::tempdir().unwrap();
        let pool = pools.path().join("hugepages-2048kB");
        fs::create_dir(&pool).unwrap();
        for (name, value) in [("nr_hugepages", total), ("free_hugepages", free), ("resv_hugepages", reserved)] {
            fs::write(pool.join(name), format!("{value}\n")).unwrap();
        }
        pools
    }

    fn pool(pools: &Path, page: HugePageSize) -> Pool {
        Pool::new(pools, page.bytes(), "leave --hugepages out")
    }

    #[test]
    fn missing_pages_are_reported_with_a_hint() {
        let page = HugePageSize::TwoMegabytes;
        pool(pools(10, 8, 2).path(), page).check(12 << 20).unwrap();
        let error = pool(pools(10, 8, 3).path(), page).check(12 << 20).unwrap_err();
        let MemoryError::NoHugePages { free: 5, reserve: 11, .. } = error else { panic!("{error}") };
        assert!(error.to_string().contains("echo 11 >"), "{error}");
    }

    #[test]
    fn a_mount_without_a_limit_is_limited_by_the_pool() {
        let pools = pools(4, 4, 0);
        let pool = Pool::new(pools.path(), 2 << 20, Pool::of_mount(2 << 20).alternative);
        pool.check(8 << 20).unwrap();
        let error = pool.check(64 << 20).unwrap_err().to_string();
        for part in ["64M of huge pages requested, but 4 of 2M are free", "echo 32 >", "choose another --shm-dir"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("--hugepages"), "{error}");
    }

    #[test]
    fn overcommitted_pages_count_as_free() {
        let pools = pools(0, 0, 0);
        let pool = pool(pools.path(), HugePageSize::TwoMegabytes);
        fs::write(pool.path.join("nr_overcommit_hugepages"), "3\n").unwrap();
        pool.check(6 << 20).unwrap();
        fs::write(pool.path.join("surplus_hugepages"), "1\n").unwrap();
        pool.check(6 << 20).unwrap_err();
    }

    #[test]
    fn refuses_an_unsupported_page_size() {
        let error = pool(pools(1, 1, 0).path(), HugePageSize::OneGigabyte).check(1 << 30).unwrap_err();
        assert!(matches!(error, MemoryError::HugePagesUnsupported(_)), "{error}");
    }
}
