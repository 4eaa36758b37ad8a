//! Tests that take too long for CI. `cargo xtask test --long` runs them.

mod stalls;
mod variants;
mod wide_addresses;
