//! Checks the stamps: their order on each side, the sum of the legs, and the offset between the clocks.

use super::{Outcome, not_applicable, outcome};
use crate::io::run::{Run, RunBlock};
use crate::result::environment::Environment;
use bench_model::raw::ClockFit;
use bench_model::samples::Row;
use bench_model::units::{duration, plural, thousands};
use statistics::median;

/// Share of the total that may lie outside the legs.
const TOLERANCE: f64 = 0.01;

/// Minimum time between a store and the stamp after it: one or two emulated instructions.
const STAMP_FLOOR_NS: f64 = 500.0;

/// Each stamp and each leg is rounded to nanoseconds separately.
const ROUNDING_NS: i128 = 8;

/// A guest's stamp under TCG may precede the load that it follows by up to this time. TCG omits `lfence`, because x86 hosts
/// order loads without it (`tcg_out_mb` in QEMU's tcg/i386), so the host's `rdtsc` may execute while the load waits for
/// the other core's cache line. A run had -91 ns in one of 80 blocks. Two threads of one process with QEMU's lock around
/// `rdtsc` (`cpu_get_ticks`) and no `lfence` had one or two negative times in a million, down to -150 ns; with `lfence`, none.
const TCG_EARLY_STAMP_NS: f64 = 250.0;

/// The medians of the legs sum to the median total within 1 %. In each operation, legs and gaps sum to the total. No
/// message arrives before it was sent by more than the clock accuracy. Covers only blocks with a stable offset.
pub(super) fn legs_sum(run: &Run, environment: &Environment) -> Outcome {
    let early_stamp_ns = if environment.accel == "tcg" { TCG_EARLY_STAMP_NS } else { 0.0 };
    let mut faults = Vec::new();
    let (mut whole, mut partly) = (0, 0);
    let mut least_seen: Option<i128> = None;
    for block in run.blocks().filter(|block| block.measured.clock.is_stable()) {
        let chains: Vec<StampChain> = block.ok_rows().filter_map(StampChain::from_row).collect();
        let stamped_before = block.plan().is_stamped_before_ack();
        let least = block.ok_rows().flat_map(|row| crossings(row, stamped_before)).min();
        let complete = chains.iter().filter(|chain| chain.is_whole).count();
        whole += complete as u64;
        partly += (chains.len() - complete) as u64;
        least_seen = least_seen.into_iter().chain(least).min();
        faults.extend(legs_differ(&block, &chains));
        faults.extend(gaps_too_wide(&block, &chains));
        faults.extend(too_early(&block, least, early_stamp_ns));
        if !stamped_before {
            faults.extend(stamped_late(run, &block));
        }
    }
    let Some(least) = least_seen else {
        return not_applicable("no operation has stamps of both sides on one time line");
    };
    // A guest that polls back to back does not stamp G1: only the order of stamps can be checked.
    let others = if partly > 0 { format!(", {} have only the leg `answer`", thousands(partly)) } else { String::new() };
    let detail = format!(
        "the legs of {} add up{others}; the shortest one-way time is {}",
        plural(whole, "operation"),
        duration(least as f64)
    );
    outcome(&faults, detail)
}

/// The chain of stamps of an operation, from the host through the guest and back. Wide integers: forged stamps must not
/// overflow.
struct StampChain {
    seq: u64,
    legs_ns: i128,
    gaps_ns: i128,
    total_ns: i128,
    /// Whether each side's stamps are in order.
    in_order: bool,
    /// Whether the legs cover the whole chain, except the step from payload to sequence number.
    is_whole: bool,
}

impl StampChain {
    /// From the first stamp to H5, the host's receipt of the acknowledgement. `None` if the host's or the guest's stamps are
    /// missing. A short message has no H0 (before writing the payload). A guest that does not read the payload has no G3,
    /// and one that does not verify it has no G4.
    fn from_row(row: &Row) -> Option<Self> {
        let from_host = [(row.h0_ns, row.write_ns), (row.h1_ns, None)];
        let from_guest = [(row.g1_ns, None), (row.g2_ns, row.read_ns), (row.g3_ns, row.verify_ns), (row.g4_ns, None)];
        let (published, acked, ended) = (row.h2_ns?, row.g5_ns?, row.h5_ns?);
        let on_host = side(&from_host, published);
        let in_guest = side(&from_guest, acked);
        // Unknown if the guest did not stamp G1, and in tables of earlier versions: counted as a gap.
        let (handle, gap_in_guest) = row.handle_ns.map_or((0, in_guest.gaps_ns), |ns| (i128::from(ns), 0));
        let there = i128::from(in_guest.first) - i128::from(published);
        let back = i128::from(ended) - i128::from(acked);
        // A missing one-way leg is a gap.
        let split = row.inject_ns.zip(row.wake_ns).map(|(inject, wake)| i128::from(inject) + i128::from(wake));
        let (notify, gap_there) = split.or(row.notify_ns.map(i128::from)).map_or((0, there), |ns| (ns, 0));
        let (answer, gap_back) = row.answer_ns.map_or((0, back), |ns| (i128::from(ns), 0));
        Some(Self {
            seq: row.seq,
            legs_ns: on_host.legs_ns + notify + in_guest.legs_ns + handle + answer,
            gaps_ns: on_host.gaps_ns + gap_there + gap_in_guest + gap_back,
            total_ns: i128::from(if row.h0_ns.is_some() { row.end_to_end_ns? } else { row.rtt_ns? }),
            in_order: on_host.in_order && in_guest.in_order,
            is_whole: row.notify_ns.is_some() && row.handle_ns.is_some(),
        })
    }

    fn adds_up(&self) -> bool {
        let difference = (self.legs_ns + self.gaps_ns - self.total_ns).abs();
        self.in_order && (difference <= ROUNDING_NS || difference as f64 <= self.total_ns as f64 * TOLERANCE)
    }
}

/// One side's part of the chain.
struct SideStamps {
    first: u64,
    legs_ns: i128,
    gaps_ns: i128,
    in_order: bool,
}

/// Adds up one side's stamps, each with the leg that begins at it, until `last`.
fn side(stamps: &[(Option<u64>, Option<u64>)], last: u64) -> SideStamps {
    let taken: Vec<(u64, Option<u64>)> = stamps.iter().filter_map(|&(stamp, leg)| Some((stamp?, leg))).collect();
    let ends = taken.iter().map(|&(stamp, _)| stamp).skip(1).chain([last]);
    let first = taken.first().map_or(last, |&(stamp, _)| stamp);
    let mut side = SideStamps { first, legs_ns: 0, gaps_ns: 0, in_order: true };
    for (&(from, leg), to) in taken.iter().zip(ends) {
        side.in_order &= from <= to;
        match leg {
            Some(leg) => side.legs_ns += i128::from(leg),
            None => side.gaps_ns += i128::from(to) - i128::from(from),
        }
    }
    side
}

fn legs_differ(block: &RunBlock<'_>, chains: &[StampChain]) -> Option<String> {
    let wrong: Vec<&StampChain> = chains.iter().filter(|chain| !chain.adds_up()).collect();
    let first = wrong.first()?;
    let why = if first.in_order {
        let sum = duration((first.legs_ns + first.gaps_ns) as f64);
        format!("legs of {sum} for a total of {}", duration(first.total_ns as f64))
    } else {
        "stamps of one side out of order".to_owned()
    };
    let count = plural(wrong.len() as u64, "operation");
    Some(format!("{}: {count} wrong, first seq {}: {why}", block.name(), first.seq))
}

/// By medians: preemption between two legs must not fail the check.
fn gaps_too_wide(block: &RunBlock<'_>, chains: &[StampChain]) -> Option<String> {
    let whole = || chains.iter().filter(|chain| chain.is_whole);
    let (gaps, total) = (median(whole().map(|chain| chain.gaps_ns))?, median(whole().map(|chain| chain.total_ns))?);
    (gaps > ROUNDING_NS && gaps as f64 > total as f64 * TOLERANCE)
        .then(|| format!("{}: {} of {} lie in no leg", block.name(), duration(gaps as f64), duration(total as f64)))
}

/// One-way times that cannot be negative on one clock. G2 is stamped *after* the store that the host sees; so is G5 of
/// a guest that polls back to back. There the previous stamp is used.
fn crossings(row: &Row, stamped_before: bool) -> impl Iterator<Item = i128> {
    let across = |from: Option<u64>, to: Option<u64>| Some(i128::from(to?) - i128::from(from?));
    let earlier = row.g4_ns.or(row.g3_ns).or(row.g1_ns);
    let before_ack = if stamped_before { row.g5_ns.or(earlier) } else { earlier };
    let there = across(row.h2_ns, row.g1_ns.or(row.g5_ns));
    [there, across(row.g1_ns, row.h4_ns), across(before_ack, row.h5_ns)].into_iter().flatten()
}

/// `early_stamp_ns`: how early a guest's stamp may be, apart from the offset's error.
fn too_early(block: &RunBlock<'_>, least: Option<i128>, early_stamp_ns: f64) -> Option<String> {
    let (least, clock) = (least?, &block.measured.clock);
    // The offset lies between both measurements. One nanosecond is for rounding.
    let bound = clock.bound_ns + clock.moved_ns() / 2.0 + early_stamp_ns;
    ((least as f64) < -bound - 1.0).then(|| {
        let (least, bound) = (duration(least as f64), duration(bound));
        format!("{}: something arrived after {least}, with stamps known to ± {bound}", block.name())
    })
}

/// The guest stamps an acknowledgement right after the store. By medians the stamp may be later than the host's
/// observation only by the clock accuracy and the cost of a stamp.
fn stamped_late(run: &Run, block: &RunBlock<'_>) -> Option<String> {
    let median = median(block.ok_rows().filter_map(|row| row.answer_ns))? as f64;
    let stamp = run.measured().ceilings.first().map_or(0.0, |ceiling| ceiling.guest.stamp_ns);
    let clock = &block.measured.clock;
    let bound = clock.bound_ns + clock.moved_ns() / 2.0 + stamp + STAMP_FLOOR_NS;
    (median < -bound)
        .then(|| format!("{}: acknowledgements arrived {} before their stamp", block.name(), duration(-median)))
}

/// Across each block, the clock offset changed by at most twice the accuracy of a measurement. A block with a
/// larger change gives no one-way latencies; its other results stay valid. With such blocks the check is not
/// applicable; it fails if they are more than half.
pub(super) fn offset_stable(run: &Run) -> Outcome {
    let fits: Vec<&ClockFit> = run.measured().blocks.iter().map(|block| &block.clock).collect();
    if fits.iter().all(|&fit| *fit == ClockFit::default()) {
        return not_applicable("the clocks were not compared");
    }
    let unstable = fits.iter().filter(|fit| !fit.is_stable()).count();
    let blocks = plural(fits.len() as u64, "block");
    if unstable * 2 > fits.len() {
        let fault = format!("it moved in {unstable} of {blocks}: the clocks do not share a time line");
        return outcome(&[fault], String::new());
    }
    if unstable > 0 {
        return not_applicable(format!("it moved in {unstable} of {blocks}, which give no one-way latencies"));
    }
    let most = |of: fn(&ClockFit) -> f64| duration(fits.iter().map(|&fit| of(fit)).fold(0.0, f64::max));
    let moved = most(ClockFit::moved_ns);
    outcome(&[], format!("it moved by {moved} at most and is known to ± {}", most(|fit| fit.bound_ns)))
}
