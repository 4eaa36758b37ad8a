//! `--pin`: the CPU affinity of a run's threads.

use std::str::FromStr;

use bench_model::Pinning;

use crate::exit_status::usage;

/// The value of `--pin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pin {
    /// The initiator and each vCPU on its own CPU, as far as there are enough.
    Auto,
    /// No pinning.
    None,
    /// This map.
    Map(Pinning),
}

/// The accepted values, for messages.
const FORM: &str = "auto, none, or a map such as host=0,vcpu=1,main=2 (several vCPUs: vcpu0=1,vcpu1=2)";

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            map => parse_map(map).map(Self::Map),
        }
    }
}

fn parse_map(text: &str) -> Result<Pinning, String> {
    /// The limit of `--smp`.
    const MAX_VCPUS: usize = 64;
    let mut pinning = Pinning::default();
    for part in text.split(',') {
        let (key, cpu) = part.split_once('=').ok_or_else(|| format!("{part:?} lacks a CPU; use {FORM}"))?;
        let cpu: usize = cpu.parse().map_err(|_| format!("{cpu:?} is not a CPU number; use {FORM}"))?;
        let vcpu = match key {
            "vcpu" => Some(0),
            other => other.strip_prefix("vcpu").and_then(|number| number.parse().ok()),
        };
        let place = match (key, vcpu) {
            ("host", _) => &mut pinning.host,
            ("main", _) => &mut pinning.main_loop,
            (_, Some(index)) if index < MAX_VCPUS => {
                let len = pinning.vcpus.len().max(index + 1);
                pinning.vcpus.resize(len, None);
                &mut pinning.vcpus[index]
            }
            _ => return Err(format!("{key:?} is not a thread of a run; use {FORM}")),
        };
        if place.replace(cpu).is_some() {
            return Err(format!("{key:?} occurs twice; give each thread one CPU"));
        }
    }
    Ok(pinning)
}

impl Pin {
    /// The pinning on a host with these CPUs. An error is wrong usage.
    pub(crate) fn on(&self, cpus: &[usize], guest_cpus: usize) -> anyhow::Result<Pinning> {
        match self {
            Self::None => Ok(Pinning::default()),
            Self::Auto => Ok(automatic(cpus, guest_cpus)),
            Self::Map(pinning) => {
                if pinning.vcpus.len() > guest_cpus {
                    let (last, needed) = (pinning.vcpus.len() - 1, pinning.vcpus.len());
                    return Err(usage(format!("--pin vcpu{last}: the guest has {guest_cpus}; try --smp {needed}")));
                }
                for (thread, cpu) in pinning.threads() {
                    if !cpus.contains(&cpu) {
                        let may: Vec<String> = cpus.iter().map(ToString::to_string).collect();
                        let may = may.join(", ");
                        return Err(usage(format!(
                            "--pin {thread}={cpu}: this process may not use that CPU; use one of {may}, or extend its \
                             CPU affinity (taskset, cpuset)"
                        )));
                    }
                }
                Ok(pinning.clone())
            }
        }
    }
}

/// The initiator on the first CPU, vCPUs from the second on. QEMU's main loop is not pinned, because it works only while
/// both sides wait. With a single CPU, no thread is pinned.
fn automatic(cpus: &[usize], guest_cpus: usize) -> Pinning {
    match cpus {
        [host, others @ ..] if !others.is_empty() => Pinning {
            host: Some(*host),
            vcpus: (0..guest_cpus).map(|index| others.get(index).copied()).collect(),
            main_loop: None,
        },
        _ => Pinning::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(text: &str, cpus: &[usize], guest_cpus: usize) -> Result<String, String> {
        let pin: Pin = text.parse()?;
        pin.on(cpus, guest_cpus).map(|pinning| pinning.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn auto_uses_one_cpu_per_thread() {
        assert_eq!(on("auto", &[2, 3, 5], 1).unwrap(), "host=2,vcpu0=3");
        assert_eq!(on("auto", &[2, 3, 5], 4).unwrap(), "host=2,vcpu0=3,vcpu1=5");
        assert_eq!(on("auto", &[2], 1).unwrap(), "none");
        assert_eq!(on("none", &[0, 1], 1).unwrap(), "none");
    }

    #[test]
    fn map_names_each_thread() {
        assert_eq!(on("host=0,vcpu=1,main=2", &[0, 1, 2], 1).unwrap(), "host=0,vcpu0=1,main=2");
        assert_eq!(on("vcpu1=1,vcpu0=0", &[0, 1], 2).unwrap(), "vcpu0=0,vcpu1=1");
    }

    #[test]
    fn wrong_map_has_a_hint() {
        for (map, hint) in [
            ("guest=1", "host=0,vcpu=1"),
            ("host", "host=0,vcpu=1"),
            ("host=a", "host=0,vcpu=1"),
            ("vcpu99=1", "host=0,vcpu=1"),
            ("host=0,host=1", "give each thread one CPU"),
            ("vcpu=0,vcpu0=1", "give each thread one CPU"),
            ("host=7", "use one of 0, 1"),
            ("vcpu1=1", "--smp 2"),
        ] {
            let error = on(map, &[0, 1], 1).unwrap_err();
            assert!(error.contains(hint), "{map}: {error}");
        }
    }
}
