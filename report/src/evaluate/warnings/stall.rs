//! Stalls: the machine, or a process of the run, stopped for longer than any scheduling delay. Means, rates and CPU
//! metrics then contain the stall, so each warning gives block, length and effect.
//!
//! An operation stalls if its duration, or the delay before it, exceeds the third quartile of its cell by all of
//!
//! - [`MIN_LENGTH`]: with both CPUs of a machine overcommitted fourfold, the longest of 24,500 operations took 51 ms. 30
//!   runnable threads with slices of 3 ms delay each other by 90 ms. With the run's own busy threads, where scheduling
//!   delay is the subject of the measurement, delays up to 0.9 s were observed, so the limit is [`MIN_CONTENDED_LENGTH`];
//! - three times that quartile, for operations that take long anyway, such as frames under emulation;
//! - ten times the interquartile range.
//!
//! Quartiles are robust: a stall hardly changes them.

use std::collections::HashSet;

use crate::evaluate::cost;
use crate::io::run::{CellBlocks, Run, RunBlock};
use crate::result::metric::Metric;
use crate::result::warning::Warning;
use bench_model::samples::Row;
use bench_model::units::{duration, plural, sig3, thousands};
use bench_model::{WaitMode, Workload};

/// Minimum length of a stall, in nanoseconds.
const MIN_LENGTH: u64 = 150_000_000;
/// The same if the run's own busy threads preempt the measured threads.
const MIN_CONTENDED_LENGTH: u64 = 2_000_000_000;
/// Share of a block's time during which a polling thread may be preempted.
const OFF_CPU_FROM: f64 = 0.25;
/// Maximum number of warnings printed; the others are only counted.
const SHOWN: usize = 3;

const HINT: &str =
    "run again, and look for what stopped (dmesg, vmstat 1: swapping, steal, suspend, a stopped process)";

/// A stall of one block.
struct Stall {
    /// In nanoseconds, for the block's longest operation.
    longest: u64,
    message: String,
}

/// The longest stalls of a run, one warning per block.
pub(super) fn warnings(run: &Run) -> Vec<Warning> {
    let mut stalls: Vec<Stall> = run.cells().iter().flat_map(stalls_of_cell).collect();
    stalls.sort_by_key(|stall| std::cmp::Reverse(stall.longest));
    let more = stalls.len().saturating_sub(SHOWN);
    let longest_of_more = stalls.get(SHOWN).map_or(0, |stall| stall.longest);
    stalls.truncate(SHOWN);
    if let Some(last) = stalls.last_mut().filter(|_| more > 0) {
        let longest = duration(longest_of_more as f64);
        let more = plural(more as u64, "more block");
        last.message = format!("{}. {more} stalled too, for up to {longest}", last.message);
    }
    stalls.into_iter().map(|stall| Warning::new(stall.message, HINT)).collect()
}

fn stalls_of_cell(cell: &CellBlocks<'_>) -> Vec<Stall> {
    let blocks = &cell.blocks[..];
    let all = || blocks.iter().flat_map(operations);
    let (span_limit, delay_limit) = (
        limit(blocks, all().filter_map(|operation| operation.span)),
        limit(blocks, all().filter_map(|operation| operation.delay)),
    );
    let is_stalled =
        |operation: &Operation<'_>| exceeds(operation.span, span_limit) || exceeds(operation.delay, delay_limit);
    let stalled: Vec<Vec<Operation<'_>>> =
        blocks.iter().map(|block| operations(block).into_iter().filter(is_stalled).collect()).collect();
    let effect = effect(cell, &stalled);
    let by_operation = blocks.iter().zip(&stalled).filter_map(|(block, stalled)| {
        let longest = stalled.iter().map(Operation::longest).max()?;
        let late = stalled.iter().all(|operation| !exceeds(operation.span, span_limit));
        let verb = if late { "started late by" } else { "took" };
        let up_to = if stalled.len() > 1 { " up to" } else { "" };
        let message = format!(
            "{}: {} of {} {verb}{up_to} {} (machine or process stopped){}",
            block.name(),
            thousands(stalled.len() as u64),
            plural(block.rows.len() as u64, "operation"),
            duration(longest as f64),
            effect,
        );
        Some(Stall { longest, message })
    });
    by_operation.chain(blocks.iter().filter_map(|block| stall_of_block(block, blocks))).collect()
}

/// A row with the two durations in which it can stall.
struct Operation<'a> {
    row: &'a Row,
    /// The duration that counts as the cell's latency.
    span: Option<u64>,
    /// The delay before sending: from the end of the previous operation or the scheduled send time, whichever is later,
    /// to the send. `None` for frames: they are generated in that time, which no metric includes.
    delay: Option<u64>,
}

impl Operation<'_> {
    fn longest(&self) -> u64 {
        self.span.unwrap_or(0).max(self.delay.unwrap_or(0))
    }
}

/// The operations that count for metrics, in order.
fn operations<'a>(block: &RunBlock<'a>) -> Vec<Operation<'a>> {
    let workload = block.plan().workload;
    let mut ended_before = None;
    let operation = |row: &'a Row| {
        let earliest = [row.due_ns, ended_before].into_iter().flatten().max();
        ended_before = row.h5_ns;
        let sent = row.h2_ns.filter(|_| workload != Workload::Frame);
        let delay = sent.zip(earliest).map(|(sent, earliest)| sent.saturating_sub(earliest));
        Operation { row, span: Metric::Latency.of_row(workload, row), delay }
    };
    // Failed operations count for no metric, but the next operation starts after them.
    let operations: Vec<Operation<'_>> = block.rows.iter().map(operation).collect();
    operations.into_iter().filter(|operation| operation.row.status == bench_model::samples::Status::Ok).collect()
}

/// Above this, in nanoseconds, a value is a stall. `None` without values.
fn limit(blocks: &[RunBlock<'_>], values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    let top = values.len().checked_sub(1)?;
    let (first, third) = (values[top / 4], values[top * 3 / 4]);
    let is_contended = blocks.iter().any(|block| block.plan().conditions.is_contended());
    let least = if is_contended { MIN_CONTENDED_LENGTH } else { MIN_LENGTH };
    let beyond = least.max(third.saturating_mul(3)).max((third - first).saturating_mul(10));
    Some(third.saturating_add(beyond))
}

fn exceeds(value: Option<u64>, limit: Option<u64>) -> bool {
    value.zip(limit).is_some_and(|(value, limit)| value > limit)
}

/// The effect of the stalls, given by block, on the mean and the CPU metrics of their cell.
fn effect(cell: &CellBlocks<'_>, stalled: &[Vec<Operation<'_>>]) -> String {
    let blocks = &cell.blocks[..];
    let metric = if cell.series(Metric::CorrectedLatency).concat().is_empty() {
        Metric::Latency
    } else {
        Metric::CorrectedLatency
    };
    let name = if metric == Metric::CorrectedLatency { "mean corrected latency" } else { "mean latency" };
    let stalled_rows: HashSet<u64> = stalled.iter().flatten().map(|operation| operation.row.seq).collect();
    let rows = || blocks.iter().flat_map(RunBlock::ok_rows);
    let value = |row: &&Row| metric.of_row(blocks[0].plan().workload, row);
    let with = mean(rows().filter_map(|row| value(&row)));
    let without = mean(rows().filter(|row| !stalled_rows.contains(&row.seq)).filter_map(|row| value(&row)));
    // Stalls between round trips do not change the mean.
    let means = with.zip(without).map(|(with, without)| (duration(with), duration(without)));
    let means = means.filter(|(with, without)| with != without);
    let means = means.map(|(with, without)| format!("; {name} of the cell {with} with the stall, {without} without"));
    let quiet = blocks.iter().zip(stalled).filter(|(_, stalled)| stalled.is_empty());
    let quiet: Vec<RunBlock<'_>> = quiet.map(|(block, _)| *block).collect();
    let per_operation = |blocks: &[RunBlock<'_>]| cost::cpu(blocks).total_us_per_op();
    let cpu = match (per_operation(blocks), per_operation(&quiet)) {
        (Some(with), Some(without)) => {
            let (with, without) = (duration(with * 1e3), duration(without * 1e3));
            format!("; CPU per operation {with}, in blocks without a stall {without}")
        }
        (Some(_), None) => "; CPU per operation includes it".to_owned(),
        (None, _) => String::new(),
    };
    means.unwrap_or_default() + &cpu
}

fn mean(values: impl Iterator<Item = u64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value as f64, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// Stalls that are visible only for a whole block: a suspended machine, a stream or storm that took longer than
/// planned, or a polling thread that did not use its CPU.
fn stall_of_block(block: &RunBlock<'_>, cell: &[RunBlock<'_>]) -> Option<Stall> {
    let suspended = Some(block.measured.suspended_ns).filter(|ns| *ns >= MIN_LENGTH).map(|longest| Stall {
        longest,
        message: format!("{}: the machine was suspended for {}", block.name(), duration(longest as f64)),
    });
    suspended.or_else(|| overrun(block, cell)).or_else(|| off_cpu(block))
}

fn overrun(block: &RunBlock<'_>, cell: &[RunBlock<'_>]) -> Option<Stall> {
    let span = |block: &RunBlock<'_>| Some(block.measured.traffic.as_ref()?.span_ns);
    let longest = span(block)?;
    let mut spans: Vec<u64> = cell.iter().filter_map(span).collect();
    spans.sort_unstable();
    let median = spans[(spans.len() - 1) / 2];
    let usual = median.max(planned(block).unwrap_or(0));
    (longest > usual.saturating_add(MIN_LENGTH.max(usual))).then(|| {
        let rate = sig3(longest as f64 / usual.max(1) as f64);
        let message = format!(
            "{}: its messages took {} where {} is usual (machine or process stopped); its rate is underestimated {rate} times",
            block.name(),
            duration(longest as f64),
            duration(usual as f64),
        );
        Stall { longest: longest - usual, message }
    })
}

/// Planned duration of a stream or a storm, in nanoseconds; `None`: no time limit.
fn planned(block: &RunBlock<'_>) -> Option<u64> {
    let asked = block.plan();
    match asked.workload {
        Workload::Stream => asked.limit_ms.map(|ms| ms.saturating_mul(1_000_000)),
        Workload::Storm => {
            let rate = asked.conditions.rate_per_s.filter(|rate| *rate > 0)?;
            Some(asked.count.saturating_sub(1).saturating_mul(1_000_000_000) / rate)
        }
        Workload::Pingpong
        | Workload::Paced
        | Workload::Openloop
        | Workload::Frame
        | Workload::Idle
        | Workload::Contention => None,
    }
}

/// Only for blocks without operations: in other blocks, context switches show preemption.
fn off_cpu(block: &RunBlock<'_>) -> Option<Stall> {
    let asked = block.plan();
    if !matches!(asked.workload, Workload::Idle | Workload::Stream | Workload::Storm) || asked.conditions.is_contended()
    {
        return None;
    }
    let (wall, cpu) = (block.measured.wall_ns, &block.measured.cpu);
    let host =
        (asked.host_wait == WaitMode::Poll).then_some(("initiator", cpu.host_ns.saturating_add(cpu.host_pacing_ns)));
    let vcpu = cpu.vcpus_ns.iter().max().copied().or(cpu.vcpu_ns).filter(|_| asked.guest_wait == WaitMode::Poll);
    let threads = [host, vcpu.map(|ns| ("vCPU", ns))].into_iter().flatten();
    let (name, ran) = threads.min_by_key(|(_, ran)| *ran)?;
    let off = wall.saturating_sub(ran);
    (off >= MIN_LENGTH && off as f64 >= wall as f64 * OFF_CPU_FROM).then(|| Stall {
        longest: off,
        message: format!(
            "{}: the polling {name} ran for {} of {} (stopped or preempted); cores in use are underestimated",
            block.name(),
            duration(ran as f64),
            duration(wall as f64),
        ),
    })
}
