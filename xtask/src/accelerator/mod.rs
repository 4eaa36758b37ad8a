//! Selects KVM or emulation by starting a guest. An accessible /dev/kvm does not suffice: on some hosts QEMU aborts with `-cpu
//! host`, on others the guest's kernel hangs early.
//!
//! `kvm_probe` starts the guest; `probe_cache` keeps the result.

mod kvm_probe;
mod probe_cache;

use std::time::Duration;

use humantime::format_duration;
use serde::{Deserialize, Serialize};

use crate::arguments::AutoOr;
use crate::exit_status::missing_dependency;
use crate::guest_args::GuestArgs;
use crate::provision::GuestImage;
use crate::signals::StopFlag;
use crate::timeouts::TimeoutArgs;
use crate::vm::cpu_model::CpuModel;
use bench_model::{ASKED_FOR, Accelerator};
use kvm_probe::open_kvm;
use probe_cache::{ProbeCache, ProbeKey};

/// The selected accelerator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The accelerator.
    pub(crate) accelerator: Accelerator,
    /// Its name and the reason, in one line.
    pub(crate) why: String,
}

/// The result of starting a guest under KVM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KvmProbe {
    /// Its init printed that it is up.
    Works {
        /// From the start of QEMU.
        took: Duration,
    },
    /// It did not come up.
    Failed {
        /// What happened, in one line.
        reason: String,
        /// The last lines on the guest's console.
        #[serde(skip)]
        console: String,
        /// The timeout, if it expired.
        waited: Option<Duration>,
    },
}

/// Selects the accelerator. `--accel kvm` fails as a missing dependency if no guest starts under KVM.
pub(crate) fn select(
    args: &GuestArgs,
    guest: &GuestImage,
    stop: &StopFlag,
    progress: &dyn Fn(&str),
) -> anyhow::Result<Choice> {
    let reuse = match args.accel {
        AutoOr::Only(Accelerator::Tcg) => {
            return Ok(Choice {
                accelerator: Accelerator::Tcg,
                why: format!("{}: {ASKED_FOR}", Accelerator::Tcg.name()),
            });
        }
        AutoOr::Only(Accelerator::Kvm) => Reuse::Success,
        AutoOr::Auto => Reuse::All,
    };
    let checked = check_kvm(args.cpu.as_ref(), &args.timeouts, reuse, guest, stop, progress)?;
    if let KvmProbe::Failed { reason, console, waited } = &checked.probe
        && reuse == Reuse::Success
    {
        let console = if console.is_empty() {
            String::new()
        } else {
            format!("\nlast lines of its console:\n  {}", console.replace('\n', "\n  "))
        };
        let longer = if waited.is_some() { "a longer --kvm-timeout, " } else { "" };
        return Err(missing_dependency(format!(
            "no guest under KVM: {reason}{console}\nuse {longer}--accel tcg, or a host with working KVM"
        )));
    }
    let choice = automatic(checked);
    match args.cpu.as_ref().filter(|cpu| cpu.needs_kvm() && choice.accelerator == Accelerator::Tcg) {
        Some(cpu) => Err(missing_dependency(format!(
            "--cpu {cpu} needs KVM: {}; use another model, such as --cpu max",
            choice.why.trim_start_matches("tcg: ")
        ))),
        None => Ok(choice),
    }
}

/// KVM if a guest starts under it.
fn automatic(checked: KvmCheck) -> Choice {
    let (accelerator, why) = match (checked.probe, checked.is_cached) {
        (KvmProbe::Works { .. }, true) => {
            (Accelerator::Kvm, "a guest started under KVM earlier, since the last boot".to_owned())
        }
        (KvmProbe::Works { took }, false) => {
            (Accelerator::Kvm, format!("the guest was up in {:.1} s", took.as_secs_f64()))
        }
        (KvmProbe::Failed { reason, .. }, true) => {
            (Accelerator::Tcg, format!("KVM failed earlier, since the last boot: {reason}"))
        }
        (KvmProbe::Failed { reason, .. }, false) => (Accelerator::Tcg, format!("no guest under KVM: {reason}")),
    };
    Choice { accelerator, why: format!("{}: {why}", accelerator.name()) }
}

/// Which cached results replace a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// None.
    Nothing,
    /// Only successes.
    Success,
    /// All.
    All,
}

/// A result of the KVM probe.
#[derive(Debug)]
pub(crate) struct KvmCheck {
    /// The result.
    pub(crate) probe: KvmProbe,
    /// Whether it is from an earlier probe.
    pub(crate) is_cached: bool,
}

/// Determines whether a guest starts under KVM, and caches the result.
pub(crate) fn check_kvm(
    cpu: Option<&CpuModel>,
    timeouts: &TimeoutArgs,
    reuse: Reuse,
    guest: &GuestImage,
    stop: &StopFlag,
    progress: &dyn Fn(&str),
) -> anyhow::Result<KvmCheck> {
    let cpu = CpuModel::or_default(cpu, Accelerator::Kvm);
    let timeout = timeouts.kvm_timeout();
    let key = ProbeKey::now(guest, &cpu);
    let path = ProbeCache::path();
    let is_reusable = |probe: &KvmProbe| match (reuse, probe) {
        (Reuse::Nothing, _) | (Reuse::Success, KvmProbe::Failed { .. }) => false,
        // If the device has become inaccessible, a new probe gives the reason.
        (_, KvmProbe::Works { .. }) => open_kvm().is_ok(),
        (Reuse::All, KvmProbe::Failed { .. }) => true,
    };
    if let Some(probe) = ProbeCache::read(&path).find(&key, timeout).filter(is_reusable) {
        return Ok(KvmCheck { probe, is_cached: true });
    }
    progress(&format!("waiting up to {} for a guest to start under KVM (--kvm-timeout)", format_duration(timeout)));
    let probe = kvm_probe::probe_kvm(guest, &cpu, timeout, stop)?;
    if is_cacheable(&probe) {
        // Another process may have written in the meantime.
        let mut cache = ProbeCache::read(&path);
        cache.put(key, probe.clone());
        cache.write(&path);
    }
    Ok(KvmCheck { probe, is_cached: false })
}

/// Whether the result may be cached until the next boot. Two kinds of failure may not:
/// - Without access to the device, trying again is cheap, and access may be granted without a boot.
/// - QEMU ended before the guest printed anything: it may have lacked a resource, such as the console's file.
fn is_cacheable(probe: &KvmProbe) -> bool {
    match probe {
        KvmProbe::Works { .. } => true,
        KvmProbe::Failed { console, waited, .. } => (waited.is_some() || !console.is_empty()) && open_kvm().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_without_a_guest_is_not_cached() {
        let failed = |console: &str, waited| {
            let reason = "the guest was not up".to_owned();
            is_cacheable(&KvmProbe::Failed { reason, console: console.to_owned(), waited })
        };
        assert!(!failed("", None));
        assert_eq!(failed("", Some(Duration::from_secs(20))), open_kvm().is_ok());
        assert_eq!(failed("Booting Linux", None), open_kvm().is_ok());
        assert!(is_cacheable(&KvmProbe::Works { took: Duration::ZERO }));
    }

    /// The report puts the choice in parentheses.
    #[test]
    fn choice_after_a_failed_probe_adds_no_parentheses() {
        let reason = kvm_probe::explain_kvm(&std::io::ErrorKind::NotFound.into());
        for is_cached in [false, true] {
            let probe = KvmProbe::Failed { reason: reason.clone(), console: String::new(), waited: None };
            let choice = automatic(KvmCheck { probe, is_cached });
            assert_eq!(choice.accelerator, Accelerator::Tcg);
            assert!(choice.why.starts_with("tcg: ") && choice.why.contains("no /dev/kvm"), "{}", choice.why);
            assert!(!choice.why.contains('('), "{}", choice.why);
        }
    }
}
