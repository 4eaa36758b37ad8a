//! Prepares the guest: kernel, modules, program and initramfs.
//!
//! - `host` and `host_packages`: the distribution, and the tools that the host must have.
//! - `kernel`: the kernel and its modules. `guest_image`: the program, the shell and the archive.
//! - `cache` keeps the results. `package_offers` serves the reach test.
//! - `command` runs programs, `output_excerpt` shortens their output, `elf` reads programs and kernels.
//!
//! All results are below cargo's target directory. Only packages are installed, and only with consent. After the first time,
//! neither a network nor apt is needed.

pub(crate) mod cache;
mod command;
mod elf;
mod guest_image;
pub(crate) mod host;
pub(crate) mod host_packages;
mod kernel;
mod output_excerpt;
pub(crate) mod package_offers;

use std::path::PathBuf;

use crate::exit_status::missing_dependency;
use crate::files::PathContext as _;
use crate::workspace::{cache_folder, target_folder, workspace_root};
use bench_protocol::boot::GuestDriver;
use cache::{Cache, KEPT, Key};
use guest_image::{busybox, guest_binary, initramfs};
use host::repository::DOWNLOADS;
use host::tool::{GUEST, MODULE_BUILD};
use kernel::Kernel;
use kernel::module_tree::{Module, ModuleTree};
use kernel::{igb_uio, module_build, packaged};

pub(crate) use host_packages::InstallPolicy;
pub(crate) use kernel::custom::CustomKernel;

/// The requested guest.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// A kernel instead of the distribution's.
    pub(crate) kernel: Option<CustomKernel>,
    /// The driver to bind. All drivers are included, except `igb_uio`, which is built only on request.
    pub(crate) driver: Option<GuestDriver>,
    /// Whether the guest has a shell (busybox).
    pub(crate) shell: bool,
    /// Whether packages may be installed.
    pub(crate) install: InstallPolicy,
}

/// A guest that is ready to start.
#[derive(Debug, Clone)]
pub(crate) struct GuestImage {
    pub(crate) kernel: Kernel,
    /// For `qemu -initrd`.
    pub(crate) initramfs: PathBuf,
    /// The names of the modules, in load order.
    pub(crate) modules: Vec<String>,
    /// The names of wanted modules that are built into the kernel.
    pub(crate) built_in: Vec<String>,
}

impl GuestImage {
    /// Whether the kernel has the driver, as a module or built in.
    pub(crate) fn has(&self, driver: GuestDriver) -> bool {
        let module = driver.module();
        self.modules.contains(&module) || self.built_in.contains(&module)
    }
}

/// The release and package version of the downloaded kernel, if there is one.
pub(crate) fn cached_kernel() -> Option<(String, String)> {
    packaged::cached(&cache_folder()).map(|kernel| (kernel.release, kernel.version))
}

/// Checks a custom kernel before anything is built.
pub(crate) fn check(kernel: Option<&CustomKernel>, driver: Option<GuestDriver>) -> anyhow::Result<()> {
    kernel.map_or(Ok(()), |custom| custom.check(driver, &host::detect()))
}

/// The guest's modules from the kernel's packages.
const MODULES: [&str; 4] = [UIO, "uio_pci_generic", "vfio_pci", "vfio_iommu_type1"];
/// The module that every UIO driver needs.
const UIO: &str = "uio";

/// Prepares the guest. Reports slow steps through `progress`.
pub(crate) fn prepare(options: &Options, progress: &dyn Fn(&str)) -> anyhow::Result<GuestImage> {
    if !cfg!(target_arch = "x86_64") {
        let arch = std::env::consts::ARCH;
        return Err(missing_dependency(format!("the guest needs an x86-64 host, not {arch}")));
    }
    let distro = &host::detect();
    check(options.kernel.as_ref(), options.driver)?;
    let tools = if options.kernel.is_some() { GUEST.to_vec() } else { host_packages::requirements(distro) };
    host_packages::ensure(distro, &tools, options.install, progress)?;

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
        // Not needed now, only downloaded for a later offline use.
        Err(_) => None,
    };
    // If the driver needs headers, `check` has refused a kernel without them.
    let mut sources = Vec::new();
    if let Some(headers) = &kernel.headers {
        host_packages::ensure(distro, &MODULE_BUILD, options.install, progress)?;
        sources.push((module_build::uio_pci_msix(&workspace), headers));
        if options.driver == Some(GuestDriver::IgbUio) {
            sources.push((igb_uio::fetch(&cache, distro, progress)?, headers));
        }
    } else {
        progress(&format!("kernel {} lacks headers: uio_pci_msix is not available", kernel.release));
    }
    cache.discard(DOWNLOADS)?;
    let program = guest_binary::build(&workspace, &target, progress)?;

    let tree = ModuleTree::open(&kernel.modules, &kernel.release)?;
    let required = options.driver.filter(|driver| driver.needs_uio()).map(|_| UIO);
    let mut modules = tree.load(&MODULES, required)?;
    // Built modules need UIO, so they come last.
    for (source, headers) in sources {
        let object = module_build::build(&cache, &source, &kernel, headers, (distro, options.install), progress)?;
        modules.push(Module { name: source.name.to_owned(), object });
    }
    let content =
        initramfs::Content { init: &program, modules: &modules, busybox: busybox.as_ref().filter(|_| options.shell) };
    let archive = initramfs::archive(&content).at("build the archive in", &cache.path(""))?;
    let digest = Key::default().with(&archive).hex();
    let initramfs = cache.file(&format!("initramfs-{digest}.cpio"), &archive)?;
    cache.keep_newest("initramfs-", KEPT)?;
    cache.keep_newest("module-", KEPT)?;

    Ok(GuestImage {
        kernel,
        initramfs,
        modules: modules.into_iter().map(|module| module.name).collect(),
        built_in: tree.built_in(&MODULES),
    })
}
