//! Makes the guest ready: its kernel, our module, its program and the archive that holds them.
//!
//! Read in this order: `host` (what is specific to a distribution), `packages` (what the
//! machine must have), `kernel` or `custom_kernel` (with `bzimage`), `module`
//! (with `headers` and `dpdk`), `guest_binary`, `initramfs` (with `modinfo` and `busybox`). `cache` keeps the results,
//! `offers` has the kernels and QEMU versions of the reach test, `command` runs programs, `excerpt` shortens their output, `error` lists what can go wrong. Everything lies below Cargo's target folder; packages are the only thing ever installed, and
//! only with consent. After the first time no network is needed and apt is not asked.

mod cache;
mod command;
mod elf;
mod error;
mod files;
mod guest_image;
pub(crate) mod host;
pub(crate) mod host_packages;
mod kernel;
mod output_excerpt;
pub(crate) mod package_offers;

use std::path::PathBuf;

use crate::workspace::{cache_folder, target_folder, workspace_root};
use bench_protocol::boot::GuestDriver;
use cache::{Cache, KEPT, Key};
use guest_image::{busybox, guest_binary, initramfs};
use kernel::module_tree::{Module, ModuleTree, Wanted};
use kernel::{igb_uio, module_build, packaged};

pub(crate) use error::ProvisionError;
pub(crate) use host_packages::InstallPolicy;
pub(crate) use kernel::custom::CustomKernel;

/// What guest is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Another kernel than that of the distribution's package.
    pub(crate) kernel: Option<CustomKernel>,
    /// The driver that it is made for. All are in it, except `igb_uio`, which is fetched only if it is this one.
    pub(crate) driver: Option<GuestDriver>,
    /// Whether the guest has busybox and with it a shell.
    pub(crate) shell: bool,
    /// Whether packages may be installed.
    pub(crate) consent: InstallPolicy,
}

/// A guest that is ready to be started.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    /// For `qemu -kernel`: the kernel proper (entered through PVH) where it could be had, else the bzImage.
    pub(crate) kernel: PathBuf,
    /// What `uname -r` says in it.
    pub(crate) kernel_release: String,
    /// The package's version, or a digest of the image that the user named.
    pub(crate) kernel_version: String,
    /// For `qemu -initrd`.
    pub(crate) initramfs: PathBuf,
    /// The modules in the archive, by name, in the order in which they load.
    pub(crate) modules: Vec<String>,
}

/// The release and package version of the kernel that is already there, if one is.
pub(crate) fn cached_kernel() -> Option<(String, String)> {
    packaged::cached(&cache_folder()).map(|kernel| (kernel.release, kernel.version))
}

/// Checks the kernel that the user names: wrong usage and missing headers are found before anything is built.
pub(crate) fn check(kernel: Option<&CustomKernel>, driver: Option<GuestDriver>) -> Result<(), ProvisionError> {
    kernel.map_or(Ok(()), |custom| custom.check(driver, host::detect().as_ref()))
}

/// Modules that the guest takes from its kernel: UIO must be there for a UIO driver, the others are drivers to choose.
fn wanted(driver: Option<GuestDriver>) -> [Wanted; 4] {
    [
        Wanted { name: "uio", required: driver.is_some_and(GuestDriver::needs_uio) },
        Wanted { name: "uio_pci_generic", required: false },
        Wanted { name: "vfio_pci", required: false },
        Wanted { name: "vfio_iommu_type1", required: false },
    ]
}

/// Makes the guest ready, and says through `progress` what takes time.
pub(crate) fn prepare(options: &Options, progress: &dyn Fn(&str)) -> Result<Guest, ProvisionError> {
    if !cfg!(target_arch = "x86_64") {
        return Err(ProvisionError::Architecture(std::env::consts::ARCH));
    }
    let distro = host::detect();
    let distro = distro.as_ref();
    check(options.kernel.as_ref(), options.driver)?;
    let mut tools = host_packages::GUEST.to_vec();
    if options.kernel.is_none() {
        tools = host_packages::requirements(distro);
    }
    host_packages::ensure(distro, &tools, options.consent, progress)?;

    let workspace = workspace_root();
    let target = target_folder(&workspace);
    let cache = Cache::open(&cache_folder(), progress)?;

    let kernel = match &options.kernel {
        Some(custom) => custom.prepare(&cache)?,
        None => packaged::from_packages(&cache, distro, progress)?,
    };
    let busybox = match busybox::fetch(&cache, distro, progress) {
        Ok(busybox) => Some(busybox),
        Err(error) if options.shell => return Err(error),
        // Only fetched beforehand, so that a shell can be had offline, later.
        Err(_) => None,
    };
    // `check` has refused a kernel without headers if its driver needs them.
    let mut sources = Vec::new();
    if let Some(headers) = &kernel.headers {
        host_packages::ensure(distro, &host_packages::MODULE_BUILD, options.consent, progress)?;
        sources.push((module_build::own(&workspace), headers));
        if options.driver == Some(GuestDriver::IgbUio) {
            sources.push((igb_uio::fetch(&cache, distro, progress)?, headers));
        }
    } else {
        progress(&format!("kernel {} has no headers, so the guest has no uio_pci_msix", kernel.release));
    }
    cache.discard(host::distro::DOWNLOADS)?;
    let program = guest_binary::build(&workspace, &target, progress)?;

    let mut modules = ModuleTree::open(&kernel.modules, &kernel.release)?.load(&wanted(options.driver))?;
    // They need UIO, so they come last.
    for (source, headers) in sources {
        let object = module_build::build(&cache, &source, &kernel, headers, (distro, options.consent), progress)?;
        modules.push(Module { name: source.name.to_owned(), object });
    }
    let content =
        initramfs::Content { init: &program, modules: &modules, busybox: busybox.as_ref().filter(|_| options.shell) };
    let archive = initramfs::archive(&content).map_err(ProvisionError::io("build the archive in", &cache.path("")))?;
    let digest = Key::default().with(&archive).hex();
    let initramfs = cache.file(&format!("initramfs-{digest}.cpio"), || Ok::<_, ProvisionError>(archive))?;
    cache.keep_newest("initramfs-", KEPT)?;
    cache.keep_newest("module-", KEPT)?;

    Ok(Guest {
        kernel: kernel.image,
        kernel_release: kernel.release,
        kernel_version: kernel.version,
        initramfs,
        modules: modules.into_iter().map(|module| module.name).collect(),
    })
}
