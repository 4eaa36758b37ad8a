//! The server as its clients and its operator see it: the real command, real sockets, real signals.

mod clients;
mod memory;
mod operation;
mod qemu;
mod support;
