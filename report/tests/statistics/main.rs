//! The statistics against what is known otherwise: another implementation of the same definitions, and distributions
//! whose true percentiles are known. Everything is drawn from fixed seeds, so that a test passes always or never.

mod distributions;
mod second_implementation;
