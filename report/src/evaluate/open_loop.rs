//! What became of the messages that an open loop had to send, by the schedule that there was. A nominal rate would not do:
//! of arrivals at random, a thousand take a twentieth more or less of their time by chance.

use crate::io::run::RunBlock;
use crate::stats::total;
use bench_model::Workload;

/// Messages that were due and not sent when their block's time was up; `None`: no open loop.
pub(crate) fn unsent(workload: Workload, blocks: &[RunBlock<'_>]) -> Option<u64> {
    (workload == Workload::Openloop).then(|| total(blocks.iter().map(|block| block.measured.unsent)))
}

/// Of all messages that were due, the share that had been sent when the last one was due. `None`: no open loop, or no
/// message of it of which is known when it was due.
pub(crate) fn sent_in_time(workload: Workload, blocks: &[RunBlock<'_>]) -> Option<f64> {
    if workload != Workload::Openloop {
        return None;
    }
    let sent = |block: &RunBlock<'_>| block.rows.iter().filter(|row| row.due_ns.is_some()).count() as u64;
    let due = total(blocks.iter().map(|block| sent(block).saturating_add(block.measured.unsent)));
    let late = total(blocks.iter().map(|block| late(block).saturating_add(block.measured.unsent)));
    (due > 0).then(|| due.saturating_sub(late) as f64 / due as f64)
}

/// Messages of a block that were due before the last one and sent after it was due. The last one itself is always sent
/// after.
fn late(block: &RunBlock<'_>) -> u64 {
    let Some(last_due) = block.rows.iter().filter_map(|row| row.due_ns).max() else { return 0 };
    let sent_after = block.rows.iter().filter(|row| row.h2_ns.is_some_and(|sent| sent > last_due)).count() as u64;
    sent_after.saturating_sub(1)
}
