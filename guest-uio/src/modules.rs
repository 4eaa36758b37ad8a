//! Loading kernel modules from files, as PID 1 must: there is no modprobe in the small VM.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::kmod::init_module;

/// A module that could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot load {}", path.display())]
pub struct ModuleError {
    /// The file.
    pub path: PathBuf,
    /// The system's reason.
    #[source]
    pub source: io::Error,
}

/// Loads a module from the file `NAME.ko` in `folder`, behind those that it depends on; one that is loaded already is
/// fine. One that has no file counts as built in: whether it is shows when it is used.
pub fn load(folder: &Path, name: &str, parameters: &CStr) -> Result<(), ModuleError> {
    let path = folder.join(format!("{name}.ko"));
    let object = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|source| ModuleError { path: path.clone(), source })?,
    };
    for needed in dependencies(&object) {
        load(folder, &needed, c"")?;
    }
    match init_module(&object, parameters) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(ModuleError { path, source: error.into() }),
    }
}

/// What a module says of itself in its `.modinfo` section: zero-terminated strings, one of which begins with `depends=`.
/// It names files as they are in the kernel's tree, where some have hyphens; here all have underscores.
fn dependencies(object: &[u8]) -> Vec<String> {
    let found = object.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(b"depends="));
    let names = found.and_then(|names| std::str::from_utf8(names).ok()).unwrap_or_default();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_tells_what_it_depends_on() {
        let object = b"\x7fELF\0license=GPL\0depends=vfio,vfio-pci-core\0retpoline=Y\0";
        assert_eq!(dependencies(object), ["vfio", "vfio_pci_core"]);
        assert!(dependencies(b"\x7fELF\0depends=\0").is_empty());
        assert!(dependencies(b"\x7fELF\0license=GPL\0").is_empty());
    }

    #[test]
    fn a_module_without_a_file_is_taken_for_built_in() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path(), "uio", c"").is_ok());
    }
}
