//! What executes the guest's code.

/// An accelerator of QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor.
    Kvm,
    /// QEMU's translator: emulation.
    Tcg,
}

impl Accelerator {
    /// All accelerators.
    pub const ALL: [Self; 2] = [Self::Kvm, Self::Tcg];

    /// Its name for QEMU, in the result and for `--accel`.
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
