//! The measured host side: joins the server, drives the guest through the blocks of a plan and records every operation.
//!
//! 1. `shared_words`: the words of the shared memory that the host accesses.
//! 2. `guest`: finds the guest and drives it from block to block. `run_monitor`: detects why a run must stop.
//! 3. `round_trip`: one operation, the measured path. `eventfd`: ring and wait.
//! 4. `workload`: the operations of a block. `threads`: CPU affinity, busy threads, QEMU's threads.
//! 5. `block`: runs a block and measures clocks, `cpu_usage` and affinity around it. `block_result`: its raw result.
//! 6. `row`: stamps of an operation as a row. `recorder`: writes rows and results to files.
//! 7. `peak_bandwidth`, `overhead`: limits of the machine and overhead of the instrument.
//! 8. `faults`: fault injection on the host.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bench_model::progress::Progress;
use bench_model::raw::RawRun;
use bench_model::{Plan, WaitMode};
use bench_protocol::layout::Layout;
use doorbell::deadline::{scaled, set_scale};
use doorbell::region::SharedRegion;
use doorbell::tsc::TscSample;
use nix::sys::signal::Signal;

use client::{Client, JoinOptions};

mod block;
mod block_result;
mod cpu_usage;
mod error;
mod eventfd;
mod faults;
mod guest;
mod overhead;
mod peak_bandwidth;
mod recorder;
mod round_trip;
mod row;
mod run_monitor;
mod shared_words;
mod suspend;
mod threads;
mod workload;

pub use error::BenchError;
pub use run_monitor::StopReason;

use error::system;
use guest::Guest;
use recorder::Recorder;
use run_monitor::RunMonitor;
use shared_words::SharedWords;
use threads::{AffinitySampler, pin_current_thread, resolve_qemu_threads};

/// Limit of the handshake with the server.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Minimum time between the two TSC samples for its rate: 0.1 s gives one part per million.
const RATE_BASELINE: Duration = Duration::from_millis(100);

/// Runs a plan. After an error, `out` holds the blocks measured so far and the error as the reason.
pub fn run(plan: &Path, out: &Path, stop: Arc<AtomicBool>) -> Result<(), BenchError> {
    let plan = read_plan(plan)?;
    set_scale(plan.timeout_scale);
    ignore_sigxfsz()?;
    if let Some(cpu) = plan.pinning.host {
        pin_current_thread(cpu).map_err(system("pinning to a core"))?;
    }
    // The default timer slack delays each wake-up by up to 50 µs: prctl(2), PR_SET_TIMERSLACK.
    nix::sys::prctl::set_timerslack(1).map_err(system("setting the timer slack"))?;
    let mut recorder = Recorder::create(out)?;
    let anchor = TscSample::take();
    let mut client =
        Client::join(&JoinOptions { socket: plan.socket.clone(), vectors: None, timeout: scaled(JOIN_TIMEOUT) })?;
    let memory = SharedRegion::map_object(client.memory())?;
    let largest = plan.blocks.iter().map(|b| b.size_bytes).max().unwrap_or(1);
    let largest = usize::try_from(largest).unwrap_or(usize::MAX / 4);
    let layout = Layout::plan(memory.len(), largest, plan.nonce, client.id().0)?;
    let mut measured = RawRun { host_peer: client.id().0, memory_bytes: memory.len() as u64, ..RawRun::default() };
    let words = SharedWords::new(&memory, layout)?;
    let outcome = drive(&plan, &mut client, &words, &mut measured, &mut recorder, (anchor, stop));
    measured.aborted = outcome.as_ref().err().map(|error| chain(error));
    let finished = recorder.finish(&measured);
    // The first error is the cause: a full disk fails again here.
    outcome.and(finished)
}

/// Makes writes beyond `ulimit -f` fail with EFBIG instead of killing the process with SIGXFSZ.
fn ignore_sigxfsz() -> Result<(), BenchError> {
    let ignored = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::SIGXFSZ as i32, ignored).map(drop).map_err(system("handling SIGXFSZ"))
}

fn drive(
    plan: &Plan,
    client: &mut Client,
    words: &SharedWords<'_>,
    measured: &mut RawRun,
    recorder: &mut Recorder,
    (anchor, stop): (TscSample, Arc<AtomicBool>),
) -> Result<(), BenchError> {
    words.layout.publish(words.memory)?;
    let monitor = RunMonitor::new(client, stop);
    let (mut guest, facts) = Guest::wait_for_hello(words, monitor, Duration::from_millis(plan.ready_timeout_ms))?;
    progress(&Progress::Ready { guest: Box::new(facts.clone()) });
    measured.guest_peer = guest.peer.0;
    measured.guest = facts;
    recorder.facts(measured)?;
    if !measured.guest.interrupts && plan.blocks.iter().any(|b| b.guest_wait.blocks()) {
        guest.finish()?;
        let why = &measured.guest.interrupts_missing;
        return Err(BenchError::Guest(format!("cannot measure irq mode with this guest: {why}")));
    }
    anchor.settle(RATE_BASELINE);
    measured.tsc_hz = anchor.rate_hz();
    measured.overhead = Some(overhead::measure(&mut guest.monitor, measured.tsc_hz, plan.fault)?);
    let mut peaks = peak_bandwidth::PeakTracker::new(&plan.ceiling_sizes);
    peaks.measure_all(&mut guest)?;
    let resolved = resolve_qemu_threads(plan, guest.monitor.client.memory());
    let plan = &resolved.map_err(system("finding QEMU by the shared memory"))?;
    let placement = AffinitySampler::new(plan);
    let mut runner = block::BlockRunner::new(plan, words, measured.tsc_hz, &placement);
    measured.perf_missing.clone_from(&runner.meter.perf_missing);
    if plan.blocks.iter().any(|block| [block.host_wait, block.guest_wait].contains(&WaitMode::Hybrid)) {
        measured.spin_ns = Some(runner.calibrate_spin(plan.spin_ns, &mut guest)?);
    }
    measured.ceilings.clone_from(&peaks.known);
    recorder.facts(measured)?;
    for (position, block) in plan.blocks.iter().enumerate() {
        peaks.remeasure_before(position, &plan.blocks, &mut guest)?;
        measured.ceilings.clone_from(&peaks.known);
        let (mut done, copied) = runner.run(block, &mut guest, recorder)?;
        peaks.copied.push((block.size_bytes, copied));
        done.placement = Some(placement.sample());
        recorder.finished(&done, &measured.ceilings)?;
        measured.blocks.push(done);
        progress(&Progress::Block { done: measured.blocks.len(), of: plan.blocks.len() });
    }
    peaks.measure_all(&mut guest)?;
    peaks.remeasure_exceeded(&mut guest)?;
    measured.ceilings = peaks.known;
    guest.finish()
}

fn read_plan(path: &Path) -> Result<Plan, BenchError> {
    let text = std::fs::read(path).map_err(error::file_error("read the plan", path))?;
    serde_json::from_slice(&text).map_err(error::file_error("read the plan", path))
}

/// Prints one line of JSON per event for a progress display. A closed stdout is ignored.
fn progress(event: &Progress) {
    let mut stdout = std::io::stdout().lock();
    if serde_json::to_writer(&mut stdout, event).is_ok() {
        let _ = stdout.write_all(b"\n").and_then(|()| stdout.flush());
    }
}

/// Formats an error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
