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
    let mut compared = 0;
    for block in run.blocks() {
        let Some(peaks) = peaks_of_size(run, &block) else { continue };
        for copy in CopySpeed::from_rows(block.measured, block.rows).with_peaks(peaks) {
            compared += 1;
            highest = highest.max(copy.speed / copy.peak);
            if copy.exceeds_peak() {
                let [rate, peak] = [copy.speed, copy.peak].map(speed);
                faults.push(format!("{}: {} {rate}, the peak bandwidth is {peak}", block.name(), copy.name));
            }
        }
    }
    if compared == 0 {
        return not_applicable("no copy has a known peak bandwidth");
    }
    let rates = plural(compared, "copy rate");
    outcome(&faults, format!("{rates}, the highest at {:.0} % of the peak bandwidth", highest * 100.0))
}

/// By medians, no frame was verified faster than the guest's peak hash rate.
pub(super) fn hash_time_plausible(run: &Run) -> Outcome {
    let mut faults = Vec::new();
    let mut highest: f64 = 0.0;
    let mut compared = 0;
    for block in run.blocks().filter(|block| block.plan().workload == Workload::Frame) {
        // Hashing does not depend on the copy direction.
        let peak = run.measured().ceilings.iter().map(|peaks| peaks.guest.sha256).fold(0.0, f64::max);
        let Some(rate) = median_speed(block.plan().size_bytes, block.rows, |row| row.verify_ns).filter(|_| peak > 0.0)
        else {
            continue;
        };
        compared += 1;
        highest = highest.max(rate / peak);
        if rate > peak * TOLERANCE {
            let [rate, peak] = [rate, peak].map(speed);
            faults.push(format!("{}: verified at {rate}, the peak hash rate is {peak}", block.name()));
        }
    }
    if compared == 0 {
        return not_applicable("no frame was verified, or the guest's peak hash rate is unknown");
    }
    let blocks = plural(compared, "block");
    outcome(&faults, format!("{blocks}, the fastest at {:.0} % of the guest's peak hash rate", highest * 100.0))
}

fn peaks_of_size<'a>(run: &'a Run, block: &RunBlock<'_>) -> Option<&'a PeakBandwidths> {
    run.measured().ceilings.iter().find(|peaks| peaks.size_bytes == block.plan().size_bytes)
}
