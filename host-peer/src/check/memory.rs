//! Judging the shared memory.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, SealFlags, Stat, fcntl_get_seals, fstat};

use crate::client::descriptor;
use crate::words::counted;

/// The object behind a descriptor, if it is one that can be mapped.
pub(super) fn object(fd: &OwnedFd) -> Result<Stat, String> {
    let stat = fstat(fd).map_err(|errno| format!("its size cannot be read: {errno}"))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(stat),
        kind => Err(format!("the descriptor is {}", descriptor::in_words(kind))),
    }
}

pub(super) fn size(stat: &Stat) -> Result<u64, String> {
    let page = rustix::param::page_size() as u64;
    match u64::try_from(stat.st_size) {
        Ok(size) if size >= page && size.is_power_of_two() => Ok(size),
        Ok(size) if size >= page => Err(format!("{size} bytes are no power of two: QEMU makes a PCI BAR of it")),
        _ => Err(format!("it has {}, less than a page of {page}", counted(stat.st_size, "byte"))),
    }
}

/// The seals that are missing, in words; nothing if none is.
pub(super) fn missing_seals(fd: &OwnedFd) -> Option<String> {
    let seals = fcntl_get_seals(fd).unwrap_or(SealFlags::empty());
    let wanted = [(SealFlags::SHRINK, "shrinking"), (SealFlags::GROW, "growing")];
    let missing: Vec<&str> = wanted.iter().filter(|(seal, _)| !seals.contains(*seal)).map(|(_, name)| *name).collect();
    let harm = if seals.contains(SealFlags::SHRINK) { "" } else { ", so any holder can end the others by SIGBUS" };
    (!missing.is_empty()).then(|| format!("not against {}{harm}", missing.join(" and ")))
}

/// Whether two descriptors lead to one object.
pub(super) fn same(one: &Stat, other: &Stat) -> Result<(), String> {
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) {
        Ok(())
    } else {
        Err("two clients got different objects".into())
    }
}
