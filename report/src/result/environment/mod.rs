//! The environment of a run: the facts that are needed to interpret its results and to repeat it. Flat in the document;
//! groups that are collected separately have their own files.

use serde::{Deserialize, Serialize};

use bench_model::Workload;
use bench_model::raw::RawRun;
use statistics::sum_known;

mod guest;
mod host;
mod load;
mod software;

pub use self::guest::GuestMachine;
pub use self::host::HostMachine;
pub use self::load::{HostLoad, OtherBenchmark};
pub use self::software::Software;

/// Machine, VM and their settings. `None`: unknown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Environment {
    /// Accelerator, verified by starting a guest: `kvm` or `tcg`.
    pub accel: String,
    /// How that was verified, or why it is not KVM.
    pub accel_reason: String,
    /// Whether interrupts went through KVM's irqfd instead of QEMU's main loop.
    pub irqfd: Option<bool>,
    /// Accelerator reported by QEMU's monitor after the last block: `kvm` or `tcg`.
    pub accel_seen: Option<String>,
    /// QEMU's version.
    pub qemu_version: Option<String>,
    /// The host kernel's release.
    pub host_kernel: Option<String>,
    /// The guest kernel's release.
    pub guest_kernel: Option<String>,
    /// The host's processor, as /proc/cpuinfo names it.
    pub cpu_model: Option<String>,
    /// CPUs that this run may use on the host.
    pub cores: u32,
    /// CPUs of the guest.
    pub guest_cpus: Option<u32>,
    /// The guest's clock source.
    pub clocksource: Option<String>,
    /// The driver bound to the device in the guest.
    pub driver: Option<String>,
    /// Why this driver was selected.
    pub driver_reason: Option<String>,
    /// How the guest mapped BAR2: driver and mapping.
    pub bar2_map: Option<String>,
    /// Whether loads from that mapping are cached, determined by their duration compared with private memory.
    pub bar2_cached: Option<bool>,
    /// Duration of one load from that mapping, in nanoseconds.
    pub bar2_ns_per_load: Option<f64>,
    /// CPU affinity of the measured threads.
    pub pinning: Option<String>,
    /// Gigabytes (10⁹) per second that the guest copies out of that mapping.
    pub bar2_read_gb_per_s: Option<f64>,
    /// The same with streaming loads.
    pub bar2_streaming_read_gb_per_s: Option<f64>,
    /// Gigabytes (10⁹) per second that the guest copies into that mapping.
    pub bar2_write_gb_per_s: Option<f64>,
    /// MSI-X vectors per peer.
    pub vectors: u32,
    /// Size of the shared memory.
    pub memory_bytes: u64,
    /// The git revision of this project, with `-dirty` if files were changed since.
    pub git_revision: Option<String>,
    /// Hardware counters that were not available, and why.
    pub perf_missing: Option<String>,
    /// When the run began (RFC 3339).
    pub started: Option<String>,
    /// The command that started the run.
    pub command: Option<String>,
    /// Frequency of the host's time stamp counter, in Hz.
    pub tsc_hz: Option<f64>,
    /// Spin time of hybrid waits, in nanoseconds: as requested, or the cost of blocking, measured at the start of the
    /// run. `--spin` repeats it. `null`: the run has no hybrid waits.
    pub hybrid_spin_ns: Option<u64>,
    /// The host.
    #[serde(flatten)]
    pub host: HostMachine,
    /// Other load.
    #[serde(flatten)]
    pub load: HostLoad,
    /// Programs.
    #[serde(flatten)]
    pub software: Software,
    /// Facts reported by the guest.
    #[serde(flatten)]
    pub guest: GuestMachine,
}

impl Environment {
    /// Fills unknown fields from guest and initiator. Known fields stay: facts from the guest are untrusted.
    #[must_use]
    pub fn completed_by(mut self, measured: &RawRun) -> Self {
        let guest = &measured.guest;
        fill(&mut self.guest_kernel, &guest.kernel);
        fill(&mut self.clocksource, &guest.clocksource);
        fill(&mut self.driver, &guest.driver);
        fill(&mut self.bar2_map, &guest.bar2_map);
        self.bar2_cached = self.bar2_cached.or(guest.bar2_cached);
        self.bar2_ns_per_load = self.bar2_ns_per_load.or(finite(guest.bar2_ns_per_load));
        self.bar2_read_gb_per_s = self.bar2_read_gb_per_s.or(finite(guest.bar2_read_gb_per_s));
        self.bar2_streaming_read_gb_per_s =
            self.bar2_streaming_read_gb_per_s.or(finite(guest.bar2_streaming_read_gb_per_s));
        self.bar2_write_gb_per_s = self.bar2_write_gb_per_s.or(finite(guest.bar2_write_gb_per_s));
        if let Some(missing) = &measured.perf_missing {
            fill(&mut self.perf_missing, missing);
        }
        fill(&mut self.guest.guest_cpu_model, &guest.cpu_model);
        fill(&mut self.guest.guest_command_line, &guest.command_line);
        self.guest.guest_steal_percent = self.guest.guest_steal_percent.or(finite(guest.steal_percent));
        self.hybrid_spin_ns = self.hybrid_spin_ns.or(measured.spin_ns);
        self.tsc_hz = self.tsc_hz.or(Some(measured.tsc_hz).filter(|hz| *hz > 0.0));
        // With busy threads, preemption is expected.
        let mut blocks = measured.blocks.iter().filter(|block| block.block.workload != Workload::Contention).peekable();
        let switches = blocks.peek().is_some().then(|| sum_known(blocks.map(|block| block.cpu.switches.preemptions())));
        let switches = switches.flatten();
        self.load.involuntary_switches = self.load.involuntary_switches.or(switches);
        if guest.cpus > 0 {
            self.guest_cpus.get_or_insert(guest.cpus);
        }
        if self.memory_bytes == 0 {
            self.memory_bytes = measured.memory_bytes;
        }
        self
    }
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

fn fill(field: &mut Option<String>, value: &str) {
    if !value.is_empty() {
        field.get_or_insert_with(|| value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_model::raw::GuestFacts;

    fn measured() -> RawRun {
        RawRun {
            guest: GuestFacts { driver: "uio_pci_msix".into(), cpus: 2, ..GuestFacts::default() },
            tsc_hz: 1e9,
            host_peer: 1,
            guest_peer: 0,
            spin_ns: Some(60_000),
            perf_missing: None,
            memory_bytes: 4096,
            ceilings: Vec::new(),
            overhead: None,
            blocks: Vec::new(),
            aborted: None,
        }
    }

    #[test]
    fn guest_facts_fill_only_unknown_fields() {
        let environment = Environment { driver: Some("vfio-pci".into()), ..Environment::default() };
        let completed = environment.completed_by(&measured());
        assert_eq!(completed.driver.as_deref(), Some("vfio-pci"));
        assert_eq!((completed.guest_cpus, completed.memory_bytes), (Some(2), 4096));
        assert_eq!(completed.hybrid_spin_ns, Some(60_000), "the value of --spin for a repetition");
    }

    #[test]
    fn parts_are_flattened_in_json_and_read_back() {
        let mut environment = Environment::default();
        environment.host.governor = Some("performance".into());
        environment.load.load_average = Some(0.5);
        let document = serde_json::to_value(&environment).unwrap();
        assert_eq!(document["governor"], "performance");
        assert_eq!(document["load_average"], 0.5);
        assert_eq!(serde_json::from_value::<Environment>(document).unwrap(), environment);
        assert_eq!(serde_json::from_str::<Environment>("{}").unwrap(), Environment::default());
    }

    #[test]
    fn empty_guest_facts_stay_unknown() {
        assert_eq!(Environment::default().completed_by(&measured()).guest_kernel, None);
    }
}
