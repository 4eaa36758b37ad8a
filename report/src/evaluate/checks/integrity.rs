//! Checks that payloads arrived intact and each acknowledgement belongs to its message.

use super::{Outcome, not_applicable, outcome_of_blocks};
use crate::io::run::{Run, RunBlock};
use bench_model::Workload;
use bench_model::raw::CorruptAnswer;
use bench_model::samples::Status;
use bench_model::units::{plural, thousands};
use statistics::total;

/// The guest verified all bytes of the frames that ended ok, no hash differed, and each deliberately corrupted frame
/// was rejected. Every message of a stream was seen with its sequence number in its first and last word. The bytes
/// between are read but not verified.
pub(super) fn bytes_verified(run: &Run) -> Outcome {
    let of = |workload: Workload| run.blocks().filter(move |block| block.plan().workload == workload);
    let (frames, streams): (Vec<_>, Vec<_>) = (of(Workload::Frame).collect(), of(Workload::Stream).collect());
    let mut details = Vec::new();
    if !frames.is_empty() {
        details.push(format!(
            "{}: {} counted and verified; {} refused",
            plural(total(frames.iter().map(|block| block.ok_rows().count() as u64)), "frame"),
            plural(total(frames.iter().map(bytes_counted)), "byte"),
            plural(frames.iter().filter(|block| block.plan().corrupt_one).count() as u64, "corrupted frame"),
        ));
    }
    if !streams.is_empty() {
        let messages = total(streams.iter().filter_map(|block| Some(block.measured.traffic.as_ref()?.seen)));
        details.push(format!("streams: {} seen, intact at both ends", plural(messages, "message")));
    }
    if details.is_empty() {
        return not_applicable("nothing was sent whose content is verified");
    }
    let faults = |block: &RunBlock<'_>| {
        let is_stream = block.plan().workload == Workload::Stream;
        if is_stream { damaged_messages(block).into_iter().collect() } else { faults_in_content(block) }
    };
    outcome_of_blocks(frames.into_iter().chain(streams), faults, details.join("; "))
}

/// The fault of a stream, if any.
fn damaged_messages(block: &RunBlock<'_>) -> Option<String> {
    let (traffic, torn) = (block.measured.traffic.as_ref()?, block.measured.counters.mismatches);
    (traffic.seen != traffic.sent || torn > 0).then(|| {
        format!(
            "of {}, {} were seen and {} were not intact",
            plural(traffic.sent, "message"),
            thousands(traffic.seen),
            thousands(torn)
        )
    })
}

fn faults_in_content(block: &RunBlock<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let (counted_bytes, verified) = (bytes_counted(block), block.measured.bytes_verified);
    if counted_bytes != verified {
        faults.push(format!(
            "{} in frames that ended ok, but {} verified",
            plural(counted_bytes, "byte"),
            thousands(verified)
        ));
    }
    let mismatches = block.rows.iter().filter(|row| row.status == Status::HashMismatch).count() as u64;
    if mismatches > 0 {
        faults.push(format!("{} did not match the hash", plural(mismatches, "frame")));
    }
    if block.plan().corrupt_one {
        let reaction = match block.measured.corrupt_answer {
            Some(CorruptAnswer::Refused) => return faults,
            Some(CorruptAnswer::Accepted) => "was acknowledged as PROCESSED, so the guest does not verify",
            Some(CorruptAnswer::Other) => "was not acknowledged with ERROR(hash)",
            None => "was never sent",
        };
        faults.push(format!("the corrupted frame {reaction}"));
    }
    faults
}

/// Of the frames that ended ok.
fn bytes_counted(block: &RunBlock<'_>) -> u64 {
    (block.ok_rows().count() as u64).saturating_mul(block.plan().size_bytes)
}

/// No acknowledgement carried another message's sequence number.
pub(super) fn acks_in_sequence(run: &Run) -> Outcome {
    // Stream messages are not acknowledged one by one.
    let blocks = || run.blocks().filter(|block| block.plan().workload != Workload::Stream);
    let operations = total(blocks().map(|block| block.operations_with_warmup()));
    if operations == 0 {
        return not_applicable("no operation was acknowledged in a finished block");
    }
    let fault = |block: &RunBlock<'_>| {
        let stale = block.measured.counters.stale_acks;
        (stale > 0).then(|| plural(stale, "stale acknowledgement"))
    };
    outcome_of_blocks(blocks(), fault, format!("{}, no stale acknowledgement", plural(operations, "operation")))
}
