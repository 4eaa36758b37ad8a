//! How long things may take: `--kvm-timeout`, and the factor of `--timeout-scale` for every deadline without a flag.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clap::Args;
use cli_common::{duration, number};

/// Relaxed: set once, before anything waits; it guards no other data.
static SCALE: AtomicU32 = AtomicU32::new(1);

/// The largest factor (`doorbell::deadline::MAX_SCALE`).
const MAX_SCALE: u32 = 1_000;

/// Under KVM the guest is up in well under a second; a loaded machine may take several times that.
const KVM_TIMEOUT: Duration = Duration::from_secs(6);

/// The flags, for every command that starts a guest.
#[derive(Debug, Clone, Args)]
pub(crate) struct TimeoutArgs {
    /// How long a guest may take to start under KVM until KVM counts as broken [default: 6s]
    #[arg(long, value_name = "D", value_parser = duration::parse_above_zero)]
    kvm_timeout: Option<Duration>,
    /// Multiply every deadline that no flag sets by N: for slow machines
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::in_range::<u32>(1..=MAX_SCALE))]
    timeout_scale: u32,
}

impl TimeoutArgs {
    /// From now on, [`scaled`] multiplies by this factor.
    pub(crate) fn apply(&self) {
        SCALE.store(self.timeout_scale, Ordering::Relaxed);
    }

    /// How long the KVM check waits.
    pub(crate) fn kvm_timeout(&self) -> Duration {
        self.kvm_timeout.unwrap_or(KVM_TIMEOUT.saturating_mul(self.timeout_scale))
    }

    /// The factor.
    pub(crate) fn scale(&self) -> u32 {
        self.timeout_scale
    }

    /// The word for the guest's kernel command line, with a space after it; empty without a factor.
    pub(crate) fn boot_parameter(&self) -> String {
        if self.timeout_scale == 1 { String::new() } else { format!("ivshmem.timeout_scale={} ", self.timeout_scale) }
    }
}

/// A deadline under the factor of this process.
pub(crate) fn scaled(deadline: Duration) -> Duration {
    deadline.saturating_mul(SCALE.load(Ordering::Relaxed))
}

/// A time as its flag takes it.
pub(crate) fn format_duration(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        timeouts: TimeoutArgs,
    }

    fn parse(words: &str) -> Result<TimeoutArgs, String> {
        let words = std::iter::once("x").chain(words.split_whitespace());
        Command::try_parse_from(words).map(|command| command.timeouts).map_err(|error| error.to_string())
    }

    #[test]
    fn scale_multiplies_what_has_no_flag() {
        let default = parse("").unwrap();
        assert_eq!((default.kvm_timeout(), default.boot_parameter().as_str()), (Duration::from_secs(6), ""));
        let scaled = parse("--timeout-scale 20").unwrap();
        assert_eq!(scaled.kvm_timeout(), Duration::from_secs(120));
        assert_eq!(scaled.boot_parameter(), "ivshmem.timeout_scale=20 ");
        let given = parse("--timeout-scale 20 --kvm-timeout 5m").unwrap();
        assert_eq!(given.kvm_timeout(), Duration::from_secs(300));
    }

    #[test]
    fn impossible_times_name_the_form() {
        for wrong in ["0s", "5", "x"] {
            let error = parse(&format!("--kvm-timeout {wrong}")).unwrap_err();
            assert!(error.contains("above zero with a unit, such as 5s"), "{error}");
        }
        for wrong in ["0", "1001", "x", "1.5"] {
            let error = parse(&format!("--timeout-scale {wrong}")).unwrap_err();
            assert!(error.contains("expected a whole number from 1 to 1000"), "{error}");
        }
    }
}
