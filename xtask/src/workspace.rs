//! The paths of the checkout and its build results.

use std::env;
use std::path::{Path, PathBuf};

/// The checkout that this program was built from, or that Cargo runs it in.
pub(crate) fn workspace_root() -> PathBuf {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// Cargo's target directory, which contains everything that is built.
pub(crate) fn target_folder(workspace: &Path) -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) if !folder.is_empty() => std::path::absolute(&folder).unwrap_or_else(|_| workspace.join(&folder)),
        _ => workspace.join("target"),
    }
}

/// The directory of provisioning's results.
pub(crate) fn cache_folder() -> PathBuf {
    target_folder(&workspace_root()).join("vm")
}
