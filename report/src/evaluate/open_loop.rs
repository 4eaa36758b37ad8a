//! Messages of an open loop against its actual schedule. The nominal rate is not used: by chance, the duration of a
//! thousand random arrivals varies by 5 % or more.

use crate::io::run::RunBlock;
use bench_model::Workload;
use statistics::total;

/// Messages not sent before their block's time limit; `None`: not an open loop.
pub(crate) fn unsent(workload: Workload, blocks: &[RunBlock<'_>]) -> Option<u64> {
    (workload == Workload::Openloop).then(|| total(blocks.iter().map(|block| block.measured.unsent)))
}

/// Share of messages sent before the last one was scheduled. `None`: not an open loop, or no scheduled times.
pub(crate) fn sent_in_time(workload: Workload, blocks: &[RunBlock<'_>]) -> Option<f64> {
    if workload != Workload::Openloop {
        return None;
    }
    let sent = |block: &RunBlock<'_>| block.rows.iter().filter(|row| row.due_ns.is_some()).count() as u64;
    let due = total(blocks.iter().map(|block| sent(block).saturating_add(block.measured.unsent)));
    let late = total(blocks.iter().map(|block| late(block).saturating_add(block.measured.unsent)));
    (due > 0).then(|| due.saturating_sub(late) as f64 / due as f64)
}

/// Messages scheduled before the last one and sent after its scheduled time. The last one is always sent later.
fn late(block: &RunBlock<'_>) -> u64 {
    let Some(last_due) = block.rows.iter().filter_map(|row| row.due_ns).max() else { return 0 };
    let sent_after = block.rows.iter().filter(|row| row.h2_ns.is_some_and(|sent| sent > last_due)).count() as u64;
    sent_after.saturating_sub(1)
}
