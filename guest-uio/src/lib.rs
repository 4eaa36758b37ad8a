//! The guest's side of ivshmem-doorbell: finds the device, binds a driver, takes doorbells, answers the host.
//! The same binary is an ordinary command in any Linux guest and PID 1 of the small VM. It does no statistics and
//! decides nothing about a run: the host does.
//!
//! Read in this order:
//! 1. [`pci`]: the device in sysfs, its BARs, binding a driver.
//! 2. [`driver`]: one way to reach registers, memory and interrupts, over several kernel drivers.
//! 3. [`registers`]: what the device's registers mean.
//! 4. [`responder`]: the benchmark's other half.
//! 5. [`memory_type`], [`proc_info`] and [`probe`]: what this guest can do, and the cure for what it cannot.
//! 6. [`vectors_without_interrupt`] and [`driver_check`]: vectors that never fire, and the rules that every driver must keep, tried
//!    on the device.
//! 7. [`init`]: life as PID 1.

pub mod driver;
pub mod driver_check;
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
