//! Reads directories, with the path in errors.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::provision::error::ProvisionError;

/// The sorted paths in `folder`.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, ProvisionError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        Ok(paths)
    };
    read().map_err(ProvisionError::io("read", folder))
}
