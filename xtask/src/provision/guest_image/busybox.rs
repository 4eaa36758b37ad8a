//! A shell for the guest of `xtask vm`: busybox from its package, or the host's if that is static.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::files::PathContext as _;
use crate::provision::cache::Cache;
use crate::provision::host::HostDistro;
use crate::provision::{command, elf, host_packages};

/// Paths in the package.
const PLACES: [&str; 4] = [
    "bin/busybox",      // Debian up to 12
    "usr/bin/busybox",  // Debian from 13 on
    "sbin/busybox",     // Fedora
    "usr/sbin/busybox", // Fedora, where /sbin is a link
];

/// The program and its commands.
pub(crate) struct Busybox {
    /// The static program.
    pub(crate) program: Vec<u8>,
    /// The names of its commands.
    pub(crate) applets: Vec<String>,
}

/// Busybox from the cache. The first call downloads it.
pub(crate) fn fetch(cache: &Cache, distro: &HostDistro, progress: &dyn Fn(&str)) -> anyhow::Result<Busybox> {
    let folder = cache.folder("busybox", |partial| {
        let mut repository = distro.repository(cache, "busybox", "install a static busybox")?;
        progress("downloading busybox for the guest, 1 MB (only once)");
        repository.fetch(&[distro.busybox_package().to_owned()], partial, progress)?;
        read(partial).map(|_| ())
    });
    // Without package tools, the host may have one.
    folder.and_then(|folder| read(&folder)).or_else(|error| installed().ok_or(error))
}

fn installed() -> Option<Busybox> {
    load(&host_packages::program("busybox")?).ok()
}

fn read(folder: &Path) -> anyhow::Result<Busybox> {
    let path = PLACES.map(|place| folder.join(place)).into_iter().find(|path| path.is_file());
    load(&path.with_context(|| format!("{}: the package lacks busybox", folder.display()))?)
}

fn load(path: &Path) -> anyhow::Result<Busybox> {
    let program = fs::read(path).at("read", path)?;
    elf::check_static(path, &program)?;
    // A static program for the same architecture also runs on the host.
    let list = command::run("listing the commands of busybox", Command::new(path).arg("--list"))?;
    let applets = String::from_utf8_lossy(&list.stdout).lines().map(str::to_owned).collect();
    Ok(Busybox { program, applets })
}
