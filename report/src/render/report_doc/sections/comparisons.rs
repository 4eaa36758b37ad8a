//! Section "Comparison with polling": every comparison of the run.

use crate::result::comparison::{Basis, Comparison};
use crate::result::{Cell, RunResult};
use bench_model::units::size_name;

use crate::render::report_doc::cell_label;
use crate::render::report_doc::table::{SectionPart, Table, TableRow, columns};
use crate::render::report_doc::value::Value;
use crate::render::report_doc::verdict::verdict;

/// The metric of a comparison, for instance `round trip p50` or `corrected mean`.
fn metric(comparison: &Comparison, basis: &Basis) -> String {
    let name = comparison.figure.short(comparison.workload);
    match (basis.is_mean, comparison.p50_difference_ns) {
        (true, _) => format!("{name} mean (bimodal)"),
        (false, Some(_)) => format!("{name} p50"),
        (false, None) => name.to_owned(),
    }
}

pub(super) fn comparisons(result: &RunResult) -> Vec<SectionPart> {
    let rows = result.comparisons.iter().filter_map(|comparison| Some((comparison, comparison.basis()?))).map(
        |(comparison, basis)| {
            let (this, base) = comparison.cells(&result.cells).unzip();
            let cpu = |cell: Option<&Cell>| Value::cpu_us(cell.and_then(|cell| cell.cpu.total_us_per_op()));
            let case = this.map_or_else(|| size_name(comparison.size_bytes), cell_label::label);
            let difference = comparison.p50_difference_ns.filter(|_| !basis.is_mean);
            TableRow {
                mode: Some(comparison.mode.clone()),
                values: vec![
                    Value::word(format!("{}, {case}", comparison.workload)),
                    Value::word(&comparison.mode),
                    Value::word(&comparison.baseline),
                    Value::word(metric(comparison, &basis)),
                    Value::word(verdict(basis.word, basis.because)),
                    Value::ratio(basis.ratio).within(basis.interval.as_ref()),
                    Value::ratio(basis.noise_floor),
                    Value::signed_ns(difference),
                    cpu(this),
                    cpu(base),
                    Value::ratio(comparison.cpu_per_op_ratio),
                    Value::ratio(comparison.cores_ratio),
                ],
            }
        },
    );
    let mut named = columns(&[
        ("case", ""),
        ("mode", "wait mode"),
        ("baseline", "the mode compared with"),
        (
            "metric",
            "the median, or the mean if the latencies are bimodal; corrected: from the scheduled send time; streams: time per \
             message",
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
    for prose in [3, 4] {
        named[prose].prose = true;
    }
    let table = Table {
        id: "table-comparisons".to_owned(),
        caption: "Ratio to the baseline [95 % interval, block bootstrap]".to_owned(),
        keys: 3,
        columns: named,
        rows: rows.collect(),
        detail: false,
    };
    let mut parts: Vec<SectionPart> = Vec::new();
    if let Some(table) = table.part() {
        parts.push(SectionPart::Text(
            "A difference is reported only if the 95 % interval of the ratio lies outside the noise floor of the same run. \
             Without a noise floor (too few blocks or samples) the verdict is inconclusive; --full measures more. Bimodal \
             latencies are compared by their means."
                .to_owned(),
        ));
        parts.push(table);
    }
    parts
}
