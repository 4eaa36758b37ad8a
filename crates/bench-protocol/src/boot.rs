//! Parameters that xtask passes to the guest program on the kernel command line, and console lines that it reads.

use std::str::FromStr;

use strum::{EnumString, IntoStaticStr, VariantArray};

/// Prefix of each line that the guest program prints on the console.
pub const CONSOLE_PREFIX: &str = "ivshmem-doorbell:";
/// Follows the prefix in the first line, which shows that user space runs.
pub const GUEST_IS_UP: &str = "guest is up";
/// Follows the prefix in a line that reports a fatal error.
pub const ERROR: &str = "error:";

/// Prefix of the guest program's parameters on the kernel command line, `ivshmem.KEY=VALUE`.
pub const PARAMETER_PREFIX: &str = "ivshmem.";
/// Key of a [`RunMode`].
pub const RUN: &str = "run";
/// Key of a [`GuestDriver`], or [`NO_DRIVER`].
pub const DRIVER: &str = "driver";
/// Leaves the device unbound.
pub const NO_DRIVER: &str = "none";
/// Key of a [`Bar2Map`].
pub const BAR2: &str = "bar2";
/// Key of a PCI address. Required if there are several devices.
pub const DEVICE: &str = "device";

/// A parameter as it stands on the kernel command line.
#[must_use]
pub fn parameter(key: &str, value: &str) -> String {
    format!("{PARAMETER_PREFIX}{key}={value}")
}

/// What the guest program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum RunMode {
    /// Responds to the host.
    Respond,
    /// Starts a shell.
    Shell,
    /// Prints [`GUEST_IS_UP`] and powers off.
    Proof,
}

impl RunMode {
    /// All modes.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().expect("as many");

    /// The parameter's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A kernel driver that the guest binds to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum GuestDriver {
    /// This project's UIO driver, with MSI-X.
    UioPciMsix,
    /// The stock UIO driver. It supports INTx only, which ivshmem-doorbell does not have.
    UioPciGeneric,
    /// DPDK's UIO driver, packaged by distributions.
    IgbUio,
    /// The stock VFIO driver.
    VfioPci,
}

impl GuestDriver {
    /// All drivers.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().expect("as many");

    /// The kernel's spelling.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UioPciMsix => "uio_pci_msix",
            Self::UioPciGeneric => "uio_pci_generic",
            Self::IgbUio => "igb_uio",
            Self::VfioPci => "vfio-pci",
        }
    }

    /// Its properties in a line, for `--help`.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::UioPciMsix => "This project's UIO driver: every MSI-X vector",
            Self::UioPciGeneric => "The stock UIO driver: no interrupts",
            Self::IgbUio => "DPDK's UIO driver, from the distribution's package: one MSI-X vector",
            Self::VfioPci => "The stock VFIO driver: every MSI-X vector, needs an (emulated) IOMMU",
        }
    }

    /// The name of its module.
    #[must_use]
    pub fn module(self) -> String {
        self.name().replace('-', "_")
    }

    /// Whether it delivers interrupts to user space.
    #[must_use]
    pub const fn delivers_interrupts(self) -> bool {
        match self {
            Self::UioPciMsix | Self::IgbUio | Self::VfioPci => true,
            Self::UioPciGeneric => false,
        }
    }

    /// Whether its module is built for the guest's kernel. The others are part of the kernel's packages.
    #[must_use]
    pub const fn is_built(self) -> bool {
        match self {
            Self::UioPciMsix | Self::IgbUio => true,
            Self::UioPciGeneric | Self::VfioPci => false,
        }
    }

    /// Whether it needs the UIO core.
    #[must_use]
    pub const fn needs_uio(self) -> bool {
        match self {
            Self::UioPciMsix | Self::UioPciGeneric | Self::IgbUio => true,
            Self::VfioPci => false,
        }
    }

    /// Whether it binds only to a device behind an IOMMU.
    #[must_use]
    pub const fn needs_iommu(self) -> bool {
        !self.needs_uio()
    }

    /// The mappings of BAR2 that it offers.
    #[must_use]
    pub const fn bar2_maps(self) -> &'static [Bar2Map] {
        use Bar2Map::{Auto, Uncached, WriteBack, WriteCombined};
        match self {
            Self::UioPciMsix => &[Auto, Uncached, WriteCombined, WriteBack],
            Self::UioPciGeneric | Self::IgbUio => &[Auto, Uncached, WriteCombined],
            Self::VfioPci => &[Auto, Uncached],
        }
    }
}

impl FromStr for GuestDriver {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|driver| driver.name() == name).ok_or_else(|| format!("unknown driver {name}"))
    }
}

/// The requested memory type of BAR2's mapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Bar2Map {
    /// The fastest type that the driver offers.
    #[default]
    Auto,
    /// UC: every access reaches the device.
    #[strum(serialize = "uc")]
    Uncached,
    /// WC: writes are combined; reads reach the device.
    #[strum(serialize = "wc")]
    WriteCombined,
    /// WB: ordinary cached memory.
    #[strum(serialize = "wb")]
    WriteBack,
}

impl Bar2Map {
    /// All memory types.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().expect("as many");

    /// The parameter's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Its properties in a line, for `--help`.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Auto => "The fastest that the driver offers",
            Self::Uncached => "Uncached",
            Self::WriteCombined => "Write-combined",
            Self::WriteBack => "Write-back; moves BAR2 above 4 GiB",
        }
    }
}
