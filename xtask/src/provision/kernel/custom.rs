//! A custom kernel, `--kernel FILE --modules DIR`, checked before anything is built.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Kernel, bzimage, direct_kernel, headers, module_tree};
use crate::exit_status::{missing_dependency, usage};
use crate::files::entries;
use crate::provision::cache::{Cache, Key};
use crate::provision::host::HostDistro;
use crate::provision::{elf, host_packages};
use bench_protocol::boot::GuestDriver;

/// A custom kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustomKernel {
    /// `--kernel`: a bzImage, or an ELF file with a PVH entry.
    pub(crate) image: PathBuf,
    /// `--modules`: a directory like /lib/modules/RELEASE.
    pub(crate) modules: PathBuf,
}

/// A kernel with matching image and modules.
struct CheckedKernel {
    image: Vec<u8>,
    release: String,
    modules: PathBuf,
    headers: Option<PathBuf>,
}

impl CustomKernel {
    /// Checks that both arguments are valid and of one release, and that there are headers if the driver's module is built. Only
    /// reads files.
    pub(crate) fn check(&self, driver: Option<GuestDriver>, distro: &HostDistro) -> anyhow::Result<()> {
        let checked = self.read()?;
        match driver {
            Some(driver) if driver.is_built() && checked.headers.is_none() => {
                Err(self.no_headers(&checked.release, driver, distro))
            }
            _ => Ok(()),
        }
    }

    /// The kernel, ready for QEMU.
    pub(crate) fn prepare(&self, cache: &Cache) -> anyhow::Result<Kernel> {
        let CheckedKernel { image, release, modules, headers } = self.read()?;
        let version = Key::default().with(&image).hex();
        let direct = match bzimage::release(&image) {
            Some(_) => direct_kernel(cache, &format!("vmlinux-{version}"), &image)?,
            None => None,
        };
        Ok(Kernel { image: direct.unwrap_or_else(|| self.image.clone()), release, version, modules, headers })
    }

    fn no_headers(&self, release: &str, driver: GuestDriver, distro: &HostDistro) -> anyhow::Error {
        let install = distro
            .headers_package(release)
            .and_then(|package| host_packages::install_command(distro, &[package]))
            .unwrap_or_else(|| format!("install the headers of kernel {release}"));
        missing_dependency(format!(
            "{} lacks kernel headers, which building {} needs: {install}; or use --driver vfio-pci or, for polling only, \
             --driver uio_pci_generic",
            self.modules.display(),
            driver.module()
        ))
    }

    fn read(&self) -> anyhow::Result<CheckedKernel> {
        let image = read_file(&self.image)?;
        let modules =
            fs::canonicalize(&self.modules).map_err(|error| refused("--modules", &self.modules, &error.to_string()))?;
        if !is_module_tree(&modules) {
            return Err(refused("--modules", &self.modules, &not_a_module_tree(&modules)));
        }
        let folder_name = modules.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let of_modules = module_tree::release(&modules)?;
        let named = bzimage::release(&image)
            .or_else(|| elf::has_pvh_entry(&image).then(|| elf::linux_release(&image)).flatten());
        let release = match (named, &of_modules) {
            (Some(release), _) => release,
            (None, _) if !elf::has_pvh_entry(&image) => {
                let rule =
                    "not a kernel image; expected a bzImage (vmlinuz) or an ELF file with a PVH entry (CONFIG_PVH)";
                return Err(refused("--kernel", &self.image, rule));
            }
            (None, Some(release)) => release.clone(),
            (None, None) => folder_name.clone(),
        };
        let of_modules = of_modules.unwrap_or(folder_name);
        if of_modules != release {
            return Err(usage(format!(
                "--kernel {} is release {release}, but --modules {} has modules of {of_modules}; both must have the same \
                 release",
                self.image.display(),
                self.modules.display()
            )));
        }
        let headers = headers::of_modules(&modules, &release);
        Ok(CheckedKernel { image, release, modules, headers })
    }
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.exists() && !path.is_file() {
        return Err(refused("--kernel", path, "not a regular file"));
    }
    fs::read(path)
        .map_err(|error| refused("--kernel", path, &format!("{error}; specify a kernel such as /boot/vmlinuz-RELEASE")))
}

fn refused(flag: &str, path: &Path, rule: &str) -> anyhow::Error {
    usage(format!("{flag} {}: {rule}", path.display()))
}

fn is_module_tree(folder: &Path) -> bool {
    ["kernel", "updates", "extra"].iter().any(|name| folder.join(name).is_dir())
}

/// The expected form, and a matching directory nearby.
fn not_a_module_tree(folder: &Path) -> String {
    if !folder.is_dir() {
        return "not a directory; expected one like /lib/modules/RELEASE".to_owned();
    }
    let rule = "not a directory like /lib/modules/RELEASE (with a subdirectory `kernel`)";
    let places = ["", "lib/modules", "usr/lib/modules"].map(|place| folder.join(place));
    let nearby = places.iter().filter_map(|place| entries(place).ok()).flatten().find(|path| is_module_tree(path));
    match nearby {
        Some(nearby) => format!("{rule}; did you mean {}?", nearby.display()),
        None => rule.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_status::Failure;
    use crate::provision::host::distro::Family;

    const RELEASE: &str = "6.1.0-test";

    /// A kernel and its modules, without headers.
    fn kernel(release_of_modules: &str) -> (tempfile::TempDir, CustomKernel) {
        let root = tempfile::tempdir().unwrap();
        let image = root.path().join("vmlinuz");
        fs::write(&image, bzimage::sample(RELEASE)).unwrap();
        let modules = root.path().join("lib/modules").join(RELEASE);
        fs::create_dir_all(modules.join("kernel")).unwrap();
        let module = format!("\x7fELF\0depends=\0vermagic={release_of_modules} SMP mod_unload \0");
        fs::write(modules.join("kernel/uio.ko"), module).unwrap();
        (root, CustomKernel { image, modules })
    }

    fn check(kernel: &CustomKernel, driver: GuestDriver) -> Result<(), (u8, String)> {
        let error = kernel.check(Some(driver), &HostDistro { name: "Debian".to_owned(), family: Some(Family::Debian) });
        error.map_err(|error| (error.downcast_ref::<Failure>().unwrap().status, error.to_string()))
    }

    #[track_caller]
    fn assert_refused(kernel: &CustomKernel, status: u8, text: &str) {
        let refused = check(kernel, GuestDriver::UioPciMsix).unwrap_err();
        assert!(refused.0 == status && refused.1.contains(text), "{refused:?}");
    }

    #[test]
    fn only_built_drivers_need_headers() {
        let (root, kernel) = kernel(RELEASE);
        assert_eq!(check(&kernel, GuestDriver::UioPciGeneric), Ok(()));
        assert_eq!(check(&kernel, GuestDriver::VfioPci), Ok(()));
        for driver in [GuestDriver::UioPciMsix, GuestDriver::IgbUio] {
            let (status, text) = check(&kernel, driver).unwrap_err();
            assert!(status == 3 && text.contains("linux-headers-6.1.0-test"), "{text}");
        }
        let headers = root.path().join("usr/src/linux-headers-6.1.0-test");
        fs::create_dir_all(&headers).unwrap();
        fs::write(headers.join("Makefile"), "").unwrap();
        assert_eq!(check(&kernel, GuestDriver::UioPciMsix), Ok(()));
    }

    #[test]
    fn invalid_image_is_wrong_usage() {
        let (root, mut kernel) = kernel(RELEASE);
        fs::write(&kernel.image, "text").unwrap();
        assert_refused(&kernel, 2, "expected a bzImage");
        kernel.image = root.path().to_path_buf();
        assert_refused(&kernel, 2, "not a regular file");
        kernel.image = root.path().join("none");
        assert_refused(&kernel, 2, "No such file");
    }

    #[test]
    fn directory_without_modules_is_wrong_usage() {
        let (root, mut kernel) = kernel(RELEASE);
        let modules = std::mem::replace(&mut kernel.modules, root.path().join("none"));
        assert_refused(&kernel, 2, "No such file");
        kernel.modules = kernel.image.clone();
        assert_refused(&kernel, 2, "not a directory");
        for above in [root.path().to_path_buf(), root.path().join("lib/modules")] {
            kernel.modules = above;
            assert_refused(&kernel, 2, &format!("did you mean {}?", modules.canonicalize().unwrap().display()));
        }
    }

    #[test]
    fn refuses_modules_of_another_release() {
        let (_root, kernel) = kernel("6.1.0-other");
        assert_refused(&kernel, 2, "has modules of 6.1.0-other; both must have the same release");
    }
}
