//! Sums of counts that may be unknown or made up.

/// The sum of counts, some of which a guest made up: it ends at the largest number instead of wrapping.
pub(crate) fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// A sum with one unknown part is unknown.
pub(crate) fn sum_known(counts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    counts.collect::<Option<Vec<u64>>>().map(|counts| total(counts.into_iter()))
}
