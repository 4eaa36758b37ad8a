//! Asks apt which packages make up the guest's kernel, and downloads them. Nothing is installed and no rights are needed:
//! where the system's package lists are missing or too old, fresh ones are fetched into a folder of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::cache::Cache;
use super::super::command;
use super::super::error::ProvisionError;
use super::super::excerpt::FailedOutput;
use super::super::files::entries;
use super::{DOWNLOADS, KernelPackages, Repository};
use record::{NEWEST_KERNEL, Record};

mod record;

/// What to look at when a download failed.
const CHECK: &str = "the proxy in /etc/apt";
/// Our own package lists, where there are any.
const LISTS: &str = "lists";

/// apt with a choice of package lists.
pub(crate) struct Apt<'a> {
    cache: &'a Cache,
    /// A folder of our own: fresh lists and unfinished downloads.
    folder: PathBuf,
    own_lists: bool,
    fetched: bool,
}

impl<'a> Apt<'a> {
    /// Starts with the lists that an earlier call has fetched, else with the system's.
    pub(crate) fn new(cache: &'a Cache) -> Self {
        let folder = cache.path(DOWNLOADS);
        let own_lists = folder.join(LISTS).is_dir();
        Self { cache, folder, own_lists, fetched: false }
    }

    fn resolve_kernel(&self) -> Result<Option<KernelPackages>, ProvisionError> {
        record::newest_kernel(&|package| self.show(package))
    }

    fn show(&self, package: &str) -> Result<Option<Record>, ProvisionError> {
        let mut command = self.apt("apt-cache")?;
        command.args(["show", "--no-all-versions", package]);
        let output = command::output(&mut command)?;
        Ok(Record::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// `Err` within `Ok`: apt's messages about why it failed.
    fn try_download(
        &self,
        names: &[String],
        progress: &dyn Fn(&str),
    ) -> Result<Result<(), FailedOutput>, ProvisionError> {
        let folder = self.downloads();
        fs::create_dir_all(&folder).map_err(ProvisionError::io("create", &folder))?;
        let mut command = self.apt("apt-get")?;
        command.arg("download").args(names).current_dir(&folder);
        command::stream(&mut command, &|line| {
            if line.starts_with("Get:") {
                progress(&format!("apt-get download: {line}"));
            }
        })
    }

    /// `Err` within `Ok`: apt's messages about a list that could not be fetched. It need not be the one that matters.
    fn fetch_lists(&mut self, progress: &dyn Fn(&str)) -> Result<Result<(), FailedOutput>, ProvisionError> {
        let partial = self.folder.join(LISTS).join("partial");
        fs::create_dir_all(&partial).map_err(ProvisionError::io("create", &partial))?;
        self.own_lists = true;
        self.fetched = true;
        progress("fetching package lists, because the system's are missing or out of date");
        let mut command = self.apt("apt-get")?;
        // By default a list that cannot be fetched is only a warning.
        command.args(["-o", "APT::Update::Error-Mode=any", "update"]);
        command::stream(&mut command, &|_| {})
    }

    fn apt(&self, program: &str) -> Result<Command, ProvisionError> {
        let cache = self.folder.join("cache");
        fs::create_dir_all(&cache).map_err(ProvisionError::io("create", &cache))?;
        let mut command = Command::new(program);
        self.cache.hold_while(&mut command)?;
        // apt-get download as root would drop its rights and then not be able to write here.
        command.env("LC_ALL", "C").args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2"]);
        // Without its index, which container images switch off, every single call reads all lists: a second each.
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
    fn newest_kernel(&mut self, progress: &dyn Fn(&str)) -> Result<KernelPackages, ProvisionError> {
        progress("looking up the newest kernel package");
        if let Some(packages) = self.resolve_kernel()? {
            return Ok(packages);
        }
        let failed = self.fetch_lists(progress)?.err();
        match (self.resolve_kernel()?, failed) {
            (Some(packages), _) => Ok(packages),
            (None, Some(output)) => Err(ProvisionError::Download {
                packages: "package lists".to_owned(),
                output: output.to_string(),
                check: CHECK,
            }),
            (None, None) => Err(ProvisionError::NoSuchPackage { package: NEWEST_KERNEL[0].to_owned() }),
        }
    }

    fn download(&mut self, names: &[String], progress: &dyn Fn(&str)) -> Result<Vec<PathBuf>, ProvisionError> {
        let failed = |output: String| ProvisionError::Download { packages: names.join(" "), output, check: CHECK };
        if let Err(output) = self.try_download(names, progress)? {
            // The usual cause: lists that name versions which the mirror has replaced.
            if self.fetched || self.fetch_lists(progress)?.is_err() {
                return Err(failed(output.to_string()));
            }
            self.try_download(names, progress)?.map_err(|output| failed(output.to_string()))?;
        }
        let files = deb_files(&self.downloads(), names)?;
        if files.len() == names.len() {
            return Ok(files);
        }
        Err(failed(format!("apt-get ended well, but {} holds {files:?}", self.downloads().display())))
    }

    fn unpack(&self, package: &Path, root: &Path) -> Result<(), ProvisionError> {
        let mut command = Command::new("dpkg-deb");
        command.arg("-x").arg(package).arg(root);
        command::run("unpacking a package", self.cache.hold_while(&mut command)?).map(drop)
    }
}

/// The files of `names` in `folder`: `NAME_VERSION_ARCHITECTURE.deb`.
fn deb_files(folder: &Path, names: &[String]) -> Result<Vec<PathBuf>, ProvisionError> {
    let mut files = entries(folder)?;
    files.retain(|path| {
        path.extension().is_some_and(|extension| extension == "deb")
            && path
                .file_name()
                .and_then(|name| name.to_str()?.split_once('_'))
                .is_some_and(|(name, _)| names.iter().any(|wanted| wanted == name))
    });
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_are_found_by_name_and_unfinished_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a_1%3a1.0_amd64.deb", "ab_1_amd64.deb", "b_1_amd64.deb.FAILED", "lock"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let files = deb_files(folder.path(), &["a".to_owned(), "b".to_owned()]).unwrap();
        assert_eq!(files, [folder.path().join("a_1%3a1.0_amd64.deb")]);
    }
}
