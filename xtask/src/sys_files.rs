//! Reads small files of /proc and /sys. A missing or unreadable file gives `None`.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory that contains `proc`, `sys` and `etc`: the root, or a directory of a test.
#[derive(Debug, Clone)]
pub(crate) struct SysRoot(pub(crate) PathBuf);

impl SysRoot {
    /// This machine's.
    pub(crate) fn real() -> Self {
        Self("/".into())
    }

    /// A file's text without the line end; `None` if it is missing or empty.
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = fs::read_to_string(self.0.join(path)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The number in a file.
    pub(crate) fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// The first value of `key: value` or `key=value` in a file.
    pub(crate) fn value(&self, path: impl AsRef<Path>, key: &str) -> Option<String> {
        let text = self.text(path)?;
        text.lines().find_map(|line| {
            let (name, value) = line.split_once([':', '='])?;
            (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
        })
    }

    /// A value of /proc/meminfo, in bytes.
    pub(crate) fn memory(&self, key: &str) -> Option<u64> {
        self.value("proc/meminfo", key)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    /// The CPU's flags.
    pub(crate) fn cpu_flags(&self) -> Option<Vec<String>> {
        Some(self.value("proc/cpuinfo", "flags")?.split_whitespace().map(str::to_owned).collect())
    }

    /// The sorted names in a directory; empty if it cannot be read.
    pub(crate) fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(path)).into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The list in a file, such as `0-3,8`.
    pub(crate) fn list(&self, path: impl AsRef<Path>) -> Option<Vec<usize>> {
        bench_model::pinning::cpu_list(&self.text(path)?)
    }

    /// The CPUs that are online.
    pub(crate) fn cpus(&self) -> Vec<usize> {
        self.list("sys/devices/system/cpu/online").unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_bytes() {
        let root = tempfile::tempdir().unwrap();
        let sysroot = SysRoot(root.path().to_owned());
        assert_eq!(sysroot.memory("MemAvailable"), None);
        fs::create_dir(root.path().join("proc")).unwrap();
        let text = "MemTotal:       24000000 kB\nMemFree: 1 kB\nMemAvailable:    2097152 kB\n";
        fs::write(root.path().join("proc/meminfo"), text).unwrap();
        assert_eq!(sysroot.memory("MemAvailable"), Some(2048 << 20));
        assert_eq!(sysroot.memory("MemAvail"), None);
    }
}
