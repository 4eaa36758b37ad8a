//! What a run is to measure: an ordered list of blocks, and the processes and limits that go with it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a party waits for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// Spins on the word in shared memory.
    Poll,
    /// Blocks until the doorbell's interrupt (guest) or eventfd (host).
    Irq,
    /// Spins for a while, and then blocks.
    Hybrid,
}

impl Wait {
    /// Whether it needs doorbells.
    #[must_use]
    pub fn blocks(self) -> bool {
        self != Self::Poll
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Poll => "poll",
            Self::Irq => "irq",
            Self::Hybrid => "hybrid",
        })
    }
}

/// Which question a block asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// Least latency: a closed loop of 64-byte messages.
    Pingpong,
    /// Frames of a given size, written, announced, read and verified.
    Frame,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pingpong => "pingpong",
            Self::Frame => "frame",
        })
    }
}

/// A stretch of equal operations that is measured in one go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Position in the plan, from 0.
    pub index: u32,
    /// The question.
    pub workload: Workload,
    /// How the host waits for acknowledgements.
    pub host_wait: Wait,
    /// How the guest waits for messages.
    pub guest_wait: Wait,
    /// Bytes of payload per operation.
    pub size_bytes: u64,
    /// Operations that are run first and left out of the figures.
    pub warmup: u64,
    /// Operations that are measured.
    pub count: u64,
    /// Send one more frame whose content does not match its hash; the guest must answer ERROR. Frame blocks only.
    pub corrupt_one: bool,
}

/// QEMU's threads, as its monitor names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QemuThreads {
    /// QEMU's process, whose first thread runs its main loop.
    pub pid: u32,
    /// Thread ids of the virtual CPUs.
    pub vcpus: Vec<u32>,
}

/// A fault put into a run on purpose, to see that it is caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// One measured frame is announced with a wrong hash.
    WrongHash,
    /// One doorbell of an irq block is counted but never rung.
    DropDoorbell,
}

/// Everything that the initiator needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Distinguishes this run from whatever an earlier one left in the memory.
    pub nonce: u64,
    /// Seed of the frames' content.
    pub seed: u64,
    /// The server's socket.
    pub socket: PathBuf,
    /// The core on which the initiator stays.
    pub cpu: Option<usize>,
    /// Whose CPU time is charged to each block.
    pub qemu: Option<QemuThreads>,
    /// How long the guest may take to say that it is ready, in milliseconds.
    pub ready_timeout_ms: u64,
    /// How long one operation may take, in milliseconds.
    pub operation_timeout_ms: u64,
    /// How long a hybrid wait spins before it blocks, in nanoseconds; `None`: as long as blocking is measured to take.
    pub spin_ns: Option<u64>,
    /// In the order in which they are run.
    pub blocks: Vec<Block>,
    /// A fault to put in.
    pub fault: Option<Fault>,
}
