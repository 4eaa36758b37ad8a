//! Loads kernel modules from files. The small VM does not contain modprobe.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use nix::errno::Errno;
use nix::kmod::init_module;

/// Loads `NAME.ko` from `folder`, after its dependencies. A module that is already loaded is not an error. A missing file
/// is not an error either: the module may be built in, and a missing driver is reported when it is bound.
pub fn load(folder: &Path, name: &str, parameters: &CStr) -> anyhow::Result<()> {
    let path = folder.join(format!("{name}.ko"));
    let object = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.with_context(|| format!("cannot load {}", path.display()))?,
    };
    for needed in dependencies(&object) {
        load(folder, &needed, c"")?;
    }
    match init_module(&object, parameters) {
        Err(Errno::EEXIST) => Ok(()),
        loaded => loaded.map_err(io::Error::from).with_context(|| format!("cannot load {}", path.display())),
    }
}

/// Reads `depends=` from a module's `.modinfo` section, which consists of zero-terminated strings. Hyphens become
/// underscores, as in the file names of the initramfs.
fn dependencies(object: &[u8]) -> Vec<String> {
    let found = object.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(b"depends="));
    let names = found.and_then(|names| std::str::from_utf8(names).ok()).unwrap_or_default();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dependencies_from_modinfo() {
        let object = b"\x7fELF\0license=GPL\0depends=vfio,vfio-pci-core\0retpoline=Y\0";
        assert_eq!(dependencies(object), ["vfio", "vfio_pci_core"]);
        assert!(dependencies(b"\x7fELF\0depends=\0").is_empty());
        assert!(dependencies(b"\x7fELF\0license=GPL\0").is_empty());
    }

    #[test]
    fn missing_file_counts_as_built_in() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path(), "uio", c"").is_ok());
    }
}
