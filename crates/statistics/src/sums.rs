//! Sums of counts that may be unknown or forged.

/// The sum, saturating: some counts come from the guest and may be forged.
pub fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// The sum; `None` if one count is unknown.
pub fn sum_known(counts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    counts.collect::<Option<Vec<u64>>>().map(|counts| total(counts.into_iter()))
}
