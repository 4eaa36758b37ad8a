//! `igb_uio` from Debian's package of DPDK's kernel modules. The package contains sources for dkms; they are built here like
//! `uio_pci_msix`.

use std::path::Path;

use anyhow::Context as _;

use super::module_build::ModuleSource;
use crate::files::entries;
use crate::provision::cache::Cache;
use crate::provision::host::HostDistro;

const PACKAGE: &str = "dpdk-kmods-dkms";
/// The cache entry of the unpacked package.
const ENTRY: &str = "dpdk-kmods";
/// The sources that a build needs.
const FILES: [&str; 3] = ["Kbuild", "compat.h", "igb_uio.c"];

/// The module's sources. The first call downloads them.
pub(crate) fn fetch(cache: &Cache, distro: &HostDistro, progress: &dyn Fn(&str)) -> anyhow::Result<ModuleSource> {
    let folder = cache.folder(ENTRY, |partial| {
        progress("downloading the sources of igb_uio, 10 kB (only once)");
        let mut repository = distro.repository(cache, PACKAGE, "use another --driver than igb_uio")?;
        repository.fetch(&[PACKAGE.to_owned()], partial, progress)?;
        find(partial).map(drop)
    })?;
    find(&folder)
}

/// Finds the sources in usr/src/NAME-VERSION.
fn find(folder: &Path) -> anyhow::Result<ModuleSource> {
    entries(&folder.join("usr/src"))?
        .into_iter()
        .find(|sources| FILES.iter().all(|file| sources.join(file).is_file()))
        .map(|folder| ModuleSource { name: "igb_uio", folder, files: &FILES })
        .with_context(|| format!("{}: {PACKAGE} lacks {}", folder.display(), FILES.join(", ")))
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
