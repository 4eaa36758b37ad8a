//! Reads small files of /proc and /sys. A missing or unreadable file gives `None`.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory that contains `proc`, `sys` and `etc`.
#[derive(Debug, Clone)]
pub(super) struct SysRoot(PathBuf);

impl SysRoot {
    pub(super) fn real() -> Self {
        Self("/".into())
    }

    /// A directory of a test.
    #[cfg(test)]
    pub(super) fn at(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// A file's text without the line end; `None` if it is missing or empty.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = fs::read_to_string(self.0.join(path)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The number in a file.
    pub(super) fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// The first value of `key: value` or `key=value` in a file.
    pub(super) fn value(&self, path: impl AsRef<Path>, key: &str) -> Option<String> {
        let text = self.text(path)?;
        text.lines().find_map(|line| {
            let (name, value) = line.split_once([':', '='])?;
            (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
        })
    }

    /// The sorted names in a directory; empty if it cannot be read.
    pub(super) fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(path)).into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The list in a file, such as `0-3,8`.
    pub(super) fn list(&self, path: impl AsRef<Path>) -> Option<Vec<usize>> {
        bench_model::pinning::cpu_list(&self.text(path)?)
    }

    /// The CPUs that are online.
    pub(super) fn cpus(&self) -> Vec<usize> {
        self.list("sys/devices/system/cpu/online").unwrap_or_default()
    }
}
