//! The host peer before servers of every kind: the real one, scripted ones that break a rule, and none.

mod checking;
mod examples;
mod faulty;
mod joining;
mod memory;
mod output;
mod packaging;
mod qemu_client;
mod real;
mod scripted;
mod shell;
mod stream;
mod strictness;
mod terminal;
mod verbs;
