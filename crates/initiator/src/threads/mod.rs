//! The threads of a run: which CPUs they may use, and which of them belong to the guest's QEMU.

mod affinity;
mod load;
mod qemu_threads;

pub(super) use affinity::{AffinitySampler, pin_current_thread};
pub(super) use load::Contention;
pub(super) use qemu_threads::resolve_qemu_threads;
