//! Whether copies and hashes are no faster than the same side's memory and processor can be.

use crate::checks::{judge, not_applicable};
use crate::measured::Ceilings;
use crate::plan::Workload;
use crate::result::SelfCheck;
use crate::run::{Run, RunBlock};
use crate::samples::Row;
use crate::units::{counted, speed};

/// How far above its ceiling a figure may lie: a ceiling is the best of a few rounds, and others disturb them too.
const TOLERANCE: f64 = 1.1;

/// 1: by medians, no frame was written or read faster than the same side copies that many bytes; nor did a stream carry
/// more.
#[must_use]
pub fn below_ceiling(run: &Run) -> SelfCheck {
    const NAME: &str = "no copy is faster than the memory's ceiling";
    let mut faults = Vec::new();
    let mut highest: f64 = 0.0;
    let mut looked = 0;
    for block in run.blocks() {
        let Some(ceiling) = ceiling_of(run, &block) else { continue };
        let parts = match block.asked().workload {
            Workload::Frame => vec![
                ("the host writes", median_speed(&block, |row| row.write_ns), ceiling.host.heap_to_region),
                ("the guest reads", median_speed(&block, |row| row.read_ns), ceiling.guest.region_to_heap),
            ],
            Workload::Stream => {
                let slower = ceiling.host.heap_to_region.min(ceiling.guest.region_to_heap);
                vec![("the stream carries", stream_speed(&block), slower)]
            }
            _ => continue,
        };
        for (what, seen, most) in parts {
            let Some(seen) = seen.filter(|_| most > 0.0) else { continue };
            looked += 1;
            highest = highest.max(seen / most);
            if seen > most * TOLERANCE {
                faults.push(format!("{}: {what} {}, its ceiling is {}", block.name(), speed(seen), speed(most)));
            }
        }
    }
    if looked == 0 {
        return not_applicable(1, NAME, "nothing was copied of which the ceiling is known");
    }
    let seen = format!("{}, the fastest at {:.0} % of its ceiling", counted(looked, "figure"), highest * 100.0);
    judge(1, NAME, &faults, seen)
}

/// 9: by medians, no frame was verified in less time than hashing it takes the guest.
#[must_use]
pub fn verified_for_real(run: &Run) -> SelfCheck {
    const NAME: &str = "verifying takes as long as hashing does";
    let mut faults = Vec::new();
    let mut highest: f64 = 0.0;
    let mut looked = 0;
    for block in run.blocks().filter(|block| block.asked().workload == Workload::Frame) {
        // Hashing takes no notice of how much was copied besides.
        let most = run.measured().ceilings.iter().map(|ceiling| ceiling.guest.sha256).fold(0.0, f64::max);
        let Some(seen) = median_speed(&block, |row| row.verify_ns).filter(|_| most > 0.0) else { continue };
        looked += 1;
        highest = highest.max(seen / most);
        if seen > most * TOLERANCE {
            faults.push(format!("{}: verified at {}, hashing reaches {}", block.name(), speed(seen), speed(most)));
        }
    }
    if looked == 0 {
        return not_applicable(9, NAME, "no frame was verified, or the guest's speed of hashing is not known");
    }
    let seen = format!("{}, the fastest at {:.0} % of the guest's SHA-256", counted(looked, "block"), highest * 100.0);
    judge(9, NAME, &faults, seen)
}

fn ceiling_of<'a>(run: &'a Run, block: &RunBlock<'_>) -> Option<&'a Ceilings> {
    run.measured().ceilings.iter().find(|ceiling| ceiling.size_bytes == block.asked().size_bytes)
}

/// The size over a leg's median, in bytes per second. A leg of no time at all is infinitely fast.
fn median_speed(block: &RunBlock<'_>, leg: fn(&Row) -> Option<u64>) -> Option<f64> {
    let mut legs: Vec<u64> = block.ok_rows().filter_map(leg).collect();
    legs.sort_unstable();
    let median = *legs.get(legs.len() / 2)?;
    Some(block.asked().size_bytes as f64 * 1e9 / median.max(1) as f64)
}

fn stream_speed(block: &RunBlock<'_>) -> Option<f64> {
    let traffic = block.measured.traffic.as_ref().filter(|traffic| traffic.span_ns > 0)?;
    Some(traffic.seen as f64 * block.asked().size_bytes as f64 * 1e9 / traffic.span_ns as f64)
}
