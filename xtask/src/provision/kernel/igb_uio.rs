//! `igb_uio` from Debian's package of DPDK's kernel modules. The package contains sources for dkms; they are built here like
//! uio_pci_msix.

use std::path::Path;

use super::module_build::ModuleSource;
use crate::provision::cache::Cache;
use crate::provision::error::ProvisionError;
use crate::provision::files::entries;
use crate::provision::host::distro::HostDistro;

const PACKAGE: &str = "dpdk-kmods-dkms";
/// The cache entry of the unpacked package.
const ENTRY: &str = "dpdk-kmods";
/// The sources that a build needs.
const FILES: [&str; 3] = ["Kbuild", "compat.h", "igb_uio.c"];

/// The module's sources. The first call downloads them.
pub(crate) fn fetch(
    cache: &Cache,
    distro: &dyn HostDistro,
    progress: &dyn Fn(&str),
) -> Result<ModuleSource, ProvisionError> {
    let folder = cache.folder(ENTRY, |partial| {
        progress("downloading the sources of igb_uio, 10 kB (only once)");
        let mut repository = distro.repository(cache).ok_or_else(|| ProvisionError::NoRepository {
            what: PACKAGE.to_owned(),
            distro: distro.name().to_owned(),
            hint: "use another --driver than igb_uio",
        })?;
        for file in repository.download(&[PACKAGE.to_owned()], progress)? {
            repository.unpack(&file, partial)?;
        }
        find(partial).map(drop)
    })?;
    find(&folder)
}

/// Finds the sources in usr/src/NAME-VERSION.
fn find(folder: &Path) -> Result<ModuleSource, ProvisionError> {
    entries(&folder.join("usr/src"))?
        .into_iter()
        .find(|sources| FILES.iter().all(|file| sources.join(file).is_file()))
        .map(|folder| ModuleSource { name: "igb_uio", folder, files: &FILES })
        .ok_or_else(|| ProvisionError::Kernel {
            path: folder.to_path_buf(),
            why: format!("{PACKAGE} lacks {}", FILES.join(", ")),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_complete_sources_of_any_version() {
        let root = tempfile::tempdir().unwrap();
        let sources = root.path().join("usr/src/dpdk-kmods-0~20220829+git");
        std::fs::create_dir_all(&sources).unwrap();
        for file in FILES {
            assert!(find(root.path()).unwrap_err().to_string().contains("igb_uio.c"));
            std::fs::write(sources.join(file), "").unwrap();
        }
        assert_eq!(find(root.path()).unwrap().folder, sources);
    }
}
