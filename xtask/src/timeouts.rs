//! Timeouts: `--kvm-timeout`, and the factor `--timeout-scale` for all timeouts without a flag.

use std::time::Duration;

use bench_protocol::boot::{self, GuestDriver, NO_DRIVER, RunMode};
use clap::Args;
use cli_common::{duration, number};
use doorbell::deadline::{BOOT_PARAMETER, MAX_SCALE, set_scale};

pub(crate) use doorbell::deadline::scaled;

/// Under KVM the guest starts in well under a second, on a loaded host in a few seconds.
const KVM_TIMEOUT: Duration = Duration::from_secs(6);

/// The flags of every command that starts a guest.
#[derive(Debug, Clone, Args)]
pub(crate) struct TimeoutArgs {
    /// Time limit for a guest to start under KVM before KVM counts as broken [default: 6s]
    #[arg(long, value_name = "D", value_parser = duration::parse_above_zero)]
    kvm_timeout: Option<Duration>,
    /// Multiply every timeout without a flag by N, for slow hosts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::in_range::<u32>(1..=MAX_SCALE))]
    pub(crate) timeout_scale: u32,
}

impl TimeoutArgs {
    /// Makes [`scaled`] multiply by this factor.
    pub(crate) fn apply(&self) {
        set_scale(self.timeout_scale);
    }

    /// The time limit of the KVM probe.
    pub(crate) fn kvm_timeout(&self) -> Duration {
        self.kvm_timeout.unwrap_or(KVM_TIMEOUT.saturating_mul(self.timeout_scale))
    }

    /// The guest's kernel command line: its log level, the factor, the run mode and the driver.
    pub(crate) fn boot_parameters(&self, mode: RunMode, driver: Option<GuestDriver>) -> String {
        let scale = self.timeout_scale;
        let scale = if scale == 1 { String::new() } else { format!("{BOOT_PARAMETER}={scale} ") };
        let run = boot::parameter(boot::RUN, mode.name());
        let driver = boot::parameter(boot::DRIVER, driver.map_or(NO_DRIVER, GuestDriver::name));
        format!("quiet {scale}{run} {driver}")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        timeouts: TimeoutArgs,
    }

    fn parse(words: &str) -> Result<TimeoutArgs, String> {
        let words = std::iter::once("x").chain(words.split_whitespace());
        TestCli::try_parse_from(words).map(|command| command.timeouts).map_err(|error| error.to_string())
    }

    fn parameters(timeouts: &TimeoutArgs) -> String {
        timeouts.boot_parameters(RunMode::Shell, None)
    }

    #[test]
    fn scale_multiplies_timeouts_without_flag() {
        let default = parse("").unwrap();
        assert_eq!(
            (default.kvm_timeout(), parameters(&default).as_str()),
            (Duration::from_secs(6), "quiet ivshmem.run=shell ivshmem.driver=none")
        );
        let scaled = parse("--timeout-scale 20").unwrap();
        assert_eq!(scaled.kvm_timeout(), Duration::from_secs(120));
        assert_eq!(parameters(&scaled), "quiet ivshmem.timeout_scale=20 ivshmem.run=shell ivshmem.driver=none");
        let given = parse("--timeout-scale 20 --kvm-timeout 5m").unwrap();
        assert_eq!(given.kvm_timeout(), Duration::from_secs(300));
    }

    #[test]
    fn wrong_values_name_the_format() {
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
