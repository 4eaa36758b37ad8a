//! A configuration becomes a plan: which blocks, in which order, with how many operations.

use std::path::PathBuf;
use std::time::Duration;

use report::frame_size::{FRAME_4K, FRAME_1080P, FRAME_1440P};
use report::plan::{Block, Plan, QemuThreads, Workload};

use super::config::Config;

/// Frames, from small to large.
const FRAMES: [u64; 3] = [FRAME_1080P, FRAME_1440P, FRAME_4K];
/// Bytes of a pingpong's message: a cache line.
const MESSAGE: u64 = 64;
/// Blocks into which a mode's operations are cut, so that modes alternate and noise hits all alike.
const ROUNDS: u64 = 4;
/// How long one operation may take. A 4K frame's hash takes a second under emulation.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);

impl Config {
    /// The blocks of a run, modes interleaved: poll irq, irq poll, poll irq, …
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let many = if self.full { 10 } else { 1 };
        for workload in &self.workloads {
            match workload {
                Workload::Pingpong => {
                    for round in 0..ROUNDS {
                        self.round(&mut blocks, round, *workload, MESSAGE, (500, 2_500 * many));
                    }
                }
                Workload::Frame => {
                    for size in FRAMES {
                        for round in 0..2 {
                            // As many warm-up frames as there are slots, so that no slot is cold.
                            self.round(&mut blocks, round, *workload, size, (3, 5 * many));
                        }
                    }
                }
            }
        }
        blocks
    }

    /// One block of each mode; every second round in the opposite order.
    fn round(&self, blocks: &mut Vec<Block>, round: u64, workload: Workload, size: u64, (warmup, count): (u64, u64)) {
        let mut modes = self.modes.clone();
        if round % 2 == 1 {
            modes.reverse();
        }
        for wait in modes {
            blocks.push(Block {
                index: u32::try_from(blocks.len()).unwrap_or(u32::MAX),
                workload,
                host_wait: wait,
                guest_wait: wait,
                size_bytes: size,
                warmup,
                count,
                corrupt_one: workload == Workload::Frame && round == 0,
            });
        }
    }

    /// What the initiator gets.
    pub(crate) fn plan(&self, socket: PathBuf, qemu: QemuThreads, cpu: Option<usize>, ready: Duration) -> Plan {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Plan {
            nonce: nonce(),
            seed: self.seed,
            socket,
            cpu,
            qemu: Some(qemu),
            ready_timeout_ms: millis(ready),
            operation_timeout_ms: millis(OPERATION_TIMEOUT),
            spin_ns: self.spin_ns,
            blocks: self.blocks(),
            fault: self.fault,
        }
    }
}

/// Different for every run, and never zero.
fn nonce() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    (nanos ^ u64::from(std::process::id()) << 48) | 1
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::parse;
    use report::plan::Wait::{self, Irq, Poll};

    #[test]
    fn modes_are_measured_side_by_side_and_in_alternating_order() {
        let blocks = parse("--workload pingpong").unwrap().blocks();
        let order: Vec<Wait> = blocks.iter().map(|b| b.guest_wait).collect();
        assert_eq!(order, [Poll, Irq, Irq, Poll, Poll, Irq, Irq, Poll]);
        let per_mode: u64 = blocks.iter().filter(|b| b.guest_wait == Irq).map(|b| b.count).sum();
        assert_eq!(per_mode, 10_000);
    }

    #[test]
    fn every_frame_size_of_every_mode_has_one_corrupted_frame() {
        let blocks = parse("").unwrap().blocks();
        let corrupted: Vec<(u64, Wait)> =
            blocks.iter().filter(|b| b.corrupt_one).map(|b| (b.size_bytes, b.guest_wait)).collect();
        assert_eq!(corrupted.len(), 6);
    }

    #[test]
    fn no_block_has_more_operations_than_there_are_records() {
        for block in parse("--full").unwrap().blocks() {
            assert!(block.warmup + block.count < 32_768);
        }
    }
}
