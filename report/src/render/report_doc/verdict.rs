//! Verdicts of comparisons as text.

use crate::result::comparison::Comparison;
use crate::result::findings::ContentionResult;
use bench_model::{WaitMode, Workload};
use statistics::Change;

/// The reason without its explanation.
pub(super) fn without_explanation(reason: &str) -> &str {
    reason.split([':', ';']).next().unwrap_or(reason)
}

/// For instance `slower` or `inconclusive: too few samples (use --full)`.
pub(super) fn verdict(change: Change, reason: Option<&str>) -> String {
    match (change, reason) {
        (Change::Inconclusive, Some(reason)) => format!("{change}: {}", without_explanation(reason)),
        (Change::Inconclusive | Change::Faster | Change::Slower | Change::NotSignificant, _) => change.to_string(),
    }
}

/// The comparison of irq with poll from which a contention result was derived.
fn comparison_of<'a>(all: &'a [Comparison], contention: &ContentionResult) -> Option<&'a Comparison> {
    let (irq, poll) = (WaitMode::Irq.to_string(), WaitMode::Poll.to_string());
    all.iter().find(|comparison| {
        let conditions = &comparison.conditions;
        comparison.workload == Workload::Contention
            && (&comparison.mode, &comparison.baseline) == (&irq, &poll)
            && (conditions.busy_threads.unwrap_or(0), conditions.shared_core, conditions.gap_ns)
                == (contention.busy_threads, contention.shared_core, contention.gap_ns)
    })
}

/// The mode with the lower mean under contention, or why none is reported.
pub(super) fn lower_mean(comparisons: &[Comparison], contention: &ContentionResult) -> String {
    let reason =
        comparison_of(comparisons, contention).and_then(|comparison| comparison.mean.as_ref()?.inconclusive_because());
    winner_or_verdict(contention.lower_mean(), contention.mean_word, reason)
}

/// The mode with the lower median under contention, or why none is reported. Medians of bimodal latencies are not compared.
pub(super) fn lower_p50(comparisons: &[Comparison], contention: &ContentionResult) -> String {
    let comparison = comparison_of(comparisons, contention);
    if comparison.is_some_and(Comparison::is_bimodal) {
        return "bimodal".to_owned();
    }
    winner_or_verdict(contention.faster(), contention.word, comparison.and_then(Comparison::inconclusive_because))
}

fn winner_or_verdict(winner: Option<WaitMode>, change: Change, reason: Option<&str>) -> String {
    winner.map_or_else(|| verdict(change, reason), |mode| mode.to_string())
}
