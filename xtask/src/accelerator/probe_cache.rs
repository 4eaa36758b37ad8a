//! Results of KVM probes, valid until the host boots or QEMU, the kernel or `--cpu` changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::KvmProbe;
use crate::files;
use crate::provision::GuestImage;
use crate::provision::cache::PARTIAL;
use crate::sys_files::SysRoot;
use crate::vm::cpu_model::CpuModel;
use crate::vm::qemu_version;
use crate::workspace::cache_folder;

/// Maximum number of results.
const MAX_KEPT: usize = 16;

/// Everything that a result depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProbeKey {
    boot_id: String,
    qemu_version: String,
    kernel_release: String,
    kernel_version: String,
    cpu: String,
}

impl ProbeKey {
    pub(super) fn now(guest: &GuestImage, cpu: &CpuModel) -> Self {
        Self {
            boot_id: SysRoot::real().text("proc/sys/kernel/random/boot_id").unwrap_or_default(),
            qemu_version: qemu_version().unwrap_or_default(),
            kernel_release: guest.kernel.release.clone(),
            kernel_version: guest.kernel.version.clone(),
            cpu: cpu.to_string(),
        }
    }
}

/// A cached result.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CachedProbe {
    key: ProbeKey,
    probe: KvmProbe,
}

/// The results of this host.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProbeCache {
    /// Ordered by age, the newest last.
    probes: Vec<CachedProbe>,
}

impl ProbeCache {
    /// The path of the file.
    pub(super) fn path() -> PathBuf {
        cache_folder().join("kvm.json")
    }

    /// Reads the file. An unreadable file counts as empty.
    pub(super) fn read(path: &Path) -> Self {
        fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// The result for `key`, unless a timeout shorter than `timeout` ended it.
    pub(super) fn find(&self, key: &ProbeKey, timeout: Duration) -> Option<KvmProbe> {
        match &self.probes.iter().rfind(|cached| cached.key == *key)?.probe {
            KvmProbe::Failed { waited: Some(waited), .. } if *waited < timeout => None,
            probe => Some(probe.clone()),
        }
    }

    /// Replaces the result of `key`.
    pub(super) fn put(&mut self, key: ProbeKey, probe: KvmProbe) {
        // Results of earlier boots are obsolete.
        self.probes.retain(|probe| probe.key != key && probe.key.boot_id == key.boot_id);
        self.probes.push(CachedProbe { key, probe });
        self.probes.drain(..self.probes.len().saturating_sub(MAX_KEPT));
    }

    /// Writes the file atomically. Errors are ignored: the next run probes again.
    ///
    /// Several processes may write at the same time. If this one is killed, the next process that opens the cache of
    /// provisioning removes the unfinished file.
    pub(super) fn write(&self, path: &Path) {
        let partial = format!("{PARTIAL}kvm-{}", std::process::id());
        let _ = serde_json::to_vec_pretty(self).map(|text| files::replace(path, &partial, &text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(cpu: &str) -> ProbeKey {
        let text = |text: &str| text.to_owned();
        ProbeKey {
            boot_id: text("b"),
            qemu_version: text("q"),
            kernel_release: text("r"),
            kernel_version: text("v"),
            cpu: text(cpu),
        }
    }

    fn failed(waited: Option<Duration>) -> KvmProbe {
        KvmProbe::Failed { reason: "it broke".to_owned(), console: String::new(), waited }
    }

    #[test]
    fn short_timeout_does_not_exclude_a_longer_one() {
        let mut cache = ProbeCache::default();
        cache.put(key("host"), failed(Some(6 * SECOND)));
        assert!(matches!(cache.find(&key("host"), 6 * SECOND), Some(KvmProbe::Failed { .. })));
        assert!(matches!(cache.find(&key("host"), SECOND), Some(KvmProbe::Failed { .. })));
        assert_eq!(cache.find(&key("host"), 7 * SECOND), None);
        cache.put(key("host"), failed(None));
        assert!(cache.find(&key("host"), 1_000 * SECOND).is_some(), "an exit of QEMU does not depend on the timeout");
    }

    #[test]
    fn success_is_valid_for_its_key_and_any_timeout() {
        let mut cache = ProbeCache::default();
        cache.put(key("host"), KvmProbe::Works { took: 50 * SECOND });
        assert_eq!(cache.find(&key("host"), SECOND), Some(KvmProbe::Works { took: 50 * SECOND }));
        assert_eq!(cache.find(&key("host,-avx2"), SECOND), None);
        for other in [
            ProbeKey { boot_id: "x".into(), ..key("host") },
            ProbeKey { qemu_version: "x".into(), ..key("host") },
            ProbeKey { kernel_release: "x".into(), ..key("host") },
            ProbeKey { kernel_version: "x".into(), ..key("host") },
        ] {
            assert_eq!(cache.find(&other, SECOND), None, "{other:?}");
        }
    }

    #[test]
    fn results_of_an_earlier_boot_are_dropped() {
        let mut cache = ProbeCache::default();
        for cpu in 0..2 * MAX_KEPT {
            cache.put(key(&cpu.to_string()), failed(None));
        }
        assert_eq!(cache.probes.len(), MAX_KEPT);
        cache.put(ProbeKey { boot_id: "next".into(), ..key("host") }, failed(None));
        assert_eq!(cache.probes.len(), 1);
    }

    #[test]
    fn damaged_file_counts_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kvm.json");
        let mut cache = ProbeCache::default();
        cache.put(key("host"), failed(Some(SECOND)));
        cache.put(key("max"), KvmProbe::Works { took: SECOND });
        cache.write(&path);
        assert_eq!(ProbeCache::read(&path), cache);
        fs::write(&path, "{\"circumstances\": {}}").unwrap();
        assert_eq!(ProbeCache::read(&path), ProbeCache::default());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
