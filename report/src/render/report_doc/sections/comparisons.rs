//! Section "Comparison with polling": every comparison of the run.

use crate::result::comparison::{Basis, Comparison};
use crate::result::{Cell, RunResult};
use bench_model::units::size_name;

use crate::render::report_doc::verdict::verdict;
use crate::render::report_doc::{Column, SectionPart, Table, Value, cell_label};

/// A comparison with the values it is based on, and its two cells.
struct Compared<'a> {
    comparison: &'a Comparison,
    basis: Basis,
    this: Option<&'a Cell>,
    base: Option<&'a Cell>,
}

/// The metric of a comparison, for instance `round trip p50` or `corrected mean`.
fn metric(comparison: &Comparison, basis: &Basis) -> String {
    let name = comparison.figure.short(comparison.workload);
    match (basis.is_mean, comparison.p50_difference_ns) {
        (true, _) => format!("{name} mean (bimodal)"),
        (false, Some(_)) => format!("{name} p50"),
        (false, None) => name.to_owned(),
    }
}

fn case(Compared { comparison, this, .. }: &Compared<'_>) -> String {
    let case = this.map_or_else(|| size_name(comparison.size_bytes), cell_label::label);
    format!("{}, {case}", comparison.workload)
}

fn cpu(cell: Option<&Cell>) -> Value {
    Value::cpu_us(cell.and_then(|cell| cell.cpu.total_us_per_op()))
}

pub(super) fn comparisons(result: &RunResult) -> Vec<SectionPart> {
    let columns: [Column<Compared<'_>>; 12] = [
        ("case", "", |of| Value::word(case(of))),
        ("mode", "wait mode", |of| Value::word(&of.comparison.mode)),
        ("baseline", "the mode compared with", |of| Value::word(&of.comparison.baseline)),
        (
            "metric",
            "the median, or the mean if the latencies are bimodal; corrected: from the scheduled send time; streams: time per \
             message",
            |of| Value::word(metric(of.comparison, &of.basis)),
        ),
        ("verdict", "significant only if the interval excludes 1 and the noise floor", |of| {
            Value::word(verdict(of.basis.word, of.basis.because))
        }),
        ("ratio", "mode over baseline; above 1 the mode is slower", |of| {
            Value::ratio(of.basis.ratio).within(of.basis.interval.as_ref())
        }),
        ("noise floor", "ratio that an A/A comparison of the same run reaches", |of| {
            Value::ratio(of.basis.noise_floor)
        }),
        ("p50 difference", "", |of| Value::signed_ns(of.comparison.p50_difference_ns.filter(|_| !of.basis.is_mean))),
        ("CPU/op", "CPU time per operation, all threads", |of| cpu(of.this)),
        ("baseline CPU/op", "CPU time per operation of the baseline, all threads", |of| cpu(of.base)),
        ("CPU ratio", "ratio of the CPU time per operation", |of| Value::ratio(of.comparison.cpu_per_op_ratio)),
        ("cores ratio", "ratio of the cores in use", |of| Value::ratio(of.comparison.cores_ratio)),
    ];
    let all: Vec<Compared<'_>> =
        result.comparisons.iter().filter_map(|comparison| compared(result, comparison)).collect();
    let caption = "Ratio to the baseline [95 % interval, block bootstrap]";
    let table = Table::new("table-comparisons", caption, 3, &columns, &all).with_prose(&["metric", "verdict"]);
    let about = "A difference is reported only if the 95 % interval of the ratio lies outside the noise floor of the same run. \
                 Without a noise floor (too few blocks or samples) the verdict is inconclusive; --full measures more. Bimodal \
                 latencies are compared by their means.";
    table.part().map_or_else(Vec::new, |table| vec![SectionPart::Text(about.to_owned()), table])
}

fn compared<'a>(result: &'a RunResult, comparison: &'a Comparison) -> Option<Compared<'a>> {
    let (this, base) = comparison.cells(&result.cells).unzip();
    Some(Compared { comparison, basis: comparison.basis()?, this, base })
}
