//! End-to-end tests with real processes and real guests. `cargo xtask test` runs them. Each starts at least one QEMU, so a plain
//! `cargo test` ignores them.

mod bench;
mod guest;
mod long;
mod support;
