//! Lists the kernels and QEMU versions of the package lists, from the output of apt-cache and `apt-get -s`.

use super::kernel_packages::release_of;
use crate::provision::host::repository::EmulatorSource;

/// The kernel flavours for guests: Debian's, then Ubuntu's.
const FLAVOURS: [&str; 2] = ["-amd64", "-generic"];
/// Debian's other flavours, whose names have the same suffix.
const OTHER_FLAVOURS: [&str; 2] = ["-cloud-amd64", "-rt-amd64"];
/// The C library, which must match the host's dynamic loader.
const LIBC: &str = "libc6";

/// A version of a package, with the suite that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfferedVersion {
    pub(super) number: String,
    pub(super) installed: bool,
    /// Such as `bookworm-backports`; `None` if only the installed package has this version.
    pub(super) suite: Option<String>,
}

/// The kernel images in the output of `apt-cache pkgnames`, newest first within each series such as 6.12.
pub(super) fn images_by_series(listed: &str) -> Vec<Vec<String>> {
    let mut images: Vec<(Vec<u64>, &str)> = listed
        .lines()
        .map(str::trim)
        .filter_map(|image| Some((numbers(release_of(image)?), image)))
        .filter(|(_, image)| FLAVOURS.iter().any(|flavour| image.ends_with(flavour)))
        .filter(|(_, image)| !OTHER_FLAVOURS.iter().any(|flavour| image.ends_with(flavour)))
        // `linux-image-6.12-amd64` is a metapackage of its series.
        .filter(|(numbers, _)| numbers.len() > 3)
        .collect();
    images.sort_unstable();
    images
        .chunk_by(|(a, _), (b, _)| a[..2] == b[..2])
        .map(|series| series.iter().rev().map(|(_, image)| (*image).to_owned()).collect())
        .collect()
}

/// All numbers in a version: 6.1.0-9 is older than 6.1.0-56.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// The newest version of each series in the output of `apt-cache policy PACKAGE`. An installed version represents its series.
pub(super) fn versions(policy: &str) -> Vec<OfferedVersion> {
    let mut all: Vec<OfferedVersion> = Vec::new();
    let table = policy.lines().skip_while(|line| line.trim() != "Version table:").skip(1);
    for line in table {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Sources are indented by eight blanks, versions by five.
        if line.starts_with("        ") {
            if let (Some(last), [_, _, suite, ..]) = (all.last_mut(), &words[..]) {
                last.suite.get_or_insert_with(|| suite.split('/').next().unwrap_or(suite).to_owned());
            }
        } else if let [.., version, _] = words[..] {
            let installed = line.starts_with(" ***");
            all.push(OfferedVersion { number: version.to_owned(), installed, suite: None });
        }
    }
    let mut newest: Vec<OfferedVersion> = Vec::new();
    for version in all.iter().filter(|version| version.installed).chain(&all) {
        if !newest.iter().any(|other| series(&other.number) == series(&version.number)) {
            newest.push(version.clone());
        }
    }
    newest
}

/// Major and minor number of the upstream version: 7.2 of `1:7.2+dfsg-7`.
fn series(version: &str) -> Vec<u64> {
    let upstream = version.split_once(':').map_or(version, |(_, upstream)| upstream);
    numbers(upstream).into_iter().take(2).collect()
}

/// The packages that a version of QEMU needs in addition to the installed ones, from the output of `apt-get -s install`.
pub(super) fn closure(simulated: &str) -> EmulatorSource {
    let mut packages = Vec::new();
    for line in simulated.lines() {
        let Some(rest) = line.strip_prefix("Inst ") else { continue };
        let name = rest.split([' ', ':']).next().unwrap_or(rest);
        let Some(new) = rest.split_once('(').and_then(|(_, new)| new.split_whitespace().next()) else { continue };
        if name == LIBC {
            let old = rest.split_once('[').and_then(|(_, old)| old.split(']').next()).unwrap_or("another version");
            return EmulatorSource::LeftOut(format!("needs {LIBC} {new}, but this host has {old}"));
        }
        packages.push(format!("{name}={new}"));
    }
    if packages.is_empty() {
        return EmulatorSource::LeftOut("apt-get lists no packages to install".to_owned());
    }
    EmulatorSource::Packages(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PKGNAMES: &str = include_str!("recorded/pkgnames.txt");
    const POLICY: &str = include_str!("recorded/policy-qemu.txt");
    const SIMULATED: &str = include_str!("recorded/simulate-qemu.txt");
    const BACKPORT: &str = "1:10.0.2+ds-2+deb13u1~bpo12+1";

    #[test]
    fn images_are_plain_flavours_newest_first() {
        let series = images_by_series(PKGNAMES);
        let first: Vec<&str> = series.iter().map(|images| images[0].as_str()).collect();
        assert_eq!(first, ["linux-image-6.1.0-56-amd64", "linux-image-6.12.117+deb12-amd64"]);
        let listed = "linux-image-6.1.0-9-amd64\nlinux-image-6.1.0-10-amd64\nlinux-image-6.8.0-31-generic\n\
                      linux-image-6.12-amd64\nlinux-image-amd64\nlinux-image-6.1.0-11-amd64-unsigned\n";
        assert_eq!(
            images_by_series(listed),
            [
                vec!["linux-image-6.1.0-10-amd64".to_owned(), "linux-image-6.1.0-9-amd64".to_owned()],
                vec!["linux-image-6.8.0-31-generic".to_owned()],
            ]
        );
    }

    #[test]
    fn offers_each_series_of_qemu_once() {
        let version = |number: &str, installed, suite: &str| OfferedVersion {
            number: number.to_owned(),
            installed,
            suite: Some(suite.to_owned()),
        };
        // Without 7.2+dfsg-7+deb12u15, which is older than the installed 7.2.
        assert_eq!(
            versions(POLICY),
            [version("1:7.2+dfsg-7+deb12u18+b3", true, "bookworm"), version(BACKPORT, false, "bookworm-backports")]
        );
    }

    #[test]
    fn without_installed_package_all_versions_are_candidates() {
        let none = POLICY.replace(" ***", "    ");
        assert!(versions(&none).iter().all(|version| !version.installed));
        assert_eq!(versions(&none).len(), 2);
        assert_eq!(versions("N: Unable to locate package x\n"), []);
    }

    #[test]
    fn closure_has_the_packages_that_apt_would_install() {
        let EmulatorSource::Packages(packages) = closure(SIMULATED) else { panic!("left out") };
        assert_eq!(
            packages,
            [
                format!("qemu-system-x86={BACKPORT}"),
                format!("qemu-system-common={BACKPORT}"),
                format!("qemu-system-data={BACKPORT}"),
                "seabios=1.16.3-2~bpo12+1".to_owned(),
            ]
        );
    }

    #[test]
    fn closure_with_another_libc_is_left_out() {
        let libc = format!("{SIMULATED}Inst libc6 [2.36-9+deb12u14] (2.41-12 Debian:13/stable [amd64]) []\n");
        let EmulatorSource::LeftOut(why) = closure(&libc) else { panic!("offered") };
        assert_eq!(why, "needs libc6 2.41-12, but this host has 2.36-9+deb12u14");
        assert!(matches!(closure(""), EmulatorSource::LeftOut(_)));
        // Another package whose name begins alike.
        let dev = format!("{SIMULATED}Inst libc6-dev [1] (2 Debian:13/stable [amd64]) []\n");
        assert!(matches!(closure(&dev), EmulatorSource::Packages(_)));
    }
}
