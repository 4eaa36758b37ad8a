//! The guest's kernel from the distribution's packages, unpacked into the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::custom::CustomKernel;
use super::{Kernel, bzimage, headers};
use crate::files::{PathContext as _, entries};
use crate::provision::cache::Cache;
use crate::provision::host::HostDistro;
use crate::provision::host::repository::{KernelPackages, Repository};

/// The cache entry of the packages. Remove it to get a newer kernel.
const ENTRY: &str = "kernel";
/// Prefix of the cache entries of the reach test.
pub(crate) const OFFERED: &str = "offered-kernel-";
/// The description file within an entry.
const DESCRIPTION: &str = "kernel.json";
/// Directories of modules that the guest may need. The others have about 380 MB.
const MODULE_FOLDERS: [&str; 5] = ["drivers/uio", "drivers/vfio", "drivers/virtio", "drivers/char", "virt"];

/// The content of unpacked packages. Paths are relative.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    release: String,
    version: String,
    image: PathBuf,
    modules: PathBuf,
    headers: PathBuf,
}

/// The kernel that was unpacked into the cache at `root` earlier, if there is one.
pub(crate) fn cached(root: &Path) -> Option<Kernel> {
    readable(&root.join(ENTRY))
}

/// The kernel in an unpacked directory.
fn described(root: &Path) -> anyhow::Result<Kernel> {
    readable(root).with_context(|| {
        format!("{}: lacks a readable {DESCRIPTION}; remove the directory, and run again", root.display())
    })
}

fn readable(root: &Path) -> Option<Kernel> {
    let description: Description = serde_json::from_slice(&fs::read(root.join(DESCRIPTION)).ok()?).ok()?;
    Some(Kernel {
        image: root.join(description.image),
        release: description.release,
        version: description.version,
        modules: root.join(description.modules),
        headers: Some(root.join(description.headers)),
    })
}

/// The distribution's kernel. The first call downloads it.
pub(crate) fn from_packages(cache: &Cache, distro: &HostDistro, progress: &dyn Fn(&str)) -> anyhow::Result<Kernel> {
    cache.folder(ENTRY, |partial| {
        let hint = "specify one with --kernel FILE --modules DIR";
        let mut repository = distro.repository(cache, "the guest's kernel", hint)?;
        let packages = repository.newest_kernel(progress)?;
        unpack(partial, &packages, repository.as_mut(), progress)
    })?;
    described(&cache.path(ENTRY))
}

/// Unpacks a kernel of the package lists, for `--kernel` and `--modules`.
pub(crate) fn from_offer(
    cache: &Cache,
    packages: &KernelPackages,
    repository: &mut dyn Repository,
    progress: &dyn Fn(&str),
) -> anyhow::Result<CustomKernel> {
    // An epoch contains a colon, which make would take for the end of a target.
    let name = format!("{OFFERED}{}_{}", packages.release, packages.version.replace(':', "-"));
    let root = cache.folder(&name, |partial| unpack(partial, packages, repository, progress))?;
    let kernel = described(&root)?;
    Ok(CustomKernel { image: kernel.image, modules: kernel.modules })
}

/// Downloads a kernel and unpacks it into `partial`.
fn unpack(
    partial: &Path,
    packages: &KernelPackages,
    repository: &mut dyn Repository,
    progress: &dyn Fn(&str),
) -> anyhow::Result<()> {
    progress(&format!("downloading kernel {}, {} MB", packages.release, packages.size / 1_000_000));
    let files = repository.download(&packages.names, progress)?;
    progress("unpacking the kernel into the target directory (nothing is installed)");
    files.iter().try_for_each(|file| repository.unpack(file, partial))?;
    let description = describe(partial, packages.release.clone(), packages.version.clone())?;
    let modules = partial.join(&description.modules).join("kernel");
    remove_unneeded_below(&modules, &modules)?;
    let path = partial.join(DESCRIPTION);
    fs::write(&path, serde_json::to_vec_pretty(&description)?).at("write", &path)
}

/// Finds the parts of a kernel in its unpacked packages. Before Debian 13, modules were in /lib instead of /usr/lib. Since
/// kernel 7 Debian's image is in the modules' directory, as in Fedora.
fn describe(root: &Path, release: String, version: String) -> anyhow::Result<Description> {
    let missing = |what| format!("{}: the packages of kernel {release} contain no {what}", root.display());
    let folders = ["lib", "usr/lib"].map(|lib| Path::new(lib).join("modules").join(&release));
    let mut images = vec![PathBuf::from(format!("boot/vmlinuz-{release}"))];
    images.extend(folders.iter().map(|folder| folder.join("vmlinuz")));
    let packed = images.into_iter().find(|image| root.join(image).is_file()).with_context(|| missing("vmlinuz"))?;
    let modules = folders
        .into_iter()
        .find(|folder| root.join(folder).join("kernel").is_dir())
        .with_context(|| missing("modules"))?;
    let headers = headers::in_packages(root, &release).with_context(|| missing("headers"))?;

    let path = root.join(&packed);
    let content = fs::read(&path).at("read", &path)?;
    let image_release = bzimage::release(&content).unwrap_or_default();
    ensure!(
        image_release == release,
        "{}: is kernel {image_release:?}, but its package has {release:?} in its name",
        path.display()
    );
    let image = match bzimage::direct_kernel(&content, root)? {
        Some(kernel) => {
            let image = PathBuf::from(format!("vmlinux-{release}"));
            let path = root.join(&image);
            fs::write(&path, kernel).at("write", &path)?;
            image
        }
        None => packed,
    };
    Ok(Description { release, version, image, modules, headers })
}

/// Removes the modules below `folder` that the guest does not need.
fn remove_unneeded_below(root: &Path, folder: &Path) -> anyhow::Result<()> {
    for path in entries(folder)? {
        let relative = path.strip_prefix(root).unwrap_or(&path);
        if MODULE_FOLDERS.iter().any(|kept| Path::new(kept) == relative) {
            continue;
        }
        if MODULE_FOLDERS.iter().any(|kept| Path::new(kept).starts_with(relative)) {
            remove_unneeded_below(root, &path)?;
        } else if path.is_dir() {
            fs::remove_dir_all(&path).at("remove", &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_needed_modules_and_lists() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["drivers/uio", "drivers/gpu/drm", "drivers/vfio/pci", "net", "virt/lib"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("x.ko"), "").unwrap();
        }
        fs::write(root.path().join("modules.builtin"), "").unwrap();
        remove_unneeded_below(root.path(), root.path()).unwrap();
        let exists = |path: &str| root.path().join(path).exists();
        assert!(exists("drivers/uio/x.ko") && exists("drivers/vfio/pci/x.ko") && exists("virt/lib/x.ko"));
        assert!(exists("modules.builtin"));
        assert!(!exists("drivers/gpu") && !exists("net"));
    }

    #[test]
    fn finds_parts_in_every_package_layout() {
        let release = "7.2.13+deb14-amd64";
        let layouts = [
            ("boot/vmlinuz-7.2.13+deb14-amd64", "lib", "usr/src/linux-headers-7.2.13+deb14-amd64"),
            ("boot/vmlinuz-7.2.13+deb14-amd64", "usr/lib", "usr/src/linux-headers-7.2.13+deb14-amd64"),
            ("usr/lib/modules/7.2.13+deb14-amd64/vmlinuz", "usr/lib", "usr/src/linux-headers-7.2.13+deb14-amd64"),
            ("lib/modules/7.2.13+deb14-amd64/vmlinuz", "lib", "usr/src/kernels/7.2.13+deb14-amd64"),
        ];
        for (image, lib, headers) in layouts {
            let root = tempfile::tempdir().unwrap();
            let write = |path: &str, content: &[u8]| {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            };
            let wanted = || describe(root.path(), release.to_owned(), "1".to_owned());
            assert!(wanted().unwrap_err().to_string().ends_with("contain no vmlinuz"));
            write(image, &bzimage::sample(release));
            assert!(wanted().unwrap_err().to_string().ends_with("contain no modules"));
            write(&format!("{lib}/modules/{release}/kernel/x.ko"), b"");
            assert!(wanted().unwrap_err().to_string().ends_with("contain no headers"));
            write(&format!("{headers}/Makefile"), b"");
            let found = wanted().unwrap();
            assert_eq!(found.image, Path::new(image));
            assert_eq!(found.modules, Path::new(lib).join("modules").join(release));
            assert_eq!(found.headers, Path::new(headers));
        }
    }

    #[test]
    fn directory_without_description_is_ignored() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(cached(root.path()), None);
        fs::create_dir(root.path().join(ENTRY)).unwrap();
        fs::write(root.path().join(ENTRY).join(DESCRIPTION), "{\"release\": \"6.").unwrap();
        assert_eq!(cached(root.path()), None);
    }
}
