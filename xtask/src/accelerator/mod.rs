//! KVM or emulation, decided by starting a guest: a /dev/kvm that opens proves nothing. There are machines where QEMU aborts
//! on `-cpu host`, and others where a kernel never gets past its first messages.
//!
//! `probe` starts the guest; `cache` keeps the result.

mod kvm_probe;
mod probe_cache;

use std::time::Duration;

use crate::arguments::AutoOr;
use crate::exit_status::missing_dependency;
use crate::provision::Guest;
use crate::signals::StopFlag;
use crate::timeouts::{TimeoutArgs, format_duration};
use crate::vm::cpu_model::CpuModel;
use bench_model::Accelerator;
use kvm_probe::open_kvm;
use probe_cache::{ProbeCache, ProbeKey};

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What the guest runs on.
    pub(crate) accelerator: Accelerator,
    /// Why, in one line for people.
    pub(crate) why: String,
}

impl Choice {
    fn kvm(why: String) -> Self {
        Self { accelerator: Accelerator::Kvm, why }
    }

    fn tcg(why: String) -> Self {
        Self { accelerator: Accelerator::Tcg, why }
    }
}

/// How an attempt to start the guest under KVM ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KvmProbe {
    /// Its init spoke.
    Works {
        /// From the start of QEMU.
        took: Duration,
    },
    /// It did not.
    Failed {
        /// What happened, in one line.
        reason: String,
        /// The last lines on the guest's console.
        console: Vec<String>,
        /// The deadline, if that is what ended it.
        waited: Option<Duration>,
    },
}

/// What the KVM check is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProbeOptions<'a> {
    /// `--cpu`
    pub(crate) cpu: Option<&'a CpuModel>,
    /// `--kvm-timeout` and `--timeout-scale`
    pub(crate) timeouts: &'a TimeoutArgs,
}

/// Decides what the guest runs on. Results are kept until the machine boots or something changes that they depend on.
///
/// `--accel kvm` where the guest does not come up under KVM is an error: the machine lacks something.
pub(crate) fn select(
    wanted: AutoOr<Accelerator>,
    options: ProbeOptions<'_>,
    guest: &Guest,
    stop: &StopFlag,
    progress: &dyn Fn(&str),
) -> anyhow::Result<Choice> {
    if wanted == AutoOr::Only(Accelerator::Tcg) {
        return Ok(Choice::tcg("tcg: asked for".to_owned()));
    }
    let reuse = if wanted == AutoOr::Only(Accelerator::Kvm) { Reuse::Success } else { Reuse::All };
    let checked = check_kvm(options, reuse, guest, stop, progress)?;
    let choice = match (checked.proof, checked.is_cached) {
        (KvmProbe::Works { .. }, true) => {
            Choice::kvm("kvm: proved earlier with this guest, since the last boot".to_owned())
        }
        (KvmProbe::Works { took }, false) => {
            Choice::kvm(format!("kvm: the guest was up in {:.1} s", took.as_secs_f64()))
        }
        (KvmProbe::Failed { reason, console, waited }, _) if wanted == AutoOr::Only(Accelerator::Kvm) => {
            let console = console_text(&console);
            let longer = if waited.is_some() { "a longer --kvm-timeout, " } else { "" };
            return Err(missing_dependency(format!(
                "no guest under KVM: {reason}{console}\nuse {longer}--accel tcg, or a machine with working KVM"
            )));
        }
        (KvmProbe::Failed { reason, .. }, true) => {
            Choice::tcg(format!("tcg: KVM failed earlier, since the last boot ({reason})"))
        }
        (KvmProbe::Failed { reason, .. }, false) => Choice::tcg(format!("tcg: no guest under KVM ({reason})")),
    };
    match options.cpu.filter(|cpu| cpu.needs_kvm() && choice.accelerator == Accelerator::Tcg) {
        Some(cpu) => Err(missing_dependency(format!(
            "--cpu {cpu} needs KVM: {}; use another model, such as --cpu max",
            choice.why.trim_start_matches("tcg: ")
        ))),
        None => Ok(choice),
    }
}

/// Which kept results a check may return instead of starting a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// None.
    Nothing,
    /// Only one that KVM works.
    Success,
    /// Any.
    All,
}

/// A result and its age.
#[derive(Debug)]
pub(crate) struct Checked {
    /// How it ended.
    pub(crate) proof: KvmProbe,
    /// Whether it is an earlier result.
    pub(crate) is_cached: bool,
}

/// Determines whether a guest starts under KVM, and keeps the result.
pub(crate) fn check_kvm(
    options: ProbeOptions<'_>,
    reuse: Reuse,
    guest: &Guest,
    stop: &StopFlag,
    progress: &dyn Fn(&str),
) -> anyhow::Result<Checked> {
    let cpu = CpuModel::or_default(options.cpu, Accelerator::Kvm);
    let timeout = options.timeouts.kvm_timeout();
    let key = ProbeKey::now(guest, &cpu);
    let path = ProbeCache::path();
    let may = |proof: &KvmProbe| match (reuse, proof) {
        (Reuse::Nothing, _) | (Reuse::Success, KvmProbe::Failed { .. }) => false,
        // A device that has become inaccessible gives its own reason.
        (_, KvmProbe::Works { .. }) => open_kvm().is_ok(),
        (Reuse::All, KvmProbe::Failed { .. }) => true,
    };
    if let Some(proof) = ProbeCache::read(&path).find(&key, timeout).filter(may) {
        return Ok(Checked { proof, is_cached: true });
    }
    progress(&format!("waiting up to {} for a guest to start under KVM (--kvm-timeout)", format_duration(timeout)));
    let proof = kvm_probe::probe_kvm(guest, &cpu, timeout, stop)?;
    // A device that does not open is tried again each time: that costs nothing, and the hint needs no boot.
    if matches!(proof, KvmProbe::Works { .. }) || open_kvm().is_ok() {
        // Read again: another process may have written meanwhile.
        let mut cache = ProbeCache::read(&path);
        cache.put(key, &proof);
        cache.write(&path);
    }
    Ok(Checked { proof, is_cached: false })
}

fn console_text(console: &[String]) -> String {
    if console.is_empty() { String::new() } else { format!("\nlast words on its console:\n  {}", console.join("\n  ")) }
}
