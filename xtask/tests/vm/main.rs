//! The whole, with real processes and real guests: what a user gets, and what bad luck gets. `cargo xtask test` runs
//! these; each starts at least one QEMU, so they are ignored by a plain `cargo test`.

mod acceleration;
mod bad_luck;
mod devices;
mod drivers;
mod faults;
mod guest;
mod measuring;
mod module;
mod named_kernel;
mod placement;
mod probe;
mod shell;
mod support;
mod syscalls;
mod two_guests;
mod uio_ivshmem;
mod wide_addresses;
mod workloads;
