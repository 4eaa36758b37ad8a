//! Packages of rpm distributions: dnf lists and downloads them, rpm2cpio and cpio unpack them. Modelled on the documentation of
//! these programs; never run on Fedora.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::repository::{DOWNLOADS, KernelPackages, Repository, download_failed, no_such_package};
use crate::files;
use crate::files::PathContext as _;
use crate::provision::cache::Cache;
use crate::provision::command;

/// The packages of a kernel: image, modules (UIO and VFIO are in the second or third), and headers.
const PARTS: [&str; 5] =
    ["kernel-core", "kernel-modules-core", "kernel-modules", "kernel-modules-extra", "kernel-devel"];
/// The query format of `dnf repoquery`.
const FORMAT: &str = "%{name} %{version}-%{release} %{arch} %{downloadsize}\n";

/// dnf, downloading into the cache.
pub(crate) struct Dnf<'a> {
    cache: &'a Cache,
}

impl<'a> Dnf<'a> {
    /// Downloads go to `cache`.
    pub(crate) fn new(cache: &'a Cache) -> Self {
        Self { cache }
    }
}

impl Repository for Dnf<'_> {
    fn newest_kernel(&mut self, progress: &dyn Fn(&str)) -> anyhow::Result<KernelPackages> {
        progress("looking up the newest kernel package");
        let mut dnf = Command::new("dnf");
        dnf.args(["repoquery", "--quiet", "--latest-limit=1", "--arch=x86_64", "--queryformat", FORMAT]).args(PARTS);
        let output = command::run("looking up the kernel's packages", self.cache.hold_while(&mut dnf)?)?;
        newest_kernel(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| no_such_package(PARTS[0]))
    }

    fn download(&mut self, names: &[String], progress: &dyn Fn(&str)) -> anyhow::Result<Vec<PathBuf>> {
        let folder = self.cache.path(DOWNLOADS).join("rpms");
        fs::create_dir_all(&folder).at("create", &folder)?;
        progress(&format!("dnf download {}", names.join(" ")));
        let mut dnf = Command::new("dnf");
        dnf.args(["download", "--assumeyes", "--arch=x86_64", "--destdir"]).arg(&folder).args(names);
        let failed = |output: &str| download_failed(&names.join(" "), output, "the sources that `dnf repolist` prints");
        command::stream(self.cache.hold_while(&mut dnf)?, &|_| {})?.map_err(|output| failed(&output))?;
        let mut found = files::entries(&folder)?;
        found.retain(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            names.iter().any(|name| is_package(&file, name))
        });
        if found.len() == names.len() {
            return Ok(found);
        }
        Err(failed(&format!("dnf reported success, but {} contains {found:?}", folder.display())))
    }

    fn unpack(&self, package: &Path, root: &Path) -> anyhow::Result<()> {
        let archive = tempfile::tempfile().at("create", &std::env::temp_dir())?;
        let copy = archive.try_clone().at("clone", &std::env::temp_dir())?;
        let mut rpm2cpio = Command::new("rpm2cpio");
        rpm2cpio.arg(package).stdout(copy);
        command::run("reading a package", self.cache.hold_while(&mut rpm2cpio)?)?;
        let mut archive = archive;
        std::io::Seek::rewind(&mut archive).at("read", package)?;
        let mut cpio = Command::new("cpio");
        cpio.args(["--extract", "--make-directories", "--quiet", "--no-absolute-filenames"]);
        cpio.current_dir(root).stdin(Stdio::from(archive));
        command::run("unpacking a package", &mut cpio).map(drop)
    }
}

/// Whether `file` is a download of `name`: a package's name, alone or with version and release.
fn is_package(file: &str, name: &str) -> bool {
    let Some(rest) = file.strip_suffix(".rpm").and_then(|file| file.strip_prefix(name)) else { return false };
    rest.starts_with('.') || rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The newest kernel in the output of `dnf repoquery`: the image and the other packages of its version.
fn newest_kernel(listed: &str) -> Option<KernelPackages> {
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    let image = lines.iter().find(|words| words.first() == Some(&PARTS[0]) && words.len() == 4)?;
    let (version, arch) = (image[1], image[2]);
    let mut packages = KernelPackages {
        release: format!("{version}.{arch}"),
        version: version.to_owned(),
        names: Vec::new(),
        size: 0,
    };
    for words in &lines {
        if let [name, of_version, _, size] = words[..]
            && PARTS.contains(&name)
            && of_version == version
        {
            packages.names.push(format!("{name}-{version}"));
            packages.size += size.parse::<u64>().unwrap_or(0);
        }
    }
    packages.names.iter().any(|name| name.starts_with("kernel-devel-")).then_some(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines in this program's query format, modelled on dnf's documentation and Fedora's package names; not recorded.
    const LISTED: &str = "kernel-core 6.11.4-301.fc41 x86_64 18064677\nkernel-devel 6.11.4-301.fc41 x86_64 23147901\n\
        kernel-modules 6.11.4-301.fc41 x86_64 64211353\nkernel-modules-core 6.11.4-301.fc41 x86_64 40152977\n\
        kernel-modules-extra 6.11.4-301.fc41 x86_64 3906041\n";

    #[test]
    fn kernel_has_all_packages_of_the_image_version() {
        let packages = newest_kernel(LISTED).unwrap();
        assert_eq!(packages.release, "6.11.4-301.fc41.x86_64");
        assert_eq!(packages.names.len(), 5);
        assert!(packages.names.contains(&"kernel-devel-6.11.4-301.fc41".to_owned()));
        assert_eq!(packages.size, 149_482_949);
    }

    #[test]
    fn kernel_without_headers_is_not_offered() {
        let older = LISTED.replace("kernel-devel 6.11.4", "kernel-devel 6.10.0");
        assert_eq!(newest_kernel(&older), None);
        assert_eq!(newest_kernel(""), None);
    }

    #[test]
    fn downloads_are_matched_by_name_and_version() {
        assert!(is_package("kernel-core-6.11.4-301.fc41.x86_64.rpm", "kernel-core-6.11.4-301.fc41"));
        assert!(is_package("busybox-1.36.1-7.fc41.x86_64.rpm", "busybox"));
        assert!(!is_package("kernel-modules-core-6.11.4-301.fc41.x86_64.rpm", "kernel-modules"));
        assert!(!is_package("kernel-core-6.11.4-301.fc41.x86_64.rpm.part", "kernel-core"));
    }
}
