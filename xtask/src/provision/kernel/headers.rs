//! Kernel headers outside of /usr/src: adapts the absolute paths in their makefiles.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::files::{PathContext as _, entries};

/// The path in makefiles of packaged headers.
const INSTALLED: &str = "/usr/src/";
/// The relative form, in headers that an earlier version of this program unpacked.
const RELATIVE: &str = "$(dir $(lastword $(MAKEFILE_LIST)))../";
/// Directories of a release's headers in packages: Debian's and Fedora's.
const FOLDERS: [&str; 2] = ["usr/src/linux-headers-", "usr/src/kernels/"];

/// The headers of `release` in unpacked packages, relative to `root`.
pub(crate) fn in_packages(root: &Path, release: &str) -> Option<PathBuf> {
    FOLDERS
        .into_iter()
        .map(|folder| PathBuf::from(format!("{folder}{release}")))
        .find(|folder| root.join(folder).join("Makefile").is_file())
}

/// The headers of `modules`, a directory like /lib/modules/RELEASE: the target of its link `build`. In unpacked packages, where
/// that absolute link is broken, the headers unpacked with them.
pub(crate) fn of_modules(modules: &Path, release: &str) -> Option<PathBuf> {
    let linked = modules.join("build");
    if linked.join("Makefile").is_file() {
        return fs::canonicalize(linked).ok();
    }
    let root = modules.ancestors().find(|folder| folder.join("usr/src").is_dir() && *folder != Path::new("/"))?;
    in_packages(root, release).map(|headers| root.join(headers))
}

/// Fills `folder` with links to the files of `headers`, and with a copy of its makefile that has the actual paths.
pub(crate) fn relocate(headers: &Path, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir(folder).at("create", folder)?;
    for path in entries(headers)? {
        let Some(name) = path.file_name() else { continue };
        let target = folder.join(name);
        match makefile(&path, headers, folder) {
            Some(text) => fs::write(&target, text).at("write", &target)?,
            None => symlink(&path, &target).at("create", &target)?,
        }
    }
    Ok(())
}

/// The makefile with the actual paths; `None` if `path` needs no change.
fn makefile(path: &Path, headers: &Path, folder: &Path) -> Option<String> {
    if path.file_name()? != "Makefile" {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let name = headers.file_name()?.to_str()?;
    let parent = format!("{}/", headers.parent()?.display());
    let mut changed = text.clone();
    for prefix in [INSTALLED, RELATIVE] {
        // KBUILD_OUTPUT (since kernel 7) must be the directory that make starts in.
        changed = changed.replace(&format!("{prefix}{name}\n"), &format!("{}\n", folder.display()));
        changed = changed.replace(prefix, &parent);
    }
    (changed != text).then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Debian's package of kernel 7.2.
    const MAKEFILE: &str = "KBUILD_OUTPUT=/usr/src/linux-headers-7.2.13+deb14-amd64\n\
                            include /usr/src/linux-headers-7.2.13+deb14-common/Makefile\n";

    fn unpacked(folder: &str) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let headers = root.path().join(folder);
        fs::create_dir_all(headers.join("include")).unwrap();
        fs::write(headers.join("Makefile"), MAKEFILE).unwrap();
        (root, headers)
    }

    #[test]
    fn absolute_paths_are_replaced() {
        let (root, headers) = unpacked("usr/src/linux-headers-7.2.13+deb14-amd64");
        let folder = root.path().join("relocated");
        relocate(&headers, &folder).unwrap();
        let text = fs::read_to_string(folder.join("Makefile")).unwrap();
        let parent = headers.parent().unwrap().display();
        assert_eq!(
            text,
            format!(
                "KBUILD_OUTPUT={}\ninclude {parent}/linux-headers-7.2.13+deb14-common/Makefile\n",
                folder.display()
            )
        );
        assert_eq!(fs::read_link(folder.join("include")).unwrap(), headers.join("include"));
        assert_eq!(fs::read_to_string(headers.join("Makefile")).unwrap(), MAKEFILE);
    }

    #[test]
    fn relative_includes_are_replaced() {
        let (root, headers) = unpacked("src/linux-headers-6.12.118+deb13-amd64");
        fs::write(
            headers.join("Makefile"),
            format!("include {RELATIVE}linux-headers-6.12.118+deb13-common/Makefile\n"),
        )
        .unwrap();
        relocate(&headers, &root.path().join("relocated")).unwrap();
        let text = fs::read_to_string(root.path().join("relocated/Makefile")).unwrap();
        let parent = headers.parent().unwrap().display();
        assert_eq!(text, format!("include {parent}/linux-headers-6.12.118+deb13-common/Makefile\n"));
    }

    #[test]
    fn links_makefiles_without_absolute_paths() {
        let (root, headers) = unpacked("src/linux");
        fs::write(headers.join("Makefile"), "include ../linux-headers-6.8.0-31/Makefile\n").unwrap();
        let folder = root.path().join("relocated");
        relocate(&headers, &folder).unwrap();
        assert!(folder.join("Makefile").is_symlink());
    }

    #[test]
    fn finds_headers_by_link_or_next_to_the_modules() {
        for folder in ["usr/src/linux-headers-7.2.0-x", "usr/src/kernels/7.2.0-x"] {
            let (root, headers) = unpacked(folder);
            let modules = root.path().join("lib/modules/7.2.0-x");
            fs::create_dir_all(&modules).unwrap();
            symlink("/usr/src/linux-headers-7.2.0-x", modules.join("build")).unwrap();
            assert_eq!(of_modules(&modules, "7.2.0-x"), Some(headers.clone()));

            fs::remove_file(modules.join("build")).unwrap();
            symlink(&headers, modules.join("build")).unwrap();
            assert_eq!(of_modules(&modules, "7.2.0-x"), fs::canonicalize(&headers).ok());
        }
    }

    #[test]
    fn modules_may_lack_headers() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(of_modules(root.path(), "7.2.0-x"), None);
    }
}
