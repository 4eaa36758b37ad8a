//! A guest of `cargo xtask vm`: its devices, drivers and programs.

mod devices;
mod drivers;
mod kernel_module;
mod probe;
mod several_guests;
mod shell;
mod uio_ivshmem;
