//! Every comparison of the run, and the words of its verdict.

use crate::result::comparison::{Basis, Comparison};
use crate::result::findings::ContentionResult;
use crate::result::{Cell, RunResult};
use crate::stats::Change;
use bench_model::units::size_name;
use bench_model::{WaitMode, Workload};

use super::case;
use super::table::{Part, Row, Table, columns};
use super::value::Value;

/// A reason without its explanation.
pub(crate) fn briefly(because: &str) -> &str {
    because.split([':', ';']).next().unwrap_or(because)
}

/// A verdict with the reason where it is inconclusive, for instance `slower` or `inconclusive: too few samples (use --full)`.
pub(crate) fn verdict(word: Change, because: Option<&str>) -> String {
    match because {
        Some(because) if word == Change::Inconclusive => format!("{word}: {}", briefly(because)),
        _ => word.to_string(),
    }
}

/// The comparison of irq with poll under contention from which a finding was made.
pub(crate) fn of_contended<'a>(result: &'a RunResult, one: &ContentionResult) -> Option<&'a Comparison> {
    let (irq, poll) = (WaitMode::Irq.to_string(), WaitMode::Poll.to_string());
    result.comparisons.iter().find(|other| {
        let conditions = &other.conditions;
        other.workload == Workload::Contention
            && (&other.mode, &other.baseline) == (&irq, &poll)
            && (conditions.busy_threads.unwrap_or(0), conditions.shared_core, conditions.gap_ns)
                == (one.busy_threads, one.shared_core, one.gap_ns)
    })
}

/// Which of poll and irq has the lower mean under contention, or why that is not known.
pub(crate) fn lower_mean(result: &RunResult, one: &ContentionResult) -> String {
    let because = of_contended(result, one).and_then(|other| other.mean.as_ref()?.inconclusive_because());
    lower(one.lower_mean(), one.mean_word, because)
}

/// The same by the medians; of bimodal latencies nothing is known.
pub(crate) fn lower_p50(result: &RunResult, one: &ContentionResult) -> String {
    let comparison = of_contended(result, one);
    if comparison.is_some_and(Comparison::is_bimodal) {
        return "bimodal".to_owned();
    }
    lower(one.faster(), one.word, comparison.and_then(Comparison::inconclusive_because))
}

fn lower(winner: Option<WaitMode>, word: Change, because: Option<&str>) -> String {
    winner.map_or_else(|| verdict(word, because), |wait| wait.to_string())
}

/// The metric of a comparison, for instance `round trip p50` or `corrected mean`.
fn metric(one: &Comparison, basis: &Basis) -> String {
    let name = one.figure.short(one.workload);
    match (basis.is_mean, one.p50_difference_ns) {
        (true, _) => format!("{name} mean (bimodal)"),
        (false, Some(_)) => format!("{name} p50"),
        (false, None) => name.to_owned(),
    }
}

/// Every comparison that was made.
pub(super) fn parts(result: &RunResult) -> Vec<Part> {
    let rows = result.comparisons.iter().filter_map(|one| Some((one, one.basis()?))).map(|(one, basis)| {
        let (this, base) = one.cells(&result.cells).unzip();
        let cpu = |cell: Option<&Cell>| Value::cpu_us(cell.and_then(|cell| cell.cpu.total_us_per_op()));
        let case = this.map_or_else(|| size_name(one.size_bytes), case::name);
        let difference = one.p50_difference_ns.filter(|_| !basis.is_mean);
        Row {
            mode: Some(one.mode.clone()),
            values: vec![
                Value::word(format!("{}, {case}", one.workload)),
                Value::word(&one.mode),
                Value::word(&one.baseline),
                Value::word(metric(one, &basis)),
                Value::word(verdict(basis.word, basis.because)),
                Value::ratio(basis.ratio).within(basis.interval.as_ref()),
                Value::ratio(basis.noise_floor),
                Value::signed_ns(difference),
                cpu(this),
                cpu(base),
                Value::ratio(one.cpu_per_op_ratio),
                Value::ratio(one.cores_ratio),
            ],
        }
    });
    let mut named = columns(&[
        ("case", ""),
        ("mode", "wait mode"),
        ("baseline", "the mode that it is compared with"),
        (
            "metric",
            "compared by the median; by the mean where the latencies are bimodal; corrected: from the scheduled send time; \
             streams: time per message",
        ),
        ("verdict", "significant only if the interval excludes 1 and the noise floor"),
        ("ratio", "mode over baseline; above 1 the mode is slower"),
        ("noise floor", "ratio that an A/A comparison of the same run reaches"),
        ("p50 difference", ""),
        ("CPU/op", "CPU time per operation, all threads"),
        ("baseline CPU/op", "CPU time per operation of the baseline, all threads"),
        ("CPU ratio", "ratio of the CPU time per operation"),
        ("cores ratio", "ratio of the cores in use"),
    ]);
    for words in [3, 4] {
        named[words].prose = true;
    }
    let table = Table {
        id: "table-comparisons".to_owned(),
        caption: "Ratio to the baseline [95 % interval, block bootstrap]".to_owned(),
        keys: 3,
        columns: named,
        rows: rows.collect(),
        detail: false,
    };
    let mut parts: Vec<Part> = Vec::new();
    if let Some(table) = table.part() {
        parts.push(Part::Text(
            "A difference is reported only if the 95 % interval of the ratio lies outside the noise floor of the same run. \
             Without a noise floor (too few blocks or samples) the verdict is inconclusive; --full measures more. Bimodal \
             latencies are compared by their means."
                .to_owned(),
        ));
        parts.push(table);
    }
    parts
}
