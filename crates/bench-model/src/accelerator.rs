//! QEMU's accelerators.

/// The reason for an accelerator or a driver that the user asked for, in results.
pub const ASKED_FOR: &str = "asked for";

/// An accelerator of QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// Hardware virtualization by the host's kernel (KVM).
    Kvm,
    /// Emulation by QEMU's translator (TCG).
    Tcg,
}

impl Accelerator {
    /// All accelerators.
    pub const ALL: [Self; 2] = [Self::Kvm, Self::Tcg];

    /// The spelling of `--accel`, of QEMU and of the result.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// Its description in a line, for `--help`.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Kvm => "KVM, or fail",
            Self::Tcg => "Emulation",
        }
    }
}
