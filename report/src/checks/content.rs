//! Whether the right bytes arrived and each answer belongs to its message.

use crate::checks::{judge, not_applicable};
use crate::measured::CorruptAnswer;
use crate::plan::Workload;
use crate::result::SelfCheck;
use crate::run::{Run, RunBlock, total};
use crate::samples::Status;
use crate::units::{counted, grouped};

/// 2: the guest verified as many bytes as the frames that ended ok have, no frame differed from its hash, and each
/// frame that was corrupted on purpose was refused.
#[must_use]
pub fn bytes_verified(run: &Run) -> SelfCheck {
    const NAME: &str = "bytes verified = bytes counted, and a corrupted frame is refused";
    let has_content = |block: &RunBlock<'_>| matches!(block.asked().workload, Workload::Frame | Workload::Stream);
    let blocks: Vec<RunBlock<'_>> = run.blocks().filter(has_content).collect();
    if blocks.is_empty() {
        return not_applicable(2, NAME, "nothing was sent whose content is verified");
    }
    let faults: Vec<String> = blocks.iter().flat_map(faults_in_content).collect();
    let seen = format!(
        "{}: {} counted and verified; {} refused",
        counted(total(blocks.iter().map(|block| block.ok_rows().count() as u64)), "frame"),
        counted(total(blocks.iter().map(bytes_counted)), "byte"),
        counted(blocks.iter().filter(|block| block.asked().corrupt_one).count() as u64, "corrupted frame"),
    );
    judge(2, NAME, &faults, seen)
}

fn faults_in_content(block: &RunBlock<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let (counted_bytes, verified) = (bytes_counted(block), block.measured.bytes_verified);
    if counted_bytes != verified {
        faults.push(format!(
            "{}: {} in frames that ended ok, but {} verified",
            block.name(),
            counted(counted_bytes, "byte"),
            grouped(verified)
        ));
    }
    let mismatches = block.rows.iter().filter(|row| row.status == Status::HashMismatch).count() as u64;
    if mismatches > 0 {
        faults.push(format!("{}: {} did not match the hash", block.name(), counted(mismatches, "frame")));
    }
    if block.asked().corrupt_one {
        let answer = match block.measured.corrupt_answer {
            Some(CorruptAnswer::Refused) => return faults,
            Some(CorruptAnswer::Accepted) => "was answered PROCESSED, so the guest does not verify",
            Some(CorruptAnswer::Other) => "was not answered ERROR(hash)",
            None => "was never sent",
        };
        faults.push(format!("{}: the corrupted frame {answer}", block.name()));
    }
    faults
}

/// Of frames those that ended ok, of a stream everything that was sent.
fn bytes_counted(block: &RunBlock<'_>) -> u64 {
    if let Some(traffic) = &block.measured.traffic {
        return traffic.sent.saturating_mul(block.asked().size_bytes);
    }
    (block.ok_rows().count() as u64).saturating_mul(block.asked().size_bytes)
}

/// 3: no acknowledgement carried another message's sequence number.
#[must_use]
pub fn acks_in_sequence(run: &Run) -> SelfCheck {
    const NAME: &str = "every acknowledgement carries its sequence number";
    let operations = total(run.blocks().map(|block| block.operations_with_warmup()));
    if operations == 0 {
        return not_applicable(3, NAME, "no operation was acknowledged in a finished block");
    }
    let faults: Vec<String> = run
        .blocks()
        .filter(|block| block.measured.counters.stale_acks > 0)
        .map(|block| {
            format!("{}: {}", block.name(), counted(block.measured.counters.stale_acks, "stale acknowledgement"))
        })
        .collect();
    judge(3, NAME, &faults, format!("{}, no stale acknowledgement", counted(operations, "operation")))
}
