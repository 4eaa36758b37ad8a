//! Debian and its derivatives.

use std::fs;

use super::apt::Apt;
use super::distro::{HostDistro, Repository, Tool};
use crate::provision::cache::Cache;

/// Debian, Ubuntu and distributions derived from them.
#[derive(Debug)]
pub(crate) struct Debian {
    name: String,
}

impl Debian {
    /// With a name for messages.
    pub(crate) fn new(name: String) -> Self {
        Self { name }
    }
}

impl HostDistro for Debian {
    fn name(&self) -> &str {
        &self.name
    }

    fn package(&self, tool: &Tool) -> Option<String> {
        let package = match tool {
            Tool::Qemu => "qemu-system-x86",
            Tool::Cc | Tool::Gcc => "gcc",
            Tool::Make => "make",
            Tool::Strip => "binutils",
            Tool::LibElf => "libelf1",
            Tool::LibC => "libc6-dev",
            Tool::Strace => "strace",
            Tool::Compiler(name) => name,
            Tool::Unpacker("xz") => "xz-utils",
            Tool::Unpacker(name) => name,
            Tool::Manager("dpkg-deb") => "dpkg",
            Tool::Manager(_) => "apt",
        };
        Some(package.to_owned())
    }

    fn install(&self, packages: &[String]) -> Option<Vec<String>> {
        let mut words = apt_get(&["install", "--yes", "--no-install-recommends"]);
        words.extend(packages.iter().cloned());
        Some(words)
    }

    fn refresh(&self) -> Option<Vec<String>> {
        Some(apt_get(&["update"]))
    }

    fn has_lists(&self) -> bool {
        fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
        })
    }

    fn headers_package(&self, release: &str) -> Option<String> {
        Some(format!("linux-headers-{release}"))
    }

    fn busybox_package(&self) -> &'static str {
        "busybox-static"
    }

    fn repository_tools(&self) -> Vec<Tool> {
        vec![Tool::Manager("apt-get"), Tool::Manager("dpkg-deb"), Tool::Unpacker("xz")]
    }

    fn repository<'a>(&'a self, cache: &'a Cache) -> Option<Box<dyn Repository + 'a>> {
        Some(Box::new(Apt::new(cache)))
    }
}

fn apt_get(arguments: &[&str]) -> Vec<String> {
    let words = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    words.iter().chain(arguments).map(|word| (*word).to_owned()).collect()
}
