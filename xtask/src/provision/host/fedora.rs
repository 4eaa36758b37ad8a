//! Fedora and its derivatives. Modelled on dnf's documentation; never run on Fedora.

use super::distro::{HostDistro, Repository, Tool};
use super::rpm::Dnf;
use crate::provision::cache::Cache;

/// Fedora, RHEL and distributions derived from them.
#[derive(Debug)]
pub(crate) struct Fedora {
    name: String,
}

impl Fedora {
    /// `name` is for messages.
    pub(crate) fn new(name: String) -> Self {
        Self { name }
    }
}

impl HostDistro for Fedora {
    fn name(&self) -> &str {
        &self.name
    }

    fn package(&self, tool: &Tool) -> Option<String> {
        let package = match tool {
            Tool::Qemu => "qemu-system-x86-core",
            // Fedora has one compiler, which also built its kernels.
            Tool::Cc | Tool::Gcc | Tool::Compiler(_) => "gcc",
            Tool::Make => "make",
            Tool::Strip => "binutils",
            Tool::LibElf => "elfutils-libelf",
            Tool::LibC => "glibc-static",
            Tool::Strace => "strace",
            Tool::Manager("rpm2cpio") => "rpm",
            Tool::Unpacker(name) | Tool::Manager(name) => name,
        };
        Some(package.to_owned())
    }

    fn install(&self, packages: &[String]) -> Option<Vec<String>> {
        let words = ["dnf", "install", "--assumeyes", "--setopt=install_weak_deps=False"];
        Some(words.into_iter().map(str::to_owned).chain(packages.iter().cloned()).collect())
    }

    /// dnf refreshes its lists by itself.
    fn refresh(&self) -> Option<Vec<String>> {
        None
    }

    fn has_lists(&self) -> bool {
        true
    }

    fn headers_package(&self, release: &str) -> Option<String> {
        let release = release.strip_suffix(".x86_64").unwrap_or(release);
        Some(format!("kernel-devel-{release}"))
    }

    fn busybox_package(&self) -> &'static str {
        "busybox"
    }

    fn repository_tools(&self) -> Vec<Tool> {
        vec![Tool::Manager("dnf"), Tool::Manager("rpm2cpio"), Tool::Manager("cpio"), Tool::Unpacker("xz")]
    }

    fn repository<'a>(&'a self, cache: &'a Cache) -> Option<Box<dyn Repository + 'a>> {
        Some(Box::new(Dnf::new(cache)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_named_for_the_release_without_architecture() {
        let fedora = Fedora::new("Fedora".to_owned());
        let package = fedora.headers_package("6.11.4-301.fc41.x86_64");
        assert_eq!(package.as_deref(), Some("kernel-devel-6.11.4-301.fc41"));
    }
}
