//! Checks that copies and hashes stay within the peak bandwidth of the same side.

use super::{Outcome, not_applicable, outcome};
use crate::io::run::{Run, RunBlock};
use bench_model::Workload;
use bench_model::copy_speed::{CopySpeed, TOLERANCE, median_speed};
use bench_model::raw::PeakBandwidths;
use bench_model::units::{plural, speed};

/// By medians, no frame was written or read faster than the peak copy rate of that size, and no stream ran faster.
pub(super) fn within_peak(run: &Run) -> Outcome {
    let mut faults = Vec::new();
    let mut highest: f64 = 0.0;
    let mut looked = 0;
    for block in run.blocks() {
        let Some(ceiling) = ceiling_of(run, &block) else { continue };
        for copy in CopySpeed::of(block.measured, block.rows).beside(ceiling) {
            looked += 1;
            highest = highest.max(copy.seen / copy.ceiling);
            if copy.exceeds_peak() {
                let (seen, most) = (speed(copy.seen), speed(copy.ceiling));
                faults.push(format!("{}: {} {seen}, its ceiling is {most}", block.name(), copy.what));
            }
        }
    }
    if looked == 0 {
        return not_applicable("nothing was copied of which the ceiling is known");
    }
    let seen = format!("{}, the fastest at {:.0} % of its ceiling", plural(looked, "figure"), highest * 100.0);
    outcome(&faults, seen)
}

/// By medians, no frame was verified faster than the guest's peak hash rate.
pub(super) fn hash_time_plausible(run: &Run) -> Outcome {
    let mut faults = Vec::new();
    let mut highest: f64 = 0.0;
    let mut looked = 0;
    for block in run.blocks().filter(|block| block.plan().workload == Workload::Frame) {
        // Hashing does not depend on the copy direction.
        let most = run.measured().ceilings.iter().map(|ceiling| ceiling.guest.sha256).fold(0.0, f64::max);
        let Some(seen) = median_speed(block.plan().size_bytes, block.rows, |row| row.verify_ns).filter(|_| most > 0.0)
        else {
            continue;
        };
        looked += 1;
        highest = highest.max(seen / most);
        if seen > most * TOLERANCE {
            faults.push(format!("{}: verified at {}, hashing reaches {}", block.name(), speed(seen), speed(most)));
        }
    }
    if looked == 0 {
        return not_applicable("no frame was verified, or the guest's speed of hashing is not known");
    }
    let seen = format!("{}, the fastest at {:.0} % of the guest's SHA-256", plural(looked, "block"), highest * 100.0);
    outcome(&faults, seen)
}

fn ceiling_of<'a>(run: &'a Run, block: &RunBlock<'_>) -> Option<&'a PeakBandwidths> {
    run.measured().ceilings.iter().find(|ceiling| ceiling.size_bytes == block.plan().size_bytes)
}
