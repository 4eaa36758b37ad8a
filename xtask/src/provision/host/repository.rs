//! Downloads packages without installing them.

use std::path::{Path, PathBuf};

use crate::exit_status::missing_dependency;

/// The cache entry of downloads. It can be removed once all packages are unpacked.
pub(crate) const DOWNLOADS: &str = "download";

/// The packages of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelPackages {
    /// The output of `uname -r` under it.
    pub(crate) release: String,
    /// The package's version, which changes more often than the release.
    pub(crate) version: String,
    /// Image, modules, headers and build tools.
    pub(crate) names: Vec<String>,
    /// Bytes to download; 0 if unknown.
    pub(crate) size: u64,
}

/// A version of QEMU that the package lists offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Emulator {
    /// The version of QEMU's package.
    pub(crate) version: String,
    /// Whether it can run on this host.
    pub(crate) source: EmulatorSource,
}

/// How to get a version of QEMU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EmulatorSource {
    /// It is installed.
    Installed,
    /// It runs with the libraries of these packages and of the host.
    Packages(Vec<String>),
    /// It cannot run on this host, for this reason.
    LeftOut(String),
}

/// Packages of a distribution.
pub(crate) trait Repository {
    /// The newest kernel.
    fn newest_kernel(&mut self, progress: &dyn Fn(&str)) -> anyhow::Result<KernelPackages>;
    /// The newest kernel of each series in the package lists; empty if listing is not supported.
    fn kernels(&mut self, _progress: &dyn Fn(&str)) -> anyhow::Result<Vec<KernelPackages>> {
        Ok(Vec::new())
    }
    /// The newest QEMU of each series in the package lists; empty if listing is not supported.
    fn emulators(&mut self) -> anyhow::Result<Vec<Emulator>> {
        Ok(Vec::new())
    }
    /// Downloads packages and returns the files. Earlier downloads are reused.
    fn download(&mut self, names: &[String], progress: &dyn Fn(&str)) -> anyhow::Result<Vec<PathBuf>>;
    /// Unpacks a package's files below `root`.
    fn unpack(&self, package: &Path, root: &Path) -> anyhow::Result<()>;
    /// Downloads packages and unpacks their files below `root`.
    fn fetch(&mut self, names: &[String], root: &Path, progress: &dyn Fn(&str)) -> anyhow::Result<()> {
        self.download(names, progress)?.iter().try_for_each(|file| self.unpack(file, root))
    }
}

/// The package is missing in the package lists, even after an update.
pub(super) fn no_such_package(package: &str) -> anyhow::Error {
    missing_dependency(format!(
        "package {package} is not in the package lists; check the sources of the package manager, \
         or specify a kernel with --kernel FILE --modules DIR"
    ))
}

/// A download failed, even after an update of the package lists. `check`: what to check besides the network.
pub(super) fn download_failed(packages: &str, output: &str, check: &str) -> anyhow::Error {
    missing_dependency(format!(
        "downloading {packages} failed:\n{output}\ncheck the network and {check}, then run again; \
         finished downloads are kept"
    ))
}
