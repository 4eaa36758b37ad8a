//! Tests of the real command with real sockets and signals.

mod clients;
mod memory;
mod operation;
mod qemu;
mod support;
