//! Checks the shared memory.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, SealFlags, Stat, fcntl_get_seals, fstat};

use client::descriptor;
use client::plural::plural;

/// Cause and hint for truncated memory.
const TRUNCATED: &str = "another process truncated it, and processes that map it, QEMU included, get SIGBUS. Hint: restart the \
                         server and its peers, with a sealed memfd (ivshmem-server without -M and -m)";

/// The object of a descriptor, if it can be mapped.
pub(super) fn object(fd: &OwnedFd) -> Result<Stat, String> {
    let stat = fstat(fd).map_err(|errno| format!("cannot read its size: {errno}"))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(stat),
        kind => Err(format!("the descriptor is {}", descriptor::describe_kind(kind))),
    }
}

pub(super) fn size(stat: &Stat) -> Result<u64, String> {
    let page = rustix::param::page_size() as u64;
    match u64::try_from(stat.st_size) {
        Ok(size) if size >= page && size.is_power_of_two() => Ok(size),
        Ok(size) if size >= page => {
            Err(format!("{size} bytes are not a power of two, which a PCI BAR needs: wrong --size, or truncated later"))
        }
        _ => Err(format!("it has {}, less than a page of {page}: {TRUNCATED}", plural(stat.st_size, "byte"))),
    }
}

/// Checks that the object still has its first size.
pub(super) fn check_size_now(fd: &OwnedFd, size: u64) -> Result<(), String> {
    let now = fstat(fd).map_err(|errno| format!("cannot read its size: {errno}"))?.st_size;
    check_size(u64::try_from(now).unwrap_or(0), size).map(|_| ())
}

/// The size, if it equals the original or an earlier size.
pub(super) fn check_size(size: u64, expected: u64) -> Result<u64, String> {
    match size {
        _ if size == expected => Ok(size),
        _ if size > expected => Err(format!("it had {expected} bytes and now has {size}: another process enlarged it")),
        _ => Err(format!("it had {expected} bytes and now has {size}: {TRUNCATED}")),
    }
}

/// Why an earlier truncation to another power of two cannot be excluded.
pub(super) fn unknown_size(socket: &Path) -> String {
    format!(
        "another process may have truncated it before this check, because it is not sealed, and no status socket reports its \
         original size. Hint: start ivshmem-server with --status-socket {}.status",
        socket.display()
    )
}

fn seals(fd: &OwnedFd) -> SealFlags {
    fcntl_get_seals(fd).unwrap_or(SealFlags::empty())
}

pub(super) fn may_shrink(fd: &OwnedFd) -> bool {
    !seals(fd).contains(SealFlags::SHRINK)
}

/// The missing seals with the consequence, if any.
pub(super) fn missing_seals(fd: &OwnedFd) -> Option<String> {
    let seals = seals(fd);
    let wanted = [(SealFlags::SHRINK, "shrinking"), (SealFlags::GROW, "growing")];
    let missing: Vec<&str> = wanted.iter().filter(|(seal, _)| !seals.contains(*seal)).map(|(_, name)| *name).collect();
    let harm = if seals.contains(SealFlags::SHRINK) {
        ""
    } else {
        ": any process that can open it can truncate it, and processes that map it, QEMU included, then get SIGBUS. Hint: \
         use a sealed memfd (ivshmem-server without -M and -m)"
    };
    (!missing.is_empty()).then(|| format!("no seal against {}{harm}", missing.join(" and ")))
}

/// Whether two descriptors refer to the same object.
pub(super) fn same(one: &Stat, other: &Stat) -> Result<(), String> {
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) {
        Ok(())
    } else {
        Err("two clients received different objects".into())
    }
}
