//! The packages of a kernel: the dependency closure of image and headers.

use super::package_record::PackageRecord;
use crate::provision::host::repository::KernelPackages;

/// The metapackages of the newest kernel: Debian's, then Ubuntu's.
pub(super) const KERNEL_METAPACKAGES: [&str; 3] = ["linux-image-amd64", "linux-image-virtual", "linux-image-generic"];
/// Prefixes, before a version, of packages with parts of a kernel or of its build system. Other dependencies of a kernel (kmod,
/// linux-base, an initramfs generator) serve its installation.
const PARTS: [&str; 6] =
    ["linux-image-", "linux-binary-", "linux-modules-", "linux-base-", "linux-headers-", "linux-kbuild-"];
/// Words between such a prefix and the version, in Ubuntu's names and in those of unsigned kernels.
const QUALIFIERS: [&str; 2] = ["unsigned-", "extra-"];

/// A lookup of one package; `None` if the package lists do not have it.
pub(super) type Show<'a> = &'a dyn Fn(&str) -> anyhow::Result<Option<PackageRecord>>;

/// The newest kernel with headers, if the package lists have one.
pub(super) fn newest_kernel(show: Show<'_>) -> anyhow::Result<Option<KernelPackages>> {
    for package in KERNEL_METAPACKAGES {
        let Some(meta) = show(package)? else { continue };
        let images = meta.depends.iter().filter_map(|name| release_of(name).map(|release| (name, release)));
        for (image, release) in images {
            if let Some(packages) = kernel(show, image, release)? {
                return Ok(Some(packages));
            }
        }
    }
    Ok(None)
}

/// The packages of a kernel: those of the dependency closure of image and headers that contain parts of the kernel.
/// `None` if the image or the headers are missing in the package lists.
pub(super) fn kernel(show: Show<'_>, image: &str, release: &str) -> anyhow::Result<Option<KernelPackages>> {
    let headers = format!("linux-headers-{release}");
    let Some(version) = show(image)?.map(|record| record.version) else { return Ok(None) };
    if show(&headers)?.is_none() {
        return Ok(None);
    }
    // Ubuntu has UIO in a package that the image does not depend on.
    let mut open = vec![image.to_owned(), headers, format!("linux-modules-extra-{release}")];
    let mut packages = KernelPackages { release: release.to_owned(), version, names: Vec::new(), size: 0 };
    while let Some(name) = open.pop() {
        if packages.names.contains(&name) {
            continue;
        }
        let Some(record) = show(&name)? else { continue };
        packages.size += record.size;
        packages.names.push(name);
        open.extend(record.depends.into_iter().filter(|name| holds_a_part(name)));
    }
    packages.names.sort();
    Ok(Some(packages))
}

/// The release in an image's name, such as `6.1.0-56-amd64`; `None` for a metapackage.
pub(super) fn release_of(image: &str) -> Option<&str> {
    versioned(image.strip_prefix("linux-image-")?)
}

fn holds_a_part(package: &str) -> bool {
    PARTS.iter().any(|prefix| package.strip_prefix(prefix).and_then(versioned).is_some())
}

fn versioned(rest: &str) -> Option<&str> {
    let rest = QUALIFIERS.iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    rest.starts_with(|first: char| first.is_ascii_digit()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKWORM: &str = include_str!("recorded/bookworm.txt");
    const TRIXIE: &str = include_str!("recorded/trixie.txt");
    const SID: &str = include_str!("recorded/sid.txt");

    /// A lookup in recorded output of `apt-cache show`.
    fn show(recorded: &str) -> impl Fn(&str) -> anyhow::Result<Option<PackageRecord>> {
        |package: &str| {
            let first = format!("Package: {package}\n");
            Ok(recorded
                .split_inclusive("\n\n")
                .find(|stanza| stanza.starts_with(&first))
                .and_then(PackageRecord::parse))
        }
    }

    fn newest(recorded: &str) -> Option<KernelPackages> {
        newest_kernel(&show(recorded)).unwrap()
    }

    #[test]
    fn debian_12_has_image_headers_and_kbuild() {
        let packages = newest(BOOKWORM).unwrap();
        assert_eq!(packages.release, "6.1.0-56-amd64");
        assert_eq!(packages.version, "6.1.192-2");
        assert_eq!(
            packages.names,
            [
                "linux-headers-6.1.0-56-amd64",
                "linux-headers-6.1.0-56-common",
                "linux-image-6.1.0-56-amd64",
                "linux-kbuild-6.1",
            ]
        );
        assert_eq!(packages.size, 70_550_672 + 1_841_552 + 10_533_276 + 1_567_812);
    }

    #[test]
    fn debian_13_has_the_same_parts() {
        let packages = newest(TRIXIE).unwrap();
        assert_eq!(
            packages.names,
            [
                "linux-headers-6.12.118+deb13-amd64",
                "linux-headers-6.12.118+deb13-common",
                "linux-image-6.12.118+deb13-amd64",
                "linux-kbuild-6.12.118+deb13",
            ]
        );
    }

    #[test]
    fn debian_sid_splits_the_image_into_packages() {
        let packages = newest(SID).unwrap();
        assert_eq!(packages.release, "7.2.13+deb14-amd64");
        assert_eq!(
            packages.names,
            [
                "linux-base-7.2.13+deb14-amd64",
                "linux-binary-7.2.13+deb14-amd64",
                "linux-headers-7.2.13+deb14-amd64",
                "linux-headers-7.2.13+deb14-common",
                "linux-image-7.2.13+deb14-amd64",
                "linux-kbuild-7.2.13+deb14",
                "linux-modules-7.2.13+deb14-amd64",
            ]
        );
    }

    #[test]
    fn kernel_without_headers_is_not_offered() {
        let without = SID.replace("Package: linux-headers-", "Package: other-headers-");
        assert_eq!(newest(&without), None);
    }

    #[test]
    fn first_stanza_is_the_candidate() {
        let record = PackageRecord::parse(&format!("{BOOKWORM}\n\n{TRIXIE}")).unwrap();
        assert_eq!(record.version, "6.1.192-2");
        assert_eq!(record.depends, ["linux-image-6.1.0-56-amd64"]);
    }

    #[test]
    fn size_is_the_download_size() {
        let image = show(BOOKWORM)("linux-image-6.1.0-56-amd64").unwrap().unwrap();
        assert_eq!(image.size, 70_550_672);
    }

    #[test]
    fn dependencies_lose_versions_and_alternatives() {
        let image = show(BOOKWORM)("linux-image-6.1.0-56-amd64").unwrap().unwrap();
        assert_eq!(image.depends, ["kmod", "linux-base", "initramfs-tools"]);
    }

    #[test]
    fn installation_helpers_are_not_parts_of_a_kernel() {
        for package in
            ["linux-base", "linux-base-amd64", "kmod", "pahole", "linux-compiler-gcc-12-x86", "linux-libc-dev"]
        {
            assert!(!holds_a_part(package), "{package}");
        }
        for package in ["linux-modules-extra-6.8.0-31-generic", "linux-headers-6.8.0-31", "linux-kbuild-6.1"] {
            assert!(holds_a_part(package), "{package}");
        }
    }

    #[test]
    fn unknown_packages_give_no_record() {
        assert_eq!(PackageRecord::parse(""), None);
        assert_eq!(PackageRecord::parse("N: Unable to locate package x\n"), None);
    }

    #[test]
    fn only_versioned_images_are_kernels() {
        assert_eq!(release_of("linux-image-unsigned-6.8.0-31-generic"), Some("6.8.0-31-generic"));
        assert_eq!(release_of("linux-image-generic-hwe-24.04"), None);
        assert_eq!(release_of("linux-base"), None);
    }
}
