//! The Linux distribution of the host: the packages of the programs that a run needs, the command that installs them, and
//! where the guest's kernel comes from.

mod apt;
mod debian;
mod fedora;
mod rpm;
mod unknown;

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::error::ProvisionError;

pub(crate) use debian::Debian;

/// The cache's entry for downloads. It can be removed once all packages are unpacked.
pub(crate) const DOWNLOADS: &str = "download";

/// Something that a run needs of the host, whatever package provides it.
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

    /// What it is needed for.
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

    /// Whether it is a file in a library folder instead of a program.
    pub(crate) fn is_library(&self) -> bool {
        matches!(self, Self::LibElf | Self::LibC)
    }
}

/// A kernel as its distribution packs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelPackages {
    /// The output of `uname -r` under it.
    pub(crate) release: String,
    /// The package's version, which changes more often than the release.
    pub(crate) version: String,
    /// The image, its modules, and the headers and tools that build others.
    pub(crate) names: Vec<String>,
    /// Bytes to download; 0 if unknown.
    pub(crate) size: u64,
}

/// A version of QEMU that the package lists offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Emulator {
    /// The one on this machine's search path.
    Installed {
        /// The package's version.
        version: String,
    },
    /// One that runs with the libraries of these packages and of the host.
    Packages {
        /// The version of QEMU's package.
        version: String,
        /// What to download.
        packages: Vec<String>,
    },
    /// One that cannot run here.
    LeftOut {
        /// The version of QEMU's package.
        version: String,
        /// The reason.
        why: String,
    },
}

/// What is specific to a distribution.
pub(crate) trait HostDistro {
    /// Its name, for messages.
    fn name(&self) -> &str;
    /// The package that provides `tool`; `None` if this program does not know it.
    fn package(&self, tool: &Tool) -> Option<String>;
    /// The command that installs packages without asking; `None` if this program does not know it.
    fn install(&self, packages: &[String]) -> Option<Vec<String>>;
    /// The command that refreshes the lists of available packages, where installing does not do that by itself.
    fn refresh(&self) -> Option<Vec<String>>;
    /// Whether there are such lists.
    fn has_lists(&self) -> bool;
    /// The package with the headers of kernel `release`.
    fn headers_package(&self, release: &str) -> Option<String>;
    /// The package with a static busybox.
    fn busybox_package(&self) -> &'static str;
    /// The programs that `repository` runs.
    fn repository_tools(&self) -> Vec<Tool>;
    /// Where kernels and other packages come from; `None`: kernels must be named with `--kernel` and `--modules`.
    fn repository<'a>(&'a self, cache: &'a Cache) -> Option<Box<dyn Repository + 'a>>;
}

/// Downloads packages without installing them.
pub(crate) trait Repository {
    /// The newest kernel.
    fn newest_kernel(&mut self, progress: &dyn Fn(&str)) -> Result<KernelPackages, ProvisionError>;
    /// The newest kernel of each series that the package lists have; none if this program cannot list them.
    fn kernels(&mut self, _progress: &dyn Fn(&str)) -> Result<Vec<KernelPackages>, ProvisionError> {
        Ok(Vec::new())
    }
    /// The newest QEMU of each series that the package lists have; none if this program cannot list them.
    fn emulators(&mut self) -> Result<Vec<Emulator>, ProvisionError> {
        Ok(Vec::new())
    }
    /// Downloads packages and returns the files. Files that an earlier attempt downloaded are used again.
    fn download(&mut self, names: &[String], progress: &dyn Fn(&str)) -> Result<Vec<PathBuf>, ProvisionError>;
    /// Unpacks a package's files below `root`.
    fn unpack(&self, package: &Path, root: &Path) -> Result<(), ProvisionError>;
}

/// The distribution of this host.
pub(crate) fn detect() -> Box<dyn HostDistro> {
    let text = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    from_os_release(&text.unwrap_or_default())
}

/// The distribution that `text`, the content of os-release(5), names; else one that it is derived from.
fn from_os_release(text: &str) -> Box<dyn HostDistro> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim().trim_matches(['"', '\'']).to_owned())
    };
    let name = value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_else(|| "an unknown distribution".to_owned());
    let ids = format!("{} {}", value("ID").unwrap_or_default(), value("ID_LIKE").unwrap_or_default());
    for id in ids.split_whitespace() {
        match id {
            "debian" | "ubuntu" => return Box::new(Debian::new(name)),
            "fedora" | "rhel" | "centos" => return Box::new(fedora::Fedora::new(name)),
            _ => {}
        }
    }
    Box::new(unknown::Unknown::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(os_release: &str) -> Option<String> {
        let distro = from_os_release(os_release);
        let packages: Vec<String> = [Tool::Qemu, Tool::LibC].iter().filter_map(|tool| distro.package(tool)).collect();
        distro.install(&packages).map(|words| words.join(" "))
    }

    #[test]
    fn debian_and_its_derivatives_install_by_apt() {
        let apt = "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
                   qemu-system-x86 libc6-dev";
        for text in ["ID=debian\n", "ID=ubuntu\nID_LIKE=debian\n", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"] {
            assert_eq!(install(text).as_deref(), Some(apt), "{text}");
        }
    }

    #[test]
    fn fedora_and_its_derivatives_install_by_dnf() {
        for text in ["ID=fedora\n", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"] {
            let dnf = "dnf install --assumeyes --setopt=install_weak_deps=False qemu-system-x86-core glibc-static";
            assert_eq!(install(text).as_deref(), Some(dnf), "{text}");
        }
    }

    #[test]
    fn an_unknown_distribution_has_a_name_and_no_command() {
        let text = "ID=arch\nPRETTY_NAME=\"Arch Linux\"\n";
        assert_eq!(from_os_release(text).name(), "Arch Linux");
        assert_eq!(install(text), None);
        assert_eq!(from_os_release("").name(), "an unknown distribution");
    }
}
