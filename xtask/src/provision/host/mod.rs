//! The Linux distribution of the host. `distro` defines the traits, `debian`, `fedora` and `unknown` implement them; `apt` and
//! `rpm` download packages.

mod apt;
mod debian;
pub(crate) mod distro;
mod fedora;
mod rpm;
mod unknown;

use std::fs;

pub(crate) use debian::Debian;
use distro::HostDistro;

/// Detects the distribution of this host.
pub(crate) fn detect() -> Box<dyn HostDistro> {
    let text = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    from_os_release(&text.unwrap_or_default())
}

/// The distribution of `text`, the content of os-release(5), or one that it is derived from.
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
    use super::distro::Tool;
    use super::*;

    fn install(os_release: &str) -> Option<String> {
        let distro = from_os_release(os_release);
        let packages: Vec<String> = [Tool::Qemu, Tool::LibC].iter().filter_map(|tool| distro.package(tool)).collect();
        distro.install(&packages).map(|words| words.join(" "))
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
        assert_eq!(from_os_release(text).name(), "Arch Linux");
        assert_eq!(install(text), None);
        assert_eq!(from_os_release("").name(), "an unknown distribution");
    }
}
