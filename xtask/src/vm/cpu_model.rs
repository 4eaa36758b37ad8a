//! `--cpu`: the CPU model of the guest, as for QEMU's `-cpu`. QEMU checks it before anything is built.

use std::fmt;
use std::io::Write;
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::arguments::AutoOr;
use crate::exit_status::usage;
use crate::vm::QEMU;
use bench_model::Accelerator;

/// A model with its flags, such as `Haswell,-avx2` or `max,phys-bits=52`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CpuModel(String);

/// The host's CPU, which only KVM offers.
const HOST: &str = "host";

impl FromStr for CpuModel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if text.starts_with(['+', '-', '?', ' ']) || text.starts_with("help") || !text.split(',').all(is_word) {
            return Err("expected MODEL[,FLAGS], such as Haswell,-avx2 or max,phys-bits=46; \
                        qemu-system-x86_64 -cpu help lists them"
                .to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for CpuModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CpuModel {
    /// The given model, or the most capable one of the accelerator.
    pub(crate) fn or_default(cpu: Option<&Self>, accelerator: Accelerator) -> Self {
        let default = match accelerator {
            Accelerator::Kvm => HOST,
            Accelerator::Tcg => "max",
        };
        cpu.cloned().unwrap_or_else(|| Self(default.to_owned()))
    }

    fn model(&self) -> &str {
        self.0.split(',').next().unwrap_or_default()
    }

    /// Whether only KVM offers it.
    pub(crate) fn needs_kvm(&self) -> bool {
        self.model() == HOST
    }

    /// Refuses an unknown model or flag. Without QEMU nothing is checked; QEMU then reports the error at its start.
    pub(crate) fn check(&self, accel: AutoOr<Accelerator>) -> anyhow::Result<()> {
        if self.needs_kvm() && accel == AutoOr::Only(Accelerator::Tcg) {
            return Err(usage(format!("--cpu {self}: only KVM offers the host's CPU; use --accel kvm, or --cpu max")));
        }
        // QEMU creates the CPU under emulation, which needs no rights. Errors that KVM might not have are ignored.
        let words = self
            .0
            .split(',')
            .skip(1)
            .filter(|word| accel == AutoOr::Only(Accelerator::Tcg) || !word.starts_with("enforce"));
        let model = if self.needs_kvm() { "max" } else { self.model() };
        let option = std::iter::once(model).chain(words).collect::<Vec<_>>().join(",");
        match refusal(&option) {
            Some(reason) if accel == AutoOr::Only(Accelerator::Tcg) || is_unknown(&reason) => {
                Err(usage(format!("--cpu {self}: {reason}; `{QEMU} -cpu help` lists models and flags")))
            }
            _ => Ok(()),
        }
    }
}

/// Whether QEMU does not know the model, flag or value under any accelerator. For an impossible `phys-bits`, QEMU 7.2 and
/// 10.0 print the range (`should be`), QEMU 11.1 `phys-bits too low`.
fn is_unknown(reason: &str) -> bool {
    let unknown = ["unable to find CPU model", "not found", "expects", "should be", "phys-bits too low"];
    unknown.iter().any(|words| reason.contains(words))
}

/// QEMU's reason for refusing this CPU; `None` if it accepts it or cannot be run.
fn refusal(option: &str) -> Option<String> {
    let mut command = Command::new(QEMU);
    command.args(["-machine", "q35", "-m", "16M", "-S", "-nodefaults", "-no-user-config", "-display", "none"]);
    command.args(["-accel", "tcg", "-cpu", option, "-serial", "none", "-monitor", "stdio"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut qemu = command.spawn().ok()?;
    // QEMU may have ended; then its stderr has the reason.
    let _ = qemu.stdin.take()?.write_all(b"quit\n");
    let output = qemu.wait_with_output().ok()?;
    let messages = String::from_utf8_lossy(&output.stderr);
    let first = messages.lines().find(|line| !line.contains("warning:") && !line.trim().is_empty());
    (!output.status.success()).then(|| {
        first.map_or("QEMU refuses it", |line| line.trim_start_matches(QEMU).trim_start_matches(": ")).to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_status::Failure;

    fn check(text: &str, accel: AutoOr<Accelerator>) -> anyhow::Result<()> {
        text.parse::<CpuModel>().map_err(anyhow::Error::msg)?.check(accel)
    }

    #[test]
    fn option_needs_a_model_and_complete_flags() {
        for wrong in ["", ",avx2", "max,", "max,,avx2", "+avx2", "-avx2", "help", "?", "max\n", "max,a=\u{7f}", "mäx"]
        {
            assert!(wrong.parse::<CpuModel>().is_err(), "{wrong:?}");
        }
        for right in ["max", "host,-avx2", "Haswell-v4,+avx2,phys-bits=52", "max,model-id=My CPU"] {
            assert_eq!(right.parse::<CpuModel>().unwrap().to_string(), right);
        }
    }

    #[test]
    fn default_model_follows_the_accelerator() {
        assert_eq!(CpuModel::or_default(None, Accelerator::Kvm).to_string(), "host");
        assert_eq!(CpuModel::or_default(None, Accelerator::Tcg).to_string(), "max");
        let given: CpuModel = "Haswell".parse().unwrap();
        assert_eq!(CpuModel::or_default(Some(&given), Accelerator::Kvm), given);
    }

    #[test]
    fn emulation_does_not_offer_the_hosts_cpu() {
        let error = check("host,-avx2", AutoOr::Only(Accelerator::Tcg)).unwrap_err();
        assert!(error.is::<Failure>() && error.to_string().contains("--accel kvm"), "{error}");
    }

    /// Needs QEMU.
    #[test]
    fn unknown_models_and_flags_are_wrong_usage() {
        if crate::vm::qemu_version().is_none() {
            return;
        }
        for accel in [AutoOr::Auto, AutoOr::Only(Accelerator::Kvm), AutoOr::Only(Accelerator::Tcg)] {
            for wrong in ["NoSuchModel", "max,no-such-flag=1", "max,+no-such-flag", "max,phys-bits=99", "max,avx2=5"] {
                let error = check(wrong, accel).unwrap_err();
                let text = error.to_string();
                assert!(error.is::<Failure>() && text.starts_with(&format!("--cpu {wrong}: ")), "{text}");
                assert!(text.contains("-cpu help"), "{text}");
            }
            check("max,phys-bits=46,host-phys-bits=off", accel).unwrap();
        }
        check("host,migratable=off", AutoOr::Auto).unwrap();
        check("Haswell,enforce", AutoOr::Only(Accelerator::Kvm)).unwrap();
    }
}
