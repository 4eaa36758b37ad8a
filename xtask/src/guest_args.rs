//! The flags of a guest, which several commands take.

use std::path::PathBuf;

use bench_model::Accelerator;
use bench_protocol::boot::{GuestDriver, RunMode};
use clap::Args;
use clap::builder::TypedValueParser;
use cli_common::{number, size};

use crate::arguments::{AutoOr, choice};
use crate::provision::{CustomKernel, GuestImage, InstallPolicy};
use crate::timeouts::TimeoutArgs;
use crate::vm::cpu_model::CpuModel;
use crate::vm::qemu::{Ivshmem, QemuOptions};

/// The flags of commands that start a guest for use.
#[derive(Debug, Clone, Args)]
pub(crate) struct GuestArgs {
    /// Accelerator; auto uses KVM if a guest starts under it
    #[arg(long, value_parser = accelerator(), default_value = "auto")]
    pub(crate) accel: AutoOr<Accelerator>,
    /// CPU model of the guest, as for QEMU's -cpu [default: host under KVM, max under emulation]
    #[arg(long, value_name = "MODEL[,FLAGS]")]
    pub(crate) cpu: Option<CpuModel>,
    #[command(flatten)]
    pub(crate) timeouts: TimeoutArgs,
    /// Number of vCPUs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::in_range::<u16>(1..=64))]
    pub(crate) smp: u16,
    /// Memory of the guest
    #[arg(long, value_name = "BYTES", value_parser = size::parse, default_value = "512M")]
    pub(crate) mem: u64,
    /// Install missing packages without asking
    #[arg(long)]
    yes: bool,
    /// Kernel image for the guest, with --modules
    #[arg(long, value_name = "FILE", requires = "modules")]
    kernel: Option<PathBuf>,
    /// Its modules: a directory like /lib/modules/RELEASE
    #[arg(long, value_name = "DIR", requires = "kernel")]
    modules: Option<PathBuf>,
}

impl GuestArgs {
    /// Refuses a CPU model that the accelerator does not offer, and applies the timeouts.
    pub(crate) fn apply(&self) -> anyhow::Result<()> {
        self.cpu.as_ref().map_or(Ok(()), |cpu| cpu.check(self.accel))?;
        self.timeouts.apply();
        Ok(())
    }

    /// Whether packages may be installed.
    pub(crate) fn install_policy(&self) -> InstallPolicy {
        InstallPolicy::new(self.yes)
    }

    /// QEMU's options for a guest that is ready to start. `append` follows the parameters of every guest.
    pub(crate) fn qemu(
        &self,
        image: &GuestImage,
        accelerator: Accelerator,
        (mode, driver): (RunMode, Option<GuestDriver>),
        append: &str,
        device: Ivshmem,
    ) -> QemuOptions {
        QemuOptions {
            accelerator,
            cpu: self.cpu.clone(),
            cpus: self.smp.into(),
            memory: format!("{}M", self.mem >> 20),
            kernel: image.kernel.image.clone(),
            initramfs: image.initramfs.clone(),
            append: format!("{} {append}", self.timeouts.boot_parameters(mode, driver)),
            iommu: driver.is_some_and(GuestDriver::needs_iommu),
            device: Some(device),
        }
    }

    /// The kernel that the user names.
    pub(crate) fn custom_kernel(&self) -> Option<CustomKernel> {
        Some(CustomKernel { image: self.kernel.clone()?, modules: self.modules.clone()? })
    }
}

/// The parser of `--accel`.
fn accelerator() -> impl TypedValueParser<Value = AutoOr<Accelerator>> {
    let auto = ("auto", "KVM if a guest starts under it, otherwise emulation", AutoOr::Auto);
    let only = Accelerator::ALL.map(|accelerator| (accelerator.name(), accelerator.help(), AutoOr::Only(accelerator)));
    choice(std::iter::once(auto).chain(only))
}
