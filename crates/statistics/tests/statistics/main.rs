//! Verifies the statistics against another implementation of the same definitions, and against distributions with known
//! percentiles. Seeds are fixed, so results are reproducible.

mod distributions;
mod second_implementation;
