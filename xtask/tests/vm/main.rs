//! The whole, with real processes and real guests: what a user gets, and what bad luck gets. `cargo xtask test` runs
//! these; each starts at least one QEMU, so they are ignored by a plain `cargo test`.

mod bad_luck;
mod drivers;
mod guest;
mod measuring;
mod module;
mod probe;
mod shell;
mod support;
