//! Instrument overhead: operations that the waiter acknowledges itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_model::Fault;
use bench_model::raw::Overhead;
use bench_protocol::ack::{PROCESSED, SeqState};
use bench_protocol::layout::Layout;
use bench_protocol::memory_map::SLOTS;
use doorbell::deadline::scaled;
use doorbell::notify::NoNotify;
use doorbell::region::SharedRegion;
use doorbell::tsc::tsc_now;
use doorbell::wait::{Poll, WaitError, Waiter};

use super::BenchError;
use super::error::system;
use super::faults::SlowWaiter;
use super::round_trip::{Channel, OperationTimeout, Sample};
use super::run_monitor::RunMonitor;
use super::shared_words::SharedWords;
use super::workload::pingpong;

/// Enough operations that a stray interrupt does not change the median.
const OPERATIONS: u64 = 4_000;

/// A waiter that writes the acknowledgement itself.
struct SelfAnswering<'a, W> {
    ack: &'a AtomicU64,
    seq: u64,
    inner: W,
}

impl<W: Waiter> Waiter for SelfAnswering<'_, W> {
    #[inline]
    fn wait<T, E>(
        &mut self,
        look: impl FnMut() -> Option<T>,
        idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        self.seq += 1;
        self.ack.store(SeqState::pack(self.seq, PROCESSED), Ordering::Release);
        self.inner.wait(look, idle)
    }
}

/// Runs empty operations in private memory. `fault` can slow down each wait.
pub(super) fn measure(monitor: &mut RunMonitor<'_>, tsc_hz: f64, fault: Option<Fault>) -> Result<Overhead, BenchError> {
    let creating = "creating private memory";
    let file = rustix::fs::memfd_create("ivshmem-doorbell-empty", rustix::fs::MemfdFlags::CLOEXEC);
    let file = file.map_err(system(creating))?;
    rustix::fs::ftruncate(&file, 2 * SLOTS as u64).map_err(system(creating))?;
    let memory = SharedRegion::map_object(&file)?;
    let words = SharedWords::new(&memory, Layout::plan(memory.len(), 64, 1, 0)?)?;
    let deadline = OperationTimeout::new(scaled(Duration::from_secs(1)), tsc_hz);
    let (durations, total) = if fault == Some(Fault::SlowStamps) {
        run(&words, monitor, SlowWaiter(Poll), deadline)?
    } else {
        run(&words, monitor, Poll, deadline)?
    };
    let ns = |ticks: f64| ticks * 1e9 / tsc_hz;
    Ok(Overhead {
        empty_operation_ns: ns(durations[durations.len() / 2] as f64),
        per_operation_ns: ns(total as f64 / OPERATIONS as f64),
    })
}

/// The sorted durations of the operations, and their total.
fn run(
    words: &SharedWords<'_>,
    monitor: &mut RunMonitor<'_>,
    inner: impl Waiter,
    deadline: OperationTimeout,
) -> Result<(Vec<u64>, u64), BenchError> {
    let waiter = SelfAnswering { ack: words.ack, seq: 0, inner };
    let mut channel = Channel::new(words, monitor, waiter, NoNotify, deadline);
    let mut samples: Vec<Sample> = Vec::with_capacity(usize::try_from(OPERATIONS).unwrap_or(0));
    let start = tsc_now();
    for seq in 1..=OPERATIONS {
        let mut sample = Sample { seq, ..Sample::default() };
        pingpong(&mut channel, &mut sample)?;
        samples.push(sample);
    }
    let total = tsc_now() - start;
    let mut durations: Vec<u64> = samples.iter().map(|sample| sample.ended - sample.published).collect();
    durations.sort_unstable();
    Ok((durations, total))
}
