//! The Linux distribution of the host: `distro` has its properties, `tool` the packages of each tool; `apt` and `rpm` download
//! packages through the trait of `repository`.

mod apt;
pub(crate) mod distro;
pub(crate) mod repository;
mod rpm;
pub(crate) mod tool;

use std::fs;

pub(crate) use distro::HostDistro;

/// Detects the distribution of this host.
pub(crate) fn detect() -> HostDistro {
    let text = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    HostDistro::from_os_release(&text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(os_release: &str) -> Option<String> {
        let distro = HostDistro::from_os_release(os_release);
        let packages: Vec<String> =
            tool::GUEST.iter().filter(|tool| tool.name != "cc").filter_map(|tool| distro.package(tool)).collect();
        distro.install(&packages)
    }

    #[test]
    fn debian_and_derivatives_use_apt() {
        let apt = "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
                   qemu-system-x86 libc6-dev";
        for text in ["ID=debian\n", "ID=ubuntu\nID_LIKE=debian\n", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"] {
            assert_eq!(install(text).as_deref(), Some(apt), "{text}");
        }
    }

    #[test]
    fn fedora_and_derivatives_use_dnf() {
        for text in ["ID=fedora\n", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"] {
            let dnf = "dnf install --assumeyes --setopt=install_weak_deps=False qemu-system-x86-core glibc-static";
            assert_eq!(install(text).as_deref(), Some(dnf), "{text}");
        }
    }

    #[test]
    fn unknown_distribution_has_only_a_name() {
        let text = "ID=arch\nPRETTY_NAME=\"Arch Linux\"\n";
        assert_eq!(HostDistro::from_os_release(text).name, "Arch Linux");
        assert_eq!(install(text), None);
        assert_eq!(HostDistro::from_os_release("").name, "an unknown distribution");
    }

    #[test]
    fn fedora_names_headers_without_the_architecture() {
        let fedora = HostDistro::from_os_release("ID=fedora\n");
        let package = fedora.headers_package("6.11.4-301.fc41.x86_64");
        assert_eq!(package.as_deref(), Some("kernel-devel-6.11.4-301.fc41"));
    }
}
