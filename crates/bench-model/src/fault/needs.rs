//! The blocks that a fault needs to have an effect.

use super::{FIRES_AT, Fault};
use crate::plan::Block;
use crate::wait_mode::WaitMode;
use crate::workload::Workload;

/// The blocks that a fault needs.
#[derive(Debug)]
pub struct FaultNeeds {
    /// Description for an error.
    pub blocks: &'static str,
    /// Flags that add such blocks.
    pub hint: &'static str,
    /// Whether a block is one of them.
    pub is_met_by: fn(&Block) -> bool,
}

fn is_of(block: &Block, host: WaitMode, guest: WaitMode) -> bool {
    (block.host_wait, block.guest_wait) == (host, guest)
}

/// Operations that a block runs regardless of its time limit.
fn guaranteed_operations(block: &Block) -> u64 {
    block.warmup + if block.limit_ms.is_none() { block.count } else { 0 }
}

impl Fault {
    /// The blocks that it needs. `None`: it does not depend on the blocks.
    #[must_use]
    pub fn needs(self) -> Option<FaultNeeds> {
        let (blocks, hint, is_met_by): (_, _, fn(&Block) -> bool) = match self {
            Self::ShortRead | Self::WrongHash | Self::CorruptFrame | Self::SkipVerify | Self::ShortVerify => {
                ("frames", "--workload frame", |block| block.workload == Workload::Frame)
            }
            Self::EarlyAck | Self::WrongStamp => {
                ("round trips", "--workload pingpong", |block| block.workload == Workload::Pingpong)
            }
            // Compared with the latency of a doorbell, the host's own time may be small.
            Self::SlowStamps => ("round trips with both sides polling", "--workload pingpong --mode poll", |block| {
                block.workload == Workload::Pingpong && is_of(block, WaitMode::Poll, WaitMode::Poll)
            }),
            // Elsewhere doorbells coalesce, or the receiver does not block.
            Self::UncountedDoorbell | Self::DropDoorbell | Self::DropAnswer => {
                ("doorbells that are acknowledged one by one", "--workload pingpong --mode irq", |block| {
                    block.workload.acknowledges_each()
                        && is_of(block, WaitMode::Irq, WaitMode::Irq)
                        && guaranteed_operations(block) >= FIRES_AT
                })
            }
            Self::BlindStorm => ("a storm of doorbells", "--workload storm --mode irq", |block| {
                block.workload == Workload::Storm && block.guest_wait.blocks()
            }),
            Self::SleepyHost => {
                ("a host that polls for acknowledgements", "--workload pingpong --mode poll", |block| {
                    block.workload.acknowledges_each() && block.host_wait == WaitMode::Poll
                })
            }
            Self::SleepyGuest => ("a guest that polls for messages", "--workload pingpong --mode poll", |block| {
                block.workload.acknowledges_each() && block.guest_wait == WaitMode::Poll
            }),
            Self::Stall => {
                ("an open loop of 400 messages per second or more", "--workload openloop --rate 1000", |block| {
                    block.workload == Workload::Openloop
                })
            }
            Self::DriftingClock | Self::Wander => ("a workload with messages", "--workload pingpong", |_| true),
            Self::ClaimKvm => return None,
        };
        Some(FaultNeeds { blocks, hint, is_met_by })
    }
}
