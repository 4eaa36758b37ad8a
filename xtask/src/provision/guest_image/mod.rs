//! The guest's file system: its program, a shell, and the archive that contains them.

pub(crate) mod busybox;
pub(crate) mod guest_binary;
pub(crate) mod initramfs;
