//! The guest's kernel and its modules.
//!
//! `packaged` unpacks the distribution's kernel, `custom` checks one from `--kernel`; `bzimage` reads images. `module_tree` finds
//! the kernel's modules, `module_build` builds `uio_pci_msix` and `igb_uio` against its `headers`.

pub(crate) mod bzimage;
pub(crate) mod custom;
pub(crate) mod headers;
pub(crate) mod igb_uio;
pub(crate) mod module_build;
pub(crate) mod module_tree;
pub(crate) mod packaged;

use std::path::PathBuf;

use super::cache::Cache;

/// A kernel with its modules and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// For `qemu -kernel`: the uncompressed kernel (entered through PVH) if possible, otherwise the bzImage.
    pub(crate) image: PathBuf,
    /// The output of `uname -r`.
    pub(crate) release: String,
    /// The build of the release: the package's version, or a digest of the image.
    pub(crate) version: String,
    /// A directory like /lib/modules/RELEASE.
    pub(crate) modules: PathBuf,
    /// The headers, if there are any.
    pub(crate) headers: Option<PathBuf>,
}

/// The uncompressed kernel of a bzImage, cached under `name`.
pub(crate) fn direct_kernel(cache: &Cache, name: &str, image: &[u8]) -> anyhow::Result<Option<PathBuf>> {
    let path = cache.path(name);
    if path.is_file() {
        return Ok(Some(path));
    }
    match bzimage::direct_kernel(image, cache.path("").as_path())? {
        Some(kernel) => cache.replace(name, &kernel).map(Some),
        None => Ok(None),
    }
}
