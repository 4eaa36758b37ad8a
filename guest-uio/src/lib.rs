//! The guest's side of ivshmem-doorbell: finds the device, binds a driver, takes doorbells, answers the host.
//! The same binary is an ordinary command in any Linux guest and PID 1 of the small VM. It does no statistics and
//! decides nothing about a run: the host does.
//!
//! Read in this order:
//! 1. [`pci`]: the device in sysfs, its BARs, binding a driver.
//! 2. [`driver`]: one way to reach registers, memory and interrupts, over several kernel drivers.
//! 3. [`device`]: what the device's registers mean.
//! 4. [`respond`]: the benchmark's other half.
//! 5. [`memory_type`], [`system`] and [`probe`]: what this guest can do, and the cure for what it cannot.
//! 6. [`silent_vectors`] and [`conformance`]: vectors that never fire, and the rules that every driver must keep, tried
//!    on the device.
//! 7. [`init`]: life as PID 1.

pub mod conformance;
pub mod device;
pub mod driver;
pub mod guard;
pub mod init;
pub mod interrupts;
pub mod memory_type;
pub mod modules;
pub mod pci;
pub mod probe;
pub mod respond;
pub mod silent_vectors;
pub mod system;
