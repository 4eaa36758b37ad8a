//! Checks that payloads arrived intact and each answer belongs to its message.

use crate::evaluate::checks::{not_applicable, outcome};
use crate::io::run::{Run, RunBlock};
use crate::result::self_check::SelfCheck;
use bench_model::Workload;
use bench_model::raw::CorruptAnswer;
use bench_model::samples::Status;
use bench_model::units::{plural, thousands};
use statistics::total;

/// 2: the guest verified all bytes of the frames that ended ok, no hash differed, and each deliberately corrupted frame
/// was rejected. Every message of a stream was seen with its sequence number in its first and last word. The bytes
/// between are read but not verified.
#[must_use]
pub fn bytes_verified(run: &Run) -> SelfCheck {
    const NAME: &str = "bytes verified = bytes counted, and a corrupted frame is refused";
    let of = |workload: Workload| run.blocks().filter(move |block| block.plan().workload == workload);
    let (frames, streams): (Vec<_>, Vec<_>) = (of(Workload::Frame).collect(), of(Workload::Stream).collect());
    let mut faults: Vec<String> = frames.iter().flat_map(faults_in_content).collect();
    faults.extend(streams.iter().filter_map(not_whole));
    let mut seen = Vec::new();
    if !frames.is_empty() {
        seen.push(format!(
            "{}: {} counted and verified; {} refused",
            plural(total(frames.iter().map(|block| block.ok_rows().count() as u64)), "frame"),
            plural(total(frames.iter().map(bytes_counted)), "byte"),
            plural(frames.iter().filter(|block| block.plan().corrupt_one).count() as u64, "corrupted frame"),
        ));
    }
    if !streams.is_empty() {
        let messages = total(streams.iter().filter_map(|block| Some(block.measured.traffic.as_ref()?.seen)));
        seen.push(format!("streams: {} seen, whole at both ends", plural(messages, "message")));
    }
    if seen.is_empty() {
        return not_applicable(2, NAME, "nothing was sent whose content is verified");
    }
    outcome(2, NAME, &faults, seen.join("; "))
}

/// The fault of a stream, if any.
fn not_whole(block: &RunBlock<'_>) -> Option<String> {
    let (traffic, torn) = (block.measured.traffic.as_ref()?, block.measured.counters.mismatches);
    (traffic.seen != traffic.sent || torn > 0).then(|| {
        format!(
            "{}: of {}, {} were seen and {} were not whole",
            block.name(),
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
            "{}: {} in frames that ended ok, but {} verified",
            block.name(),
            plural(counted_bytes, "byte"),
            thousands(verified)
        ));
    }
    let mismatches = block.rows.iter().filter(|row| row.status == Status::HashMismatch).count() as u64;
    if mismatches > 0 {
        faults.push(format!("{}: {} did not match the hash", block.name(), plural(mismatches, "frame")));
    }
    if block.plan().corrupt_one {
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

/// Of the frames that ended ok.
fn bytes_counted(block: &RunBlock<'_>) -> u64 {
    (block.ok_rows().count() as u64).saturating_mul(block.plan().size_bytes)
}

/// 3: no acknowledgement carried another message's sequence number.
#[must_use]
pub fn acks_in_sequence(run: &Run) -> SelfCheck {
    const NAME: &str = "every acknowledgement carries its sequence number";
    // Stream messages are not answered one by one.
    let blocks = || run.blocks().filter(|block| block.plan().workload != Workload::Stream);
    let operations = total(blocks().map(|block| block.operations_with_warmup()));
    if operations == 0 {
        return not_applicable(3, NAME, "no operation was acknowledged in a finished block");
    }
    let faults: Vec<String> = blocks()
        .filter(|block| block.measured.counters.stale_acks > 0)
        .map(|block| {
            format!("{}: {}", block.name(), plural(block.measured.counters.stale_acks, "stale acknowledgement"))
        })
        .collect();
    outcome(3, NAME, &faults, format!("{}, no stale acknowledgement", plural(operations, "operation")))
}
