//! KVM or emulation, decided by starting a guest: a /dev/kvm that opens proves nothing. There are machines where QEMU aborts
//! on `-cpu host`, and others where a kernel never gets past its first messages.
//!
//! `probe` starts the guest; `cache` keeps the result.

mod cache;
mod probe;

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::cpu::Cpu;
use crate::deadline::{DeadlineArgs, shown};
use crate::failure::lacks;
use crate::provision::Guest;
use crate::qemu::Accelerator;
use crate::stop::Stop;
use cache::{ProbeCache, ProbeKey};
use probe::open_kvm;

#[cfg(test)]
pub(crate) use probe::qemu_version;

/// `--accel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Accel {
    /// KVM if the guest comes up under it, else emulation.
    #[default]
    Auto,
    /// KVM or nothing.
    Kvm,
    /// Emulation.
    Tcg,
}

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
pub(crate) enum Proof {
    /// Its init spoke.
    Proved {
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
    pub(crate) cpu: Option<&'a Cpu>,
    /// `--kvm-timeout` and `--timeout-scale`
    pub(crate) deadlines: &'a DeadlineArgs,
}

/// Decides what the guest runs on. Results are kept until the machine boots or something changes that they depend on.
///
/// `--accel kvm` where the guest does not come up under KVM is an error: the machine lacks something.
pub(crate) fn choose(
    wanted: Accel,
    options: ProbeOptions<'_>,
    guest: &Guest,
    stop: &Stop,
    progress: &dyn Fn(&str),
) -> anyhow::Result<Choice> {
    if wanted == Accel::Tcg {
        return Ok(Choice::tcg("tcg: asked for".to_owned()));
    }
    let reuse = if wanted == Accel::Kvm { Reuse::Success } else { Reuse::All };
    let checked = check_kvm(options, reuse, guest, stop, progress)?;
    let choice = match (checked.proof, checked.is_cached) {
        (Proof::Proved { .. }, true) => {
            Choice::kvm("kvm: proved earlier with this guest, since the last boot".to_owned())
        }
        (Proof::Proved { took }, false) => Choice::kvm(format!("kvm: the guest was up in {:.1} s", took.as_secs_f64())),
        (Proof::Failed { reason, console, waited }, _) if wanted == Accel::Kvm => {
            let console = console_text(&console);
            let longer = if waited.is_some() { "a longer --kvm-timeout, " } else { "" };
            return Err(lacks(format!(
                "no guest under KVM: {reason}{console}\nuse {longer}--accel tcg, or a machine with working KVM"
            )));
        }
        (Proof::Failed { reason, .. }, true) => {
            Choice::tcg(format!("tcg: KVM failed earlier, since the last boot ({reason})"))
        }
        (Proof::Failed { reason, .. }, false) => Choice::tcg(format!("tcg: no guest under KVM ({reason})")),
    };
    match options.cpu.filter(|cpu| cpu.needs_kvm() && choice.accelerator == Accelerator::Tcg) {
        Some(cpu) => Err(lacks(format!(
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
    pub(crate) proof: Proof,
    /// Whether it is an earlier result.
    pub(crate) is_cached: bool,
}

/// Determines whether a guest starts under KVM, and keeps the result.
pub(crate) fn check_kvm(
    options: ProbeOptions<'_>,
    reuse: Reuse,
    guest: &Guest,
    stop: &Stop,
    progress: &dyn Fn(&str),
) -> anyhow::Result<Checked> {
    let cpu = Cpu::or_default(options.cpu, Accelerator::Kvm);
    let timeout = options.deadlines.kvm_timeout();
    let key = ProbeKey::now(guest, &cpu);
    let path = ProbeCache::path();
    let may = |proof: &Proof| match (reuse, proof) {
        (Reuse::Nothing, _) | (Reuse::Success, Proof::Failed { .. }) => false,
        // A device that has become inaccessible gives its own reason.
        (_, Proof::Proved { .. }) => open_kvm().is_ok(),
        (Reuse::All, Proof::Failed { .. }) => true,
    };
    if let Some(proof) = ProbeCache::read(&path).find(&key, timeout).filter(may) {
        return Ok(Checked { proof, is_cached: true });
    }
    progress(&format!("waiting up to {} for a guest to start under KVM (--kvm-timeout)", shown(timeout)));
    let proof = probe::prove_kvm(guest, &cpu, timeout, stop)?;
    // A device that does not open is tried again each time: that costs nothing, and the hint needs no boot.
    if matches!(proof, Proof::Proved { .. }) || open_kvm().is_ok() {
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
