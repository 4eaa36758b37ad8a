//! The guest's kernel drivers: what each needs of the machine and of its modules.

use clap::ValueEnum;
use serde::{Serialize, Serializer};

/// A kernel driver for the device, spelled as the kernel spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum GuestDriver {
    /// This project's UIO driver: every MSI-X vector
    UioPciMsix,
    /// The stock UIO driver: cannot deliver interrupts
    UioPciGeneric,
    /// DPDK's UIO driver, from Debian's package: one MSI-X vector
    IgbUio,
    /// The stock VFIO driver: every MSI-X vector, behind an emulated IOMMU
    #[value(name = "vfio-pci")]
    VfioPci,
}

impl GuestDriver {
    /// The driver's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UioPciMsix => "uio_pci_msix",
            Self::UioPciGeneric => "uio_pci_generic",
            Self::IgbUio => "igb_uio",
            Self::VfioPci => "vfio-pci",
        }
    }

    /// Its module's name.
    pub(crate) fn module(self) -> String {
        self.name().replace('-', "_")
    }

    /// Whether doorbells reach the guest's user space through it.
    pub(crate) fn delivers_interrupts(self) -> bool {
        self != Self::UioPciGeneric
    }

    /// Whether its module is built for the guest's kernel. The others come with the kernel.
    pub(crate) fn is_built(self) -> bool {
        matches!(self, Self::UioPciMsix | Self::IgbUio)
    }

    /// Whether it is a UIO driver.
    pub(crate) fn needs_uio(self) -> bool {
        self != Self::VfioPci
    }

    /// Whether it takes the device only behind an IOMMU.
    pub(crate) fn needs_iommu(self) -> bool {
        self == Self::VfioPci
    }
}

impl Serialize for GuestDriver {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_asked_for_by_its_own_name() {
        for driver in GuestDriver::value_variants() {
            assert_eq!(driver.to_possible_value().unwrap().get_name(), driver.name());
        }
    }
}
