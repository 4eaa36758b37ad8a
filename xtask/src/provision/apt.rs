//! Asks apt which packages make up the guest's kernel, and downloads them. Nothing is installed and no rights are needed:
//! where the system's package lists are missing or too old, fresh ones are fetched into a folder of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::Cache;
use super::command;
use super::error::ProvisionError;
use super::files::entries;

/// The packages that always depend on the newest kernel: Debian's, then Ubuntu's.
const NEWEST_KERNEL: [&str; 3] = ["linux-image-amd64", "linux-image-virtual", "linux-image-generic"];

/// The cache's entry for what is being downloaded. Once all is unpacked it can go.
pub(crate) const DOWNLOADS: &str = "download";
/// Our own package lists, where there are any.
const LISTS: &str = "lists";

/// A kernel as its distribution packs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelPackages {
    /// What `uname -r` will say.
    pub(crate) release: String,
    /// The package's version, which changes more often than the release.
    pub(crate) version: String,
    /// The image, its modules, and what it takes to build others.
    pub(crate) names: Vec<String>,
    /// Bytes to download.
    pub(crate) size: u64,
}

/// What `apt-cache show` says about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    version: String,
    size: u64,
    depends: Vec<String>,
}

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

    /// The newest kernel of the machine's distribution.
    pub(crate) fn newest_kernel(&mut self, progress: &dyn Fn(&str)) -> Result<KernelPackages, ProvisionError> {
        progress("looking up the newest kernel package");
        if let Some(packages) = self.resolve_kernel()? {
            return Ok(packages);
        }
        let failed = self.fetch_lists(progress)?.err();
        match (self.resolve_kernel()?, failed) {
            (Some(packages), _) => Ok(packages),
            (None, Some(output)) => Err(ProvisionError::Download { packages: "package lists".to_owned(), output }),
            (None, None) => Err(ProvisionError::NoSuchPackage { package: NEWEST_KERNEL[0].to_owned() }),
        }
    }

    /// Downloads packages and returns the files. What an earlier try has fetched is not fetched again.
    pub(crate) fn download(
        &mut self,
        names: &[String],
        progress: &dyn Fn(&str),
    ) -> Result<Vec<PathBuf>, ProvisionError> {
        let failed = |output| ProvisionError::Download { packages: names.join(" "), output };
        if let Err(output) = self.try_download(names, progress)? {
            // The usual cause: lists that name versions which the mirror has replaced.
            if self.fetched || self.fetch_lists(progress)?.is_err() {
                return Err(failed(output));
            }
            self.try_download(names, progress)?.map_err(failed)?;
        }
        let files = deb_files(&self.downloads(), names)?;
        if files.len() == names.len() {
            return Ok(files);
        }
        Err(failed(format!("apt-get ended well, but {} holds {files:?}", self.downloads().display())))
    }

    fn resolve_kernel(&self) -> Result<Option<KernelPackages>, ProvisionError> {
        for newest in NEWEST_KERNEL {
            let Some(meta) = self.show(newest)? else { continue };
            let Some((image, release)) = meta.depends.iter().find_map(|name| Some((name, release_of(name)?))) else {
                continue;
            };
            let headers = format!("linux-headers-{release}");
            let (Some(image_record), Some(headers_record)) = (self.show(image)?, self.show(&headers)?) else {
                continue;
            };

            let mut names = vec![image.clone(), headers];
            names.extend(image_record.depends.iter().filter(|name| name.starts_with("linux-modules-")).cloned());
            names.extend(headers_record.depends.iter().filter(|name| builds_modules(name)).cloned());
            // Ubuntu keeps rarer modules, and UIO among them, in a package that the image does not depend on.
            names.push(format!("linux-modules-extra-{release}"));
            names.sort();
            names.dedup();

            let mut size = 0;
            let mut found = Vec::new();
            for name in names {
                if let Some(record) = self.show(&name)? {
                    size += record.size;
                    found.push(name);
                }
            }
            return Ok(Some(KernelPackages {
                release: release.to_owned(),
                version: image_record.version,
                names: found,
                size,
            }));
        }
        Ok(None)
    }

    fn show(&self, package: &str) -> Result<Option<Record>, ProvisionError> {
        let mut command = self.apt("apt-cache")?;
        command.args(["show", "--no-all-versions", package]);
        let output = command::output(&mut command)?;
        Ok(Record::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// `Err` within `Ok`: apt's words about why it could not.
    fn try_download(&self, names: &[String], progress: &dyn Fn(&str)) -> Result<Result<(), String>, ProvisionError> {
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

    /// `Err` within `Ok`: apt's words about a list that could not be had. It need not be the one that matters.
    fn fetch_lists(&mut self, progress: &dyn Fn(&str)) -> Result<Result<(), String>, ProvisionError> {
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

impl Record {
    /// Parses the first stanza.
    fn parse(text: &str) -> Option<Self> {
        let stanza = text.split("\n\n").next()?;
        let field =
            |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        Some(Self {
            version: field("Version")?.to_owned(),
            size: field("Size").and_then(|size| size.parse().ok()).unwrap_or(0),
            depends: ["Pre-Depends", "Depends"]
                .into_iter()
                .filter_map(field)
                .flat_map(|list| list.split(','))
                .filter_map(first_alternative)
                .collect(),
        })
    }
}

/// `a (>= 1) | b` names `a`.
fn first_alternative(dependency: &str) -> Option<String> {
    dependency.split(['|', '(', ':']).next()?.split_whitespace().next().map(str::to_owned)
}

/// `linux-image-6.1.0-56-amd64` is kernel `6.1.0-56-amd64`; a package that only depends on an image has no number there.
fn release_of(image: &str) -> Option<&str> {
    let release = image.strip_prefix("linux-image-")?;
    let release = release.strip_prefix("unsigned-").unwrap_or(release);
    release.starts_with(|first: char| first.is_ascii_digit()).then_some(release)
}

/// Headers are split into a part per flavour, a common part, and the tools that build modules.
fn builds_modules(package: &str) -> bool {
    package.starts_with("linux-headers-") || package.starts_with("linux-kbuild-")
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

    // Recorded on Debian 12.
    const META: &str = "Package: linux-image-amd64\nSource: linux-signed-amd64 (6.1.192+2)\nVersion: 6.1.192-2\n\
        Installed-Size: 13\nArchitecture: amd64\n\
        Provides: linux-image-generic, linux-latest-modules-6.1.0-56-amd64, wireguard-modules (= 1.0.0)\n\
        Depends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)\nSize: 1480\n\n\
        Package: linux-image-amd64\nVersion: 6.1.176-1\nDepends: linux-image-6.1.0-50-amd64 (= 6.1.176-1)\n";
    const IMAGE: &str = "Package: linux-image-6.1.0-56-amd64\nVersion: 6.1.192-2\nInstalled-Size: 400652\n\
        Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool\n\
        Size: 70550672\n";
    const HEADERS: &str = "Package: linux-headers-6.1.0-56-amd64\nVersion: 6.1.192-2\n\
        Depends: linux-headers-6.1.0-56-common (= 6.1.192-2), linux-kbuild-6.1 (>= 6.1.192-2), linux-compiler-gcc-12-x86\n\
        Size: 1841552\n";

    #[test]
    fn the_first_stanza_is_the_candidate() {
        let record = Record::parse(META).unwrap();
        assert_eq!(record.version, "6.1.192-2");
        assert_eq!(record.depends, ["linux-image-6.1.0-56-amd64"]);
        assert_eq!(release_of(&record.depends[0]), Some("6.1.0-56-amd64"));
    }

    #[test]
    fn size_is_the_download_and_not_the_installed_size() {
        assert_eq!(Record::parse(IMAGE).unwrap().size, 70_550_672);
    }

    #[test]
    fn versions_and_alternatives_are_left_out_of_dependencies() {
        let record = Record::parse(IMAGE).unwrap();
        assert_eq!(record.depends, ["kmod", "linux-base", "initramfs-tools"]);
    }

    #[test]
    fn building_takes_the_headers_and_the_build_tools_but_not_the_compiler() {
        let record = Record::parse(HEADERS).unwrap();
        let names: Vec<_> = record.depends.iter().filter(|name| builds_modules(name)).collect();
        assert_eq!(names, ["linux-headers-6.1.0-56-common", "linux-kbuild-6.1"]);
    }

    #[test]
    fn a_package_that_is_not_known_gives_no_record() {
        assert_eq!(Record::parse(""), None);
        assert_eq!(Record::parse("N: Unable to locate package x\n"), None);
    }

    #[test]
    fn only_images_with_a_number_are_kernels() {
        assert_eq!(release_of("linux-image-unsigned-6.8.0-31-generic"), Some("6.8.0-31-generic"));
        assert_eq!(release_of("linux-image-generic-hwe-24.04"), None);
        assert_eq!(release_of("linux-base"), None);
    }

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
