//! The server as its clients and its operator see it: the real command, real sockets, real signals.

mod access;
mod background;
mod crowd;
mod hand_over;
mod harness;
mod host_peer;
mod hostile;
mod lifecycle;
mod limits;
mod logging;
mod memory;
mod misbehaviour;
mod qemu;
mod schedules;
mod startup;
mod status;
mod systemd;
mod witness;
