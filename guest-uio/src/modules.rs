//! Loading kernel modules from files, as PID 1 must: there is no modprobe in the small VM.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

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

/// Loads a module from its file; one that is loaded already is fine.
pub fn load(path: &Path) -> Result<(), ModuleError> {
    const NO_PARAMETERS: &CStr = c"";
    let failed = |source| ModuleError { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    match finit_module(file, NO_PARAMETERS, ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(failed(error.into())),
    }
}
