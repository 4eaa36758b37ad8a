//! A shell for the guest of `xtask vm`: busybox from its package.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::apt::Apt;
use super::cache::Cache;
use super::error::ProvisionError;
use super::{command, elf, kernel};

const PACKAGE: &str = "busybox-static";
/// Where the package, unpacked, has the program: before and since Debian 13.
const PLACES: [&str; 2] = ["bin/busybox", "usr/bin/busybox"];

/// The program, and the commands that it is.
pub(crate) struct Busybox {
    /// The static program.
    pub(crate) program: Vec<u8>,
    /// Names under which it is other commands.
    pub(crate) applets: Vec<String>,
}

/// Takes busybox from the cache, downloading it if this is the first time.
pub(crate) fn fetch(cache: &Cache, progress: &dyn Fn(&str)) -> Result<Busybox, ProvisionError> {
    let folder = cache.folder("busybox", |partial| {
        progress("downloading busybox for the guest, 1 MB (once)");
        let mut apt = Apt::new(cache);
        for file in apt.download(&[PACKAGE.to_owned()], progress)? {
            kernel::unpack(cache, &file, partial)?;
        }
        read(partial).map(|_| ())
    })?;
    read(&folder)
}

fn read(folder: &Path) -> Result<Busybox, ProvisionError> {
    let path = PLACES.map(|place| folder.join(place)).into_iter().find(|path| path.is_file()).ok_or_else(|| {
        ProvisionError::Kernel { path: folder.to_path_buf(), why: format!("{PACKAGE} contains no busybox") }
    })?;
    let program = fs::read(&path).map_err(ProvisionError::io("read", &path))?;
    if let Some(why) = elf::not_static(&program) {
        return Err(ProvisionError::NotStatic { path, why });
    }
    // Static and for the same processor: it runs here as well as there.
    let list = command::run("asking busybox for its commands", Command::new(&path).arg("--list"))?;
    let applets = String::from_utf8_lossy(&list.stdout).lines().map(str::to_owned).collect();
    Ok(Busybox { program, applets })
}
