//! The guest side of ivshmem-doorbell: finds the device, binds a driver, receives doorbells and responds to the host.
//! The same binary is a command in any Linux guest and PID 1 of the small VM. The host controls the benchmark and
//! evaluates it.
//!
//! Read in this order:
//! 1. [`pci`]: the device in sysfs, its BARs, binding a driver.
//! 2. [`driver`]: registers, memory and interrupts through one of several kernel drivers. [`error`]: their error.
//! 3. [`registers`]: the device's registers.
//! 4. [`responder`]: the guest side of the benchmark.
//! 5. [`memory_type`], [`proc_info`] and [`probe`]: facts about the device and the guest.
//! 6. [`vectors_without_interrupt`] and [`driver_check`]: vectors that never fire, and the conformance tests of drivers.
//! 7. [`init`]: PID 1 of the small VM.

pub mod driver;
pub mod driver_check;
pub mod error;
pub mod init;
pub mod memory_type;
pub mod modules;
pub mod pci;
pub mod periodic_signal;
pub mod probe;
pub mod proc_info;
pub mod registers;
pub mod responder;
pub mod vectors_without_interrupt;
