//! `cargo xtask vm`: starts a guest with a shell on this terminal.

mod peer_process;
mod server_handle;

use std::fs::{self, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context;
use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};
use cli_common::{number, size};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::getppid;

use crate::accelerator::{self, ProbeOptions};
use crate::arguments::{self, AutoOr};
use crate::exit_status::usage;
use crate::host_programs;
use crate::provision::{self, CustomKernel, InstallPolicy};
use crate::signals::StopFlag;
use crate::timeouts::TimeoutArgs;
use crate::vm::cpu_model::CpuModel;
use crate::vm::host_memory;
use crate::vm::qemu::{Ivshmem, QemuOptions};
use bench_model::Accelerator;
use bench_protocol::boot::{GuestDriver, NO_DRIVER, RunMode};
use server_handle::ServerHandle;

/// Starts a guest with a shell on this terminal
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  cargo xtask vm --mode doorbell          shared memory and doorbells, with a new server
  cargo xtask vm --mode plain             shared memory only
  cargo xtask vm --driver vfio-pci        the stock VFIO driver, with an IOMMU
  cargo xtask vm --cpu max,phys-bits=46   fewer physical address bits
  cargo xtask vm --peers 2                two host peers in addition, which print received doorbells here
  cargo xtask vm --server SOCKET          join another guest, whose terminal shows its SOCKET

In the guest: guest-uio probe, guest-uio wait, guest-uio ring PEER VECTOR. Ctrl-A X or `poweroff` ends it.")]
pub(crate) struct VmArgs {
    /// ivshmem device
    #[arg(long, value_enum, default_value_t = VmMode::Doorbell)]
    mode: VmMode,
    /// Guest driver to bind
    #[arg(long, value_parser = driver())]
    driver: Option<VmDriver>,
    /// Accelerator
    #[arg(long, value_parser = arguments::accelerator(), default_value = "auto")]
    accel: AutoOr<Accelerator>,
    /// CPU model of the guest, as for QEMU's -cpu [default: host under KVM, max under emulation]
    #[arg(long, value_name = "MODEL[,FLAGS]")]
    cpu: Option<CpuModel>,
    #[command(flatten)]
    timeouts: TimeoutArgs,
    /// Number of vCPUs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::in_range::<u16>(1..=64))]
    smp: u16,
    /// Memory of the guest
    #[arg(long, value_name = "BYTES", value_parser = size::parse, default_value = "512M")]
    mem: u64,
    /// Size of the shared memory, a power of two
    #[arg(long, value_name = "BYTES", value_parser = size::parse, default_value = "64M")]
    size: u64,
    /// Doorbell vectors per peer [default: 1; with --server, all of the server's]
    #[arg(long, value_name = "N", value_parser = number::in_range::<u16>(1..=256))]
    vectors: Option<u16>,
    /// Join the server at SOCKET, for instance another guest's, instead of starting one
    #[arg(long, value_name = "SOCKET", conflicts_with = "size")]
    server: Option<PathBuf>,
    /// Number of additional host peers, which print received doorbells here
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::in_range::<u16>(0..=64))]
    peers: u16,
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

/// The device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VmMode {
    /// ivshmem-doorbell with an ivshmem-server
    Doorbell,
    /// ivshmem-plain with a file in /dev/shm
    Plain,
}

/// The driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VmDriver {
    /// Bound at start.
    Bind(GuestDriver),
    /// The device stays unbound.
    None,
}

fn driver() -> impl TypedValueParser<Value = VmDriver> {
    let drivers = GuestDriver::ALL.map(|driver| (driver.name(), driver.help(), VmDriver::Bind(driver)));
    arguments::choice(drivers.into_iter().chain([(NO_DRIVER, "Leave the device unbound", VmDriver::None)]))
}

/// Minimum for the kernel and the initramfs.
const MIN_GUEST_MEMORY: u64 = 64 << 20;

/// Runs the guest until it ends.
pub(crate) fn run(args: &VmArgs, stop: &StopFlag) -> anyhow::Result<()> {
    if !args.size.is_power_of_two() || args.size < 4096 {
        let next = args.size.next_power_of_two().max(4096);
        return Err(usage(format!("--size {}: the size of a PCI BAR is a power of two; try --size {next}", args.size)));
    }
    let plain = args.mode == VmMode::Plain;
    if plain && (args.server.is_some() || args.peers > 0) {
        return Err(usage(
            "ivshmem-plain supports neither a server nor peers: omit --server and --peers, or use --mode doorbell",
        ));
    }
    if plain && args.vectors.is_some() {
        return Err(usage("ivshmem-plain does not support vectors: omit --vectors, or use --mode doorbell"));
    }
    if plain && args.driver == Some(VmDriver::Bind(GuestDriver::UioPciMsix)) {
        return Err(usage(
            "ivshmem-plain lacks interrupts, which uio_pci_msix needs: use --driver none, or --mode doorbell",
        ));
    }
    host_memory::check_guest(args.mem, MIN_GUEST_MEMORY)?;
    host_memory::check(if args.server.is_some() { 0 } else { args.size }, args.mem)?;
    let kernel = args.kernel.clone().zip(args.modules.clone()).map(|(image, modules)| CustomKernel { image, modules });
    if let Some(cpu) = &args.cpu {
        cpu.check(args.accel)?;
    }
    args.timeouts.apply();
    let progress = crate::ui::status;
    // uio_pci_msix needs interrupts, which ivshmem-plain lacks.
    let driver = match args.driver {
        Some(VmDriver::Bind(driver)) => Some(driver),
        None if !plain => Some(GuestDriver::UioPciMsix),
        Some(VmDriver::None) | None => None,
    };
    let options = provision::Options { kernel, shell: true, driver, install: InstallPolicy::new(args.yes) };
    provision::check(options.kernel.as_ref(), options.driver)?;
    let programs = host_programs::build(&progress)?;
    let mut joined = None;
    if let Some(socket) = &args.server {
        // Absolute, because other terminals use it. Checked before anything slow.
        let socket = std::path::absolute(socket).context("the current directory does not exist")?;
        joined = Some(ServerHandle::connect(&programs.host_peer, socket, args.vectors)?);
    }
    let guest = provision::prepare(&options, &progress)?;
    let probe = ProbeOptions { cpu: args.cpu.as_ref(), timeouts: &args.timeouts };
    let choice = accelerator::select(args.accel, probe, &guest, stop, &progress)?;
    crate::ui::status(&choice.why);

    let log_folder = tempfile::tempdir()?;
    let mut server_handle = None;
    let mut memory_file = None;
    let device = match args.mode {
        VmMode::Doorbell => {
            let server = match joined.take() {
                Some(server) => server,
                None => ServerHandle::start(&programs, args.size, args.vectors.unwrap_or(1), log_folder.path())?,
            };
            let server = server.with_peers(&programs.host_peer, args.peers)?;
            server.print_hints(&programs.host_peer);
            server_handle.insert(server).device()
        }
        VmMode::Plain => {
            let file = SharedFile::create(args.size)?;
            crate::ui::status(&format!("read the memory:  {} ({} bytes, map it shared)", file.0.display(), args.size));
            let device = Ivshmem::Plain { file: file.0.clone(), bytes: args.size };
            memory_file = Some(file);
            device
        }
    };
    crate::ui::status("Ctrl-A X or `poweroff` ends the guest; Ctrl-A C switches to QEMU's monitor and back");
    let qemu = QemuOptions {
        accelerator: choice.accelerator,
        cpu: args.cpu.clone(),
        cpus: args.smp.into(),
        memory: format!("{}M", args.mem >> 20),
        kernel: guest.kernel.clone(),
        initramfs: guest.initramfs.clone(),
        append: args.timeouts.boot_parameters(RunMode::Shell, driver),
        iommu: driver.is_some_and(GuestDriver::needs_iommu),
        device,
    };
    let mut process = qemu.start_on_terminal()?;
    let parent = getppid();
    let status = loop {
        if let Some(status) = process.exit_status()? {
            break status;
        }
        stop.check()?;
        anyhow::ensure!(
            getppid() == parent || !stdin_is_closed(),
            "the parent process and the standard input are gone"
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    drop((server_handle, memory_file));
    anyhow::ensure!(status.success(), "QEMU ended with {status}");
    Ok(())
}

/// Whether stdin is closed. Data left in a pipe does not count: QEMU reads it.
fn stdin_is_closed() -> bool {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// A file in /dev/shm that is removed with this process.
struct SharedFile(PathBuf);

impl SharedFile {
    const PREFIX: &str = "/dev/shm/ivshmem-doorbell-";

    /// Removes the files of killed processes.
    fn sweep() {
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let owner = path.to_str().and_then(|name| name.strip_prefix(Self::PREFIX)?.parse::<u32>().ok());
            if owner.is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()) {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn create(bytes: u64) -> anyhow::Result<Self> {
        Self::sweep();
        let path = PathBuf::from(format!("{}{}", Self::PREFIX, std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("cannot create {}", path.display()))?;
        let made = Self(path);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)
            .with_context(|| format!("/dev/shm lacks space for {bytes} bytes; try a smaller --size"))?;
        Ok(made)
    }
}

impl Drop for SharedFile {
    fn drop(&mut self) {
        // It may be gone.
        let _ = fs::remove_file(&self.0);
    }
}
