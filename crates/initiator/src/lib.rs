//! The measured initiator: joins the server, drives the guest through a plan's blocks, brings back a row per operation.
//!
//! 1. `words`: the words of the shared memory, as the host uses them.
//! 2. `guest`: finding the guest and driving it from block to block; `qemu`: finding the threads that run it.
//! 3. `operations`: one round trip; the measured path.
//! 4. `work`: what a block's operations are, workload by workload; `contention`: who else wants the cores meanwhile.
//! 5. `block`: a block of them, between two looks at the clocks, at what the threads `cost`, and at their `placement`.
//! 6. `recorder`: stamps become rows, rows become files.
//! 7. `ceilings` and `overhead`: what the machine can do, and what the initiator costs.
//! 8. `broken`: what goes wrong on purpose.

use std::fs::File;
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
mod run_monitor;
mod shared_words;
mod suspend;
mod threads;
mod workload;

pub use error::BenchError;
pub use run_monitor::StopReason;

use guest::Guest;
use recorder::Recorder;
use run_monitor::RunMonitor;
use shared_words::SharedWords;
use threads::{AffinitySampler, pin_current_thread, resolve_qemu_threads};

/// How long the server may take to answer.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Least time between the two readings from which the counter's rate is computed: 0.1 s gives one part per million.
const RATE_BASELINE: Duration = Duration::from_millis(100);

/// Runs a plan. Whatever was measured before an error is in `out` all the same, with the error as its reason.
pub fn run(plan: &Path, out: &Path, stop: Arc<AtomicBool>) -> Result<(), BenchError> {
    let plan = read_plan(plan)?;
    set_scale(plan.timeout_scale);
    outlive_file_size_limit()?;
    if let Some(cpu) = plan.pinning.host {
        let pinned = pin_current_thread(cpu);
        pinned.map_err(|error| BenchError::System { what: "pinning to a core", source: error.into() })?;
    }
    // Sleepers get up when they asked to, and not up to fifty microseconds later: prctl(2), PR_SET_TIMERSLACK.
    nix::sys::prctl::set_timerslack(1)
        .map_err(|error| BenchError::System { what: "setting the timer slack", source: error.into() })?;
    let mut recorder = Recorder::create(out)?;
    let anchor = TscSample::take();
    let mut client =
        Client::join(&JoinOptions { socket: plan.socket.clone(), vectors: None, timeout: scaled(JOIN_TIMEOUT) })?;
    let memory = SharedRegion::map_object(client.memory())?;
    let largest = plan.blocks.iter().map(|b| b.size_bytes).max().unwrap_or(1);
    let largest = usize::try_from(largest).unwrap_or(usize::MAX / 4);
    let layout = Layout::plan(memory.len(), largest, plan.nonce, client.id().0)?;
    let mut measured =
        RawRun { host_peer: client.id().0, memory_bytes: memory.len() as u64, ..bench_model::journal::nothing() };
    let words = SharedWords::new(&memory, layout)?;
    let outcome = drive(&plan, &mut client, &words, &mut measured, &mut recorder, (anchor, stop));
    measured.aborted = outcome.as_ref().err().map(|error| chain(error));
    let finished = recorder.finish(&measured);
    // The first error is the cause: a disk that filled in mid-run fails again here.
    outcome.and(finished)
}

/// Lets a write beyond the limit of a file's size (`ulimit -f`) fail with EFBIG, where the default is death by SIGXFSZ.
fn outlive_file_size_limit() -> Result<(), BenchError> {
    let ignored = Arc::new(AtomicBool::new(false));
    let handled = signal_hook::flag::register(Signal::SIGXFSZ as i32, ignored);
    handled.map(drop).map_err(|source| BenchError::System { what: "handling SIGXFSZ", source })
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
    let mut monitor = RunMonitor::new(client, stop);
    let (mut guest, facts) = Guest::wait_for_hello(words, &mut monitor, Duration::from_millis(plan.ready_timeout_ms))?;
    progress(&Progress::Ready { guest: Box::new(facts.clone()) });
    measured.guest_peer = guest.peer().0;
    measured.guest = facts;
    recorder.facts(measured)?;
    if !measured.guest.interrupts && plan.blocks.iter().any(|b| b.guest_wait.blocks()) {
        guest.finish()?;
        return Err(BenchError::NoInterrupts { why: measured.guest.interrupts_missing.clone() });
    }
    anchor.settle(RATE_BASELINE);
    measured.tsc_hz = anchor.rate_hz();
    measured.overhead = Some(overhead::measure(&mut monitor, measured.tsc_hz, plan.fault)?);
    let mut peaks = peak_bandwidth::PeakTracker::new(&plan.ceiling_sizes);
    peaks.measure_all(words, &mut guest, &mut monitor)?;
    let there = resolve_qemu_threads(plan, monitor.client().memory());
    let plan = &there.map_err(|source| BenchError::System { what: "looking at the shared memory's file", source })?;
    let placement = AffinitySampler::new(plan);
    let mut runner = block::BlockRunner::new(plan, words, measured.tsc_hz, &placement);
    measured.perf_missing = runner.perf_missing();
    if plan.blocks.iter().any(|block| [block.host_wait, block.guest_wait].contains(&WaitMode::Hybrid)) {
        measured.spin_ns = Some(runner.calibrate_spin(plan.spin_ns, &mut guest, &mut monitor)?);
    }
    measured.ceilings.clone_from(&peaks.known);
    recorder.facts(measured)?;
    for (position, block) in plan.blocks.iter().enumerate() {
        peaks.remeasure_before(position, &plan.blocks, (words, &mut guest, &mut monitor))?;
        measured.ceilings.clone_from(&peaks.known);
        let (mut done, copied) = runner.run(block, &mut guest, &mut monitor, recorder)?;
        peaks.record_copy_speed(block.size_bytes, copied);
        done.placement = Some(placement.sample());
        recorder.finished(&done, &measured.ceilings)?;
        measured.blocks.push(done);
        progress(&Progress::Block { done: measured.blocks.len(), of: plan.blocks.len() });
    }
    peaks.measure_all(words, &mut guest, &mut monitor)?;
    peaks.remeasure_exceeded(words, &mut guest, &mut monitor)?;
    measured.ceilings = peaks.known;
    guest.finish()
}

fn read_plan(path: &Path) -> Result<Plan, BenchError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| BenchError::Plan { path: path.to_owned(), source };
    let file = File::open(path).map_err(|e| failed(e.into()))?;
    serde_json::from_reader(std::io::BufReader::new(file)).map_err(|e| failed(e.into()))
}

/// One line of JSON on stdout per event, for whoever shows progress. Nobody listening is no reason to stop.
fn progress(event: &Progress) {
    let mut stdout = std::io::stdout().lock();
    if serde_json::to_writer(&mut stdout, event).is_ok() {
        let _ = stdout.write_all(b"\n").and_then(|()| stdout.flush());
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
