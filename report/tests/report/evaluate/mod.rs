//! Cells, self-checks, warnings, findings and comparisons of synthetic runs.

mod acceleration;
mod checks;
mod compare_runs;
mod findings;
mod placement;
mod stalls;
mod warnings;
