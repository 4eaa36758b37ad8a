//! The responder without a VM: host and guest share a memory object in one process.
//!
//! 1. `driver`: a driver over memory objects and an eventfd. 2. `host`: the host side. 3. The tests, by subject.

mod commands;
mod driver;
mod faults;
mod frames;
mod host;
mod messages;
mod traffic;
