//! The hardware counters in one line, or why there are none.

use crate::result::ThreadCounts;
use crate::result::{Cell, RunResult};
use bench_model::Workload;

/// `None` for a run that recorded neither.
pub(super) fn line(result: &RunResult) -> Option<String> {
    let cells = result.cells.iter().filter(|cell| cell.workload == Workload::Pingpong);
    let told: Vec<String> = cells.filter_map(of_cell).collect();
    if told.is_empty() {
        let missing = result.environment.perf_missing.as_ref()?;
        // One reason for all needs no list of what it is the reason for.
        let reason = missing.split_once(": ").filter(|_| !missing.contains("; ")).map_or(missing.as_str(), |(_, r)| r);
        Some(format!("hardware counters: n/a, {reason}"))
    } else {
        Some(format!("cycles/instructions per op: {}", told.join("; ")))
    }
}

fn of_cell(cell: &Cell) -> Option<String> {
    let perf = cell.cpu.perf.as_ref()?;
    let threads = [("host", &perf.host), ("vcpu", &perf.vcpu)];
    let threads: Vec<String> =
        threads.into_iter().filter_map(|(name, counts)| Some(format!("{name} {}", pair(counts.as_ref()?)?))).collect();
    (!threads.is_empty()).then(|| format!("{} {}", cell.mode, threads.join(" ")))
}

fn pair(counts: &ThreadCounts) -> Option<String> {
    Some(format!("{}/{}", short(counts.cycles?), short(counts.instructions?)))
}

/// Three digits, in thousands or millions where there are more.
fn short(count: f64) -> String {
    match count {
        count if count < 999.5 => format!("{count:.0}"),
        count if count < 999.5e3 => format!("{}k", bench_model::units::sig3(count / 1e3)),
        count => format!("{}M", bench_model::units::sig3(count / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_short_whatever_their_size() {
        assert_eq!([0.4, 850.0, 1_234.0, 99_960.0, 2_000_000.0].map(short), ["0", "850", "1.23k", "100k", "2.00M"]);
    }
}
