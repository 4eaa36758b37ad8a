//! The tools that a run needs, and the traits of a distribution: package names and downloads.

use std::path::{Path, PathBuf};

use crate::provision::cache::Cache;
use crate::provision::error::ProvisionError;

/// The cache entry of downloads. It can be removed once all packages are unpacked.
pub(crate) const DOWNLOADS: &str = "download";

/// A tool that a run needs, independent of its package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Runs the guest.
    Qemu,
    /// Links the guest's programs.
    Cc,
    /// Builds kernel modules.
    Gcc,
    /// Builds kernel modules.
    Make,
    /// Builds kernel modules.
    Strip,
    /// A library of objtool, which checks kernel modules.
    LibElf,
    /// The C library's archive, for static programs.
    LibC,
    /// Counts system calls in tests.
    Strace,
    /// A compiler by name, such as `gcc-12`: the one that built the guest's kernel.
    Compiler(String),
    /// Unpacks files: `xz`, `zstd` or `gzip`.
    Unpacker(&'static str),
    /// A program of the distribution's own package manager.
    Manager(&'static str),
}

impl Tool {
    /// The program's or the library's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Qemu => "qemu-system-x86_64",
            Self::Cc => "cc",
            Self::Gcc => "gcc",
            Self::Make => "make",
            Self::Strip => "strip",
            Self::LibElf => "libelf.so.1",
            Self::LibC => "libc.a",
            Self::Strace => "strace",
            Self::Compiler(name) => name,
            Self::Unpacker(name) | Self::Manager(name) => name,
        }
    }

    /// Its purpose, for messages.
    pub(crate) fn purpose(&self) -> &'static str {
        match self {
            Self::Qemu => "runs the guest",
            Self::Cc => "links the guest's programs",
            Self::Gcc | Self::Make | Self::Strip => "builds the guest's kernel module",
            Self::LibElf => "checks the guest's kernel module (objtool)",
            Self::LibC => "makes the guest's program static",
            Self::Strace => "counts the initiator's system calls",
            Self::Compiler(_) => "the compiler of the guest's kernel",
            Self::Unpacker(_) => "unpacks the guest's kernel and its modules",
            Self::Manager(_) => "fetches and unpacks the guest's kernel",
        }
    }

    /// Whether it is a library instead of a program.
    pub(crate) fn is_library(&self) -> bool {
        matches!(self, Self::LibElf | Self::LibC)
    }
}

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
pub(crate) enum Emulator {
    /// The installed version.
    Installed {
        /// The package's version.
        version: String,
    },
    /// A version that runs with the libraries of these packages and of the host.
    Packages {
        /// The version of QEMU's package.
        version: String,
        /// What to download.
        packages: Vec<String>,
    },
    /// A version that cannot run on this host.
    LeftOut {
        /// The version of QEMU's package.
        version: String,
        /// The reason.
        why: String,
    },
}

/// A Linux distribution.
pub(crate) trait HostDistro {
    /// Its name, for messages.
    fn name(&self) -> &str;
    /// The package that provides `tool`; `None` if unknown.
    fn package(&self, tool: &Tool) -> Option<String>;
    /// The command that installs packages without asking; `None` if unknown.
    fn install(&self, packages: &[String]) -> Option<Vec<String>>;
    /// The command that updates the package lists; `None` if installing does it.
    fn refresh(&self) -> Option<Vec<String>>;
    /// Whether there are package lists.
    fn has_lists(&self) -> bool;
    /// The package with the headers of kernel `release`.
    fn headers_package(&self, release: &str) -> Option<String>;
    /// The package with a static busybox.
    fn busybox_package(&self) -> &'static str;
    /// The programs that `repository` runs.
    fn repository_tools(&self) -> Vec<Tool>;
    /// The source of kernels and other packages; `None`: kernels need `--kernel` and `--modules`.
    fn repository<'a>(&'a self, cache: &'a Cache) -> Option<Box<dyn Repository + 'a>>;
}

/// Downloads packages without installing them.
pub(crate) trait Repository {
    /// The newest kernel.
    fn newest_kernel(&mut self, progress: &dyn Fn(&str)) -> Result<KernelPackages, ProvisionError>;
    /// The newest kernel of each series in the package lists; empty if listing is not supported.
    fn kernels(&mut self, _progress: &dyn Fn(&str)) -> Result<Vec<KernelPackages>, ProvisionError> {
        Ok(Vec::new())
    }
    /// The newest QEMU of each series in the package lists; empty if listing is not supported.
    fn emulators(&mut self) -> Result<Vec<Emulator>, ProvisionError> {
        Ok(Vec::new())
    }
    /// Downloads packages and returns the files. Earlier downloads are reused.
    fn download(&mut self, names: &[String], progress: &dyn Fn(&str)) -> Result<Vec<PathBuf>, ProvisionError>;
    /// Unpacks a package's files below `root`.
    fn unpack(&self, package: &Path, root: &Path) -> Result<(), ProvisionError>;
}
