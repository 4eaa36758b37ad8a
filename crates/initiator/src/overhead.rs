//! What the initiator itself costs: its own operations, answered at once by nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_model::Fault;
use bench_model::raw::Overhead;
use bench_protocol::ack::{PROCESSED, Tagged};
use bench_protocol::layout::{Layout, SLOTS};
use doorbell::deadline::scaled;
use doorbell::region::SharedRegion;
use doorbell::tsc::ticks;
use doorbell::wait::{Poll, Silent, WaitCounts, WaitError, Waiter};

use super::BenchError;
use super::broken::Slow;
use super::link::Link;
use super::operations::{Deadline, Exchange, Sample};
use super::watch::Watch;
use super::work::pingpong;

/// Operations; a stray interrupt does not move their median.
const OPERATIONS: u64 = 4_000;

/// A wait that ends at once, because the answer is made up.
struct Answered<'a, W> {
    ack: &'a AtomicU64,
    seq: u64,
    behind: W,
}

impl<W: Waiter> Waiter for Answered<'_, W> {
    #[inline]
    fn wait<T, E>(
        &mut self,
        look: impl FnMut() -> Option<T>,
        idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        self.seq += 1;
        self.ack.store(Tagged::pack(self.seq, PROCESSED), Ordering::Release);
        self.behind.wait(look, idle)
    }

    fn counts(&self) -> WaitCounts {
        WaitCounts::default()
    }
}

/// Runs empty operations in memory of their own. `fault` is a host that is slow.
pub(super) fn measure(watch: &mut Watch<'_>, tsc_hz: f64, fault: Option<Fault>) -> Result<Overhead, BenchError> {
    let system = |source: std::io::Error| BenchError::System { what: "making private memory", source };
    let file = rustix::fs::memfd_create("ivshmem-doorbell-empty", rustix::fs::MemfdFlags::CLOEXEC);
    let file = file.map_err(|error| system(error.into()))?;
    rustix::fs::ftruncate(&file, 2 * SLOTS as u64).map_err(|error| system(error.into()))?;
    let memory = Arc::new(SharedRegion::map_object(&file)?);
    let link = Link::new(&memory, Layout::plan(memory.len(), 64, 1, 0)?)?;
    let deadline = Deadline::new(scaled(Duration::from_secs(1)), tsc_hz);
    let answered = |behind| Answered { ack: link.ack, seq: 0, behind };
    let (spans, total) = if fault == Some(Fault::SlowStamps) {
        run(Exchange::new(&link, watch, answered_slowly(link.ack), Silent, deadline))?
    } else {
        run(Exchange::new(&link, watch, answered(Poll), Silent, deadline))?
    };
    let ns = |ticks: f64| ticks * 1e9 / tsc_hz;
    Ok(Overhead {
        empty_operation_ns: ns(spans[spans.len() / 2] as f64),
        per_operation_ns: ns(total as f64 / OPERATIONS as f64),
    })
}

fn answered_slowly(ack: &AtomicU64) -> Answered<'_, Slow<Poll>> {
    Answered { ack, seq: 0, behind: Slow(Poll) }
}

/// The spans that the operations report, sorted, and what all of them took.
fn run<W: Waiter>(mut exchange: Exchange<'_, '_, '_, W, Silent>) -> Result<(Vec<u64>, u64), BenchError> {
    let mut samples: Vec<Sample> = Vec::with_capacity(usize::try_from(OPERATIONS).unwrap_or(0));
    let start = ticks();
    for seq in 1..=OPERATIONS {
        let mut sample = Sample { seq, ..Sample::default() };
        pingpong(&mut exchange, &mut sample)?;
        samples.push(sample);
    }
    let total = ticks() - start;
    let mut spans: Vec<u64> = samples.iter().map(|sample| sample.ended - sample.published).collect();
    spans.sort_unstable();
    Ok((spans, total))
}
