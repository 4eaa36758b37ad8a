//! Finds the kernel modules that the guest needs, with their dependencies, in load order.
//!
//! Dependencies come from the `.modinfo` section (`depends=`), because packages do not contain `modules.dep`, which is created at
//! installation.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure};

use crate::exit_status::missing_dependency;
use crate::files::{PathContext as _, entries};
use crate::provision::command;
use crate::provision::host::{self, tool::Tool};
use crate::provision::host_packages::{self, program};

/// A kernel module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    /// Its name, with underscores.
    pub(crate) name: String,
    /// The decompressed object file.
    pub(crate) object: Vec<u8>,
}

/// The modules of one kernel.
pub(crate) struct ModuleTree {
    root: PathBuf,
    release: String,
    files: HashMap<String, PathBuf>,
    built_in: String,
}

impl ModuleTree {
    /// Lists the modules in `root`, a directory like /lib/modules/RELEASE.
    pub(crate) fn open(root: &Path, release: &str) -> anyhow::Result<Self> {
        let mut files = HashMap::new();
        for folder in ["kernel", "updates", "extra"] {
            collect(&root.join(folder), &mut files)?;
        }
        Ok(Self {
            root: root.to_path_buf(),
            release: release.to_owned(),
            files,
            // Without the list, no module counts as built in.
            built_in: fs::read_to_string(root.join("modules.builtin")).unwrap_or_default(),
        })
    }

    /// The wanted modules that exist, each after its dependencies. The required one must exist or be built in.
    pub(crate) fn load(&self, wanted: &[&str], required: Option<&str>) -> anyhow::Result<Vec<Module>> {
        if let Some(name) = required.filter(|name| !self.files.contains_key(*name) && !self.is_built_in(name)) {
            bail!(
                "module {name} is neither in {} nor built into the kernel; use a kernel with CONFIG_UIO=m or =y, or omit \
                 --kernel",
                self.root.display()
            );
        }
        let mut loaded = Vec::new();
        wanted.iter().try_for_each(|name| self.load_with_dependencies(name, &mut loaded))?;
        Ok(loaded)
    }

    /// The names of the wanted modules that are built into the kernel.
    pub(crate) fn built_in(&self, wanted: &[&str]) -> Vec<String> {
        wanted.iter().filter(|name| self.is_built_in(name)).map(|name| (*name).to_owned()).collect()
    }

    fn load_with_dependencies(&self, name: &str, loaded: &mut Vec<Module>) -> anyhow::Result<()> {
        if loaded.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let Some(path) = self.files.get(name) else {
            // A dependency without file is built in, a wanted module does not exist.
            return Ok(());
        };
        let object = unpack(path)?;
        let module_release = field(&object, "vermagic=").and_then(|magic| magic.split(' ').next()).unwrap_or_default();
        let (path, release) = (path.display(), &self.release);
        ensure!(module_release == release, "{path}: built for kernel {module_release:?}, not for {release:?}");
        for needed in field(&object, "depends=").unwrap_or_default().split(',').filter(|name| !name.is_empty()) {
            self.load_with_dependencies(&needed.replace('-', "_"), loaded)?;
        }
        loaded.push(Module { name: name.to_owned(), object });
        Ok(())
    }

    fn is_built_in(&self, name: &str) -> bool {
        self.built_in.lines().any(|line| module_name(Path::new(line)).as_deref() == Some(name))
    }
}

fn collect(folder: &Path, files: &mut HashMap<String, PathBuf>) -> anyhow::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for path in entries(folder)? {
        if path.is_dir() && !path.is_symlink() {
            collect(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// `…/vfio-pci.ko.xz` is module `vfio_pci`.
fn module_name(path: &Path) -> Option<String> {
    let (stem, rest) = path.file_name()?.to_str()?.split_once(".ko")?;
    ["", ".xz", ".zst", ".gz"].contains(&rest).then(|| stem.replace('-', "_"))
}

fn unpack(path: &Path) -> anyhow::Result<Vec<u8>> {
    let unpacker = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(path).at("read", path),
    };
    if program(unpacker).is_none() {
        let install = host_packages::hint(&host::detect(), &Tool::unpacker(unpacker));
        let path = path.display();
        return Err(missing_dependency(format!("{path} needs {unpacker} to be decompressed: {install}")));
    }
    let output = command::run("unpacking a kernel module", Command::new(unpacker).arg("-dc").arg(path))?;
    Ok(output.stdout)
}

/// The release that the modules below `root` were built for, read from one of them; `None` without a readable module.
pub(crate) fn release(root: &Path) -> anyhow::Result<Option<String>> {
    let files = ModuleTree::open(root, "")?.files;
    let preferred = ["uio", "uio_pci_generic", "vfio"].iter().find_map(|name| files.get(*name));
    let Some(object) = preferred.or_else(|| files.values().min()).and_then(|path| unpack(path).ok()) else {
        return Ok(None);
    };
    Ok(field(&object, "vermagic=").and_then(|magic| magic.split(' ').next()).map(str::to_owned))
}

/// The text after `key` in the first string of the object with this prefix.
pub(crate) fn field<'a>(object: &'a [u8], key: &str) -> Option<&'a str> {
    object
        .split(|byte| *byte == 0)
        .find_map(|text| text.strip_prefix(key.as_bytes()))
        .and_then(|text| std::str::from_utf8(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "6.1.0-56-amd64";

    fn tree(modules: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("kernel/drivers");
        fs::create_dir_all(&folder).unwrap();
        for (name, depends) in modules {
            let text = format!("\x7fELF\0license=GPL\0depends={depends}\0vermagic={RELEASE} SMP mod_unload \0");
            fs::write(folder.join(name), text).unwrap();
        }
        fs::write(root.path().join("modules.builtin"), "kernel/drivers/pci/built-in.ko\n").unwrap();
        root
    }

    fn names(modules: &[Module]) -> Vec<&str> {
        modules.iter().map(|module| module.name.as_str()).collect()
    }

    #[test]
    fn modules_follow_their_dependencies_once() {
        let root = tree(&[
            ("uio.ko", ""),
            ("vfio-pci.ko", "vfio-pci-core,vfio"),
            ("vfio-pci-core.ko", "vfio"),
            ("vfio.ko", ""),
        ]);
        let tree = ModuleTree::open(root.path(), RELEASE).unwrap();
        let loaded = tree.load(&["vfio_pci", "uio", "vfio", "none"], Some("uio")).unwrap();
        assert_eq!(names(&loaded), ["vfio", "vfio_pci_core", "vfio_pci", "uio"]);
    }

    #[test]
    fn required_module_must_exist_or_be_built_in() {
        let root = tree(&[]);
        let tree = ModuleTree::open(root.path(), RELEASE).unwrap();
        let both = ["built_in", "vfio"];
        assert!(tree.load(&both, Some("built_in")).unwrap().is_empty());
        assert_eq!(tree.built_in(&both), ["built_in"]);
        assert!(tree.load(&["uio"], Some("uio")).unwrap_err().to_string().contains("module uio is neither in"));
    }

    #[test]
    fn refuses_module_of_another_kernel() {
        let root = tree(&[("uio.ko", "")]);
        let tree = ModuleTree::open(root.path(), "6.1.0-57-amd64").unwrap();
        let error = tree.load(&["uio"], Some("uio")).unwrap_err();
        assert!(error.to_string().contains(RELEASE), "{error}");
    }

    #[test]
    fn decompresses_modules() {
        let root = tree(&[("uio.ko", "")]);
        let plain = root.path().join("kernel/drivers/uio.ko");
        let content = fs::read(&plain).unwrap();
        assert!(Command::new("gzip").arg(&plain).status().unwrap().success());
        let tree = ModuleTree::open(root.path(), RELEASE).unwrap();
        assert_eq!(tree.load(&["uio"], Some("uio")).unwrap()[0].object, content);
    }

    #[test]
    fn recognizes_module_files() {
        assert_eq!(module_name(Path::new("a/vfio-pci.ko.xz")).as_deref(), Some("vfio_pci"));
        assert_eq!(module_name(Path::new("uio.ko")).as_deref(), Some("uio"));
        assert_eq!(module_name(Path::new("uio.ko.sig")), None);
        assert_eq!(module_name(Path::new("Kconfig")), None);
    }
}
