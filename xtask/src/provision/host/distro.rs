//! The Linux distribution of the host: package names, and the commands of its package manager.

use std::fs;

use super::apt::Apt;
use super::repository::Repository;
use super::rpm::Dnf;
use super::tool::Tool;
use crate::exit_status::missing_dependency;
use crate::provision::cache::Cache;

/// The distribution.
#[derive(Debug)]
pub(crate) struct HostDistro {
    /// For messages.
    pub(crate) name: String,
    /// `None`: unknown. Missing tools are named, but not installed.
    pub(crate) family: Option<Family>,
}

/// Distributions with the same package manager and the same names of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Debian, Ubuntu and distributions derived from them.
    Debian,
    /// Fedora, RHEL and distributions derived from them. Modelled on dnf's documentation; never run on Fedora.
    Fedora,
}

impl HostDistro {
    /// The distribution of `text`, the content of os-release(5), or one that it is derived from.
    pub(super) fn from_os_release(text: &str) -> Self {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(line.trim().trim_matches(['"', '\'']).to_owned())
        };
        let name = value("PRETTY_NAME").or_else(|| value("NAME"));
        let ids = format!("{} {}", value("ID").unwrap_or_default(), value("ID_LIKE").unwrap_or_default());
        let family = ids.split_whitespace().find_map(|id| match id {
            "debian" | "ubuntu" => Some(Family::Debian),
            "fedora" | "rhel" | "centos" => Some(Family::Fedora),
            _ => None,
        });
        Self { name: name.unwrap_or_else(|| "an unknown distribution".to_owned()), family }
    }

    /// The package that provides `tool`; `None` if unknown.
    pub(crate) fn package(&self, tool: &Tool) -> Option<String> {
        self.family.map(|family| match family {
            Family::Debian => tool.debian.clone().into_owned(),
            Family::Fedora => tool.fedora.to_owned(),
        })
    }

    /// The command that installs packages without asking; `None` if unknown.
    pub(crate) fn install(&self, packages: &[String]) -> Option<String> {
        let command = match self.family? {
            Family::Debian => "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends",
            Family::Fedora => "dnf install --assumeyes --setopt=install_weak_deps=False",
        };
        Some(format!("{command} {}", packages.join(" ")))
    }

    /// The command that updates the package lists; `None` if unknown, or if installing does it.
    pub(crate) fn refresh(&self) -> Option<&'static str> {
        (self.family == Some(Family::Debian)).then_some("env DEBIAN_FRONTEND=noninteractive apt-get update")
    }

    /// Whether there are package lists, or installing fetches them.
    pub(crate) fn has_lists(&self) -> bool {
        let is_list = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains("_Packages");
        self.family != Some(Family::Debian)
            || fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| entries.flatten().any(is_list))
    }

    /// The package with the headers of kernel `release`.
    pub(crate) fn headers_package(&self, release: &str) -> Option<String> {
        self.family.map(|family| match family {
            Family::Debian => format!("linux-headers-{release}"),
            Family::Fedora => format!("kernel-devel-{}", release.strip_suffix(".x86_64").unwrap_or(release)),
        })
    }

    /// The package with a static busybox.
    pub(crate) fn busybox_package(&self) -> &'static str {
        if self.family == Some(Family::Debian) { "busybox-static" } else { "busybox" }
    }

    /// The programs of the package manager that `repository` runs. A run needs them only for the distribution's packages.
    pub(crate) fn manager_tools(&self) -> Vec<Tool> {
        let managers = match self.family {
            None => return Vec::new(),
            Some(Family::Debian) => &[("apt-get", "apt"), ("dpkg-deb", "dpkg")][..],
            Some(Family::Fedora) => &[("dnf", "dnf"), ("rpm2cpio", "rpm"), ("cpio", "cpio")],
        };
        managers.iter().map(|(name, package)| Tool::manager(name, package)).collect()
    }

    /// All programs that `repository` runs.
    pub(crate) fn repository_tools(&self) -> Vec<Tool> {
        let unpacker = self.family.map(|_| Tool::unpacker("xz"));
        self.manager_tools().into_iter().chain(unpacker).collect()
    }

    /// The source of kernels and other packages. Without one, `what` cannot be downloaded, and `hint` is part of the error.
    pub(crate) fn repository<'a>(
        &self,
        cache: &'a Cache,
        what: &str,
        hint: &str,
    ) -> anyhow::Result<Box<dyn Repository + 'a>> {
        match self.family {
            Some(Family::Debian) => Ok(Box::new(Apt::new(cache))),
            Some(Family::Fedora) => Ok(Box::new(Dnf::new(cache))),
            None => Err(missing_dependency(format!("{what} cannot be downloaded on {}: {hint}", self.name))),
        }
    }
}
