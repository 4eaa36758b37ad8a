//! Finds and downloads packages with apt, without installing them and without privileges. If the system's package lists are
//! missing or too old, new ones are fetched into the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::repository::{
    DOWNLOADS, Emulator, EmulatorSource, KernelPackages, Repository, download_failed, no_such_package,
};
use crate::files::{PathContext as _, entries};
use crate::provision::cache::Cache;
use crate::provision::command;
use kernel_packages::KERNEL_METAPACKAGES;
use package_record::PackageRecord;

mod kernel_packages;
mod offers;
mod package_record;

/// What to check when a download failed.
const CHECK: &str = "the proxy in /etc/apt";
/// The directory of our own package lists.
const LISTS: &str = "lists";
/// The package of QEMU.
const QEMU: &str = "qemu-system-x86";

/// apt with the system's or our own package lists.
pub(crate) struct Apt<'a> {
    cache: &'a Cache,
    /// Our own lists and downloads.
    folder: PathBuf,
    own_lists: bool,
    fetched: bool,
}

impl<'a> Apt<'a> {
    /// Uses our own lists if there are any, otherwise the system's.
    pub(crate) fn new(cache: &'a Cache) -> Self {
        let folder = cache.path(DOWNLOADS);
        let own_lists = folder.join(LISTS).is_dir();
        Self { cache, folder, own_lists, fetched: false }
    }

    fn resolve_kernel(&self) -> anyhow::Result<Option<KernelPackages>> {
        kernel_packages::newest_kernel(&|package| self.show(package))
    }

    fn show(&self, package: &str) -> anyhow::Result<Option<PackageRecord>> {
        let mut command = self.apt("apt-cache")?;
        command.args(["show", "--no-all-versions", package]);
        let output = command::output(&mut command)?;
        Ok(PackageRecord::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// The output of an apt program; empty if it fails.
    fn query(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let output = command::output(self.apt(program)?.args(arguments))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The newest kernel with headers of each series.
    fn listed_kernels(&self) -> anyhow::Result<Vec<KernelPackages>> {
        let names = self.query("apt-cache", &["pkgnames", "linux-image-"])?;
        let mut kernels = Vec::new();
        for series in offers::images_by_series(&names) {
            for image in series {
                let Some(release) = kernel_packages::release_of(&image) else { continue };
                // The lists may contain images without headers, and removed images.
                if let Some(packages) = kernel_packages::kernel(&|package| self.show(package), &image, release)? {
                    kernels.push(packages);
                    break;
                }
            }
        }
        Ok(kernels)
    }

    fn emulator(&self, offered: offers::OfferedVersion) -> anyhow::Result<Emulator> {
        let version = offered.number;
        if offered.installed {
            return Ok(Emulator { version, source: EmulatorSource::Installed });
        }
        // With the suite, because QEMU's other packages must have the same version.
        let wanted = offered.suite.map_or_else(|| format!("{QEMU}={version}"), |suite| format!("{QEMU}/{suite}"));
        let mut command = self.apt("apt-get")?;
        command.args(["-s", "install", "--no-install-recommends", &wanted]);
        let output = command::output(&mut command)?;
        if output.status.success() {
            let source = offers::closure(&String::from_utf8_lossy(&output.stdout));
            return Ok(Emulator { version, source });
        }
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        let why = messages.lines().find_map(|line| line.strip_prefix("E: ")).unwrap_or("unknown reason");
        Ok(Emulator { version, source: EmulatorSource::LeftOut(format!("`apt-get -s install {wanted}`: {why}")) })
    }

    /// `Err` within `Ok`: the messages of a failed download.
    fn try_download(&self, names: &[String], progress: &dyn Fn(&str)) -> anyhow::Result<Result<(), String>> {
        let folder = self.downloads();
        fs::create_dir_all(&folder).at("create", &folder)?;
        let mut command = self.apt("apt-get")?;
        command.arg("download").args(names).current_dir(&folder);
        command::stream(&mut command, &|line| {
            if line.starts_with("Get:") {
                progress(&format!("apt-get download: {line}"));
            }
        })
    }

    /// `Err` within `Ok`: messages about a list that could not be fetched, which may be irrelevant.
    fn fetch_lists(&mut self, progress: &dyn Fn(&str)) -> anyhow::Result<Result<(), String>> {
        let partial = self.folder.join(LISTS).join("partial");
        fs::create_dir_all(&partial).at("create", &partial)?;
        self.own_lists = true;
        self.fetched = true;
        progress("fetching package lists, because the system's are missing or outdated");
        let mut command = self.apt("apt-get")?;
        // By default, a failed list is only a warning.
        command.args(["-o", "APT::Update::Error-Mode=any", "update"]);
        command::stream(&mut command, &|_| {})
    }

    fn apt(&self, program: &str) -> anyhow::Result<Command> {
        let cache = self.folder.join("cache");
        fs::create_dir_all(&cache).at("create", &cache)?;
        let mut command = Command::new(program);
        self.cache.hold_while(&mut command)?;
        // As root, apt-get download would drop its privileges and could not write here.
        command.env("LC_ALL", "C").args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2"]);
        // Without its index, which container images disable, each call reads all lists, which takes a second.
        for index in ["pkgcache", "srcpkgcache"] {
            let file = cache.join(format!("{index}.bin"));
            command.arg("-o").arg(format!("Dir::Cache::{index}={}", file.display()));
        }
        if self.own_lists {
            command.arg("-o").arg(format!("Dir::State::Lists={}", self.folder.join(LISTS).display()));
        }
        Ok(command)
    }

    fn downloads(&self) -> PathBuf {
        self.folder.join("debs")
    }
}

impl Repository for Apt<'_> {
    fn newest_kernel(&mut self, progress: &dyn Fn(&str)) -> anyhow::Result<KernelPackages> {
        progress("looking up the newest kernel package");
        if let Some(packages) = self.resolve_kernel()? {
            return Ok(packages);
        }
        let failed = self.fetch_lists(progress)?.err();
        match (self.resolve_kernel()?, failed) {
            (Some(packages), _) => Ok(packages),
            (None, Some(output)) => Err(download_failed("package lists", &output, CHECK)),
            (None, None) => Err(no_such_package(KERNEL_METAPACKAGES[0])),
        }
    }

    fn kernels(&mut self, progress: &dyn Fn(&str)) -> anyhow::Result<Vec<KernelPackages>> {
        let kernels = self.listed_kernels()?;
        if !kernels.is_empty() || self.own_lists {
            return Ok(kernels);
        }
        // Container images have no lists. One that cannot be fetched need not be the one that matters.
        let _ = self.fetch_lists(progress)?;
        self.listed_kernels()
    }

    fn emulators(&mut self) -> anyhow::Result<Vec<Emulator>> {
        let versions = offers::versions(&self.query("apt-cache", &["policy", QEMU])?);
        versions.into_iter().map(|version| self.emulator(version)).collect()
    }

    fn download(&mut self, names: &[String], progress: &dyn Fn(&str)) -> anyhow::Result<Vec<PathBuf>> {
        let failed = |output: &str| download_failed(&names.join(" "), output, CHECK);
        if let Err(output) = self.try_download(names, progress)? {
            // The usual cause: the lists contain versions that the mirror has replaced.
            if self.fetched || self.fetch_lists(progress)?.is_err() {
                return Err(failed(&output));
            }
            self.try_download(names, progress)?.map_err(|output| failed(&output))?;
        }
        let files = deb_files(&self.downloads(), names)?;
        if files.len() == names.len() {
            return Ok(files);
        }
        Err(failed(&format!("apt-get reported success, but {} contains {files:?}", self.downloads().display())))
    }

    fn unpack(&self, package: &Path, root: &Path) -> anyhow::Result<()> {
        let mut command = Command::new("dpkg-deb");
        command.arg("-x").arg(package).arg(root);
        command::run("unpacking a package", self.cache.hold_while(&mut command)?).map(drop)
    }
}

/// The files of `names`, NAME or NAME=VERSION, in `folder`: `NAME_VERSION_ARCHITECTURE.deb`.
fn deb_files(folder: &Path, names: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = entries(folder)?;
    files.retain(|path| {
        path.extension().is_some_and(|extension| extension == "deb")
            && path
                .file_name()
                .and_then(|name| name.to_str()?.split_once('_'))
                .is_some_and(|(name, rest)| names.iter().any(|wanted| is_file_of(wanted, name, rest)))
    });
    Ok(files)
}

fn is_file_of(wanted: &str, name: &str, rest: &str) -> bool {
    match wanted.split_once('=') {
        // apt encodes the colon of an epoch as %3a.
        Some((wanted, version)) => {
            wanted == name && rest.split('_').next().is_some_and(|file| file.replace("%3a", ":") == version)
        }
        None => wanted == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_downloads_of_another_version() {
        assert!(is_file_of("a=1:1.0", "a", "1%3a1.0_amd64.deb"));
        assert!(!is_file_of("a=1:1.0", "a", "1%3a1.1_amd64.deb"));
        assert!(!is_file_of("a=1:1.0", "b", "1%3a1.0_amd64.deb"));
    }

    #[test]
    fn ignores_unfinished_downloads() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a_1%3a1.0_amd64.deb", "ab_1_amd64.deb", "b_1_amd64.deb.FAILED", "lock"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let files = deb_files(folder.path(), &["a".to_owned(), "b".to_owned()]).unwrap();
        assert_eq!(files, [folder.path().join("a_1%3a1.0_amd64.deb")]);
    }
}
