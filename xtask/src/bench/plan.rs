//! Makes the initiator's plan from a configuration.

use std::path::PathBuf;
use std::time::Duration;

use bench_model::{Block, Plan, QemuThreads};

use super::config::BenchConfig;
use super::options::BenchArgs;
use super::plan_blocks;
use crate::timeouts::scaled;

/// Time limit of one operation. The hash of a 4K frame takes up to a second under emulation.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the plan.
pub(super) fn build(config: &BenchConfig, socket: PathBuf, qemu: QemuThreads, args: &BenchArgs) -> Plan {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Plan {
        nonce: nonce(),
        seed: config.seed,
        socket,
        pinning: config.pinning.clone(),
        qemu: Some(qemu),
        ready_timeout_ms: millis(args.ready_timeout()),
        operation_timeout_ms: millis(scaled(OPERATION_TIMEOUT)),
        timeout_scale: args.guest.timeouts.timeout_scale,
        spin_ns: config.spin_ns,
        ceiling_sizes: plan_blocks::peak_sizes(config),
        blocks: plan_blocks::blocks(config),
        fault: config.fault,
    }
}

/// The longest scheduled duration of a block. The initiator reports no progress within a block.
pub(super) fn longest_block(blocks: &[Block]) -> Duration {
    let paced = |block: &Block| {
        let conditions = &block.conditions;
        let period_ns = conditions.gap_ns.or(conditions.rate_per_s.map(|rate| 1_000_000_000 / rate.max(1)));
        let scheduled_ns = period_ns.unwrap_or(0).saturating_mul(block.warmup.saturating_add(block.count));
        Duration::from_nanos(scheduled_ns)
    };
    blocks.iter().map(paced).max().unwrap_or_default()
}

/// Differs from run to run and is not zero.
fn nonce() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    (nanos ^ u64::from(std::process::id()) << 48) | 1
}

#[cfg(test)]
mod tests {
    use super::super::flag_checks::tests::parse_with_args;
    use super::*;

    fn plan(words: &str) -> Plan {
        let (args, configs) = parse_with_args(words).unwrap();
        let qemu = QemuThreads { pid: 1, vcpus: Vec::new() };
        build(&configs[0], "/socket".into(), qemu, &args)
    }

    #[test]
    fn plan_carries_the_timeout_scale() {
        assert_eq!(plan("").timeout_scale, 1);
        assert_eq!(plan("--timeout-scale 20").timeout_scale, 20);
    }

    #[test]
    fn ready_timeout_flag_is_not_scaled() {
        assert_eq!(plan("--ready-timeout 5m --timeout-scale 20").ready_timeout_ms, 300_000);
    }

    #[test]
    fn slow_pace_extends_the_longest_block() {
        let longest = |words: &str| longest_block(&plan(words).blocks);
        assert_eq!(longest("--workload paced --gap 10s"), Duration::from_secs(2_600));
        assert_eq!(longest("--workload openloop --rate 1"), Duration::from_secs(101));
        assert_eq!(longest("--workload pingpong"), Duration::ZERO);
    }
}
