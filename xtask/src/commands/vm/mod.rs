//! `cargo xtask vm`: starts a guest with a shell on this terminal.

mod peer_process;
mod server_handle;

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};
use cli_common::{number, size};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::getppid;

use crate::accelerator;
use crate::arguments;
use crate::exit_status::usage;
use crate::guest_args::GuestArgs;
use crate::host_programs;
use crate::provision;
use crate::signals::StopFlag;
use crate::vm::guest_console::GuestConsole;
use crate::vm::host_memory;
use crate::vm::qemu::Ivshmem;
use bench_protocol::boot::{GUEST_IS_UP, GuestDriver, NO_DRIVER, RunMode};
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
    #[command(flatten)]
    guest: GuestArgs,
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
}

/// The device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VmMode {
    /// ivshmem-doorbell with an ivshmem-server
    Doorbell,
    /// ivshmem-plain with a file in /dev/shm
    Plain,
}

/// The driver that is bound at start. `None`: the device stays unbound.
type VmDriver = Option<GuestDriver>;

fn driver() -> impl TypedValueParser<Value = VmDriver> {
    let drivers = GuestDriver::ALL.map(|driver| (driver.name(), driver.help(), Some(driver)));
    arguments::choice(drivers.into_iter().chain([(NO_DRIVER, "Leave the device unbound", None)]))
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
    if plain && args.driver == Some(Some(GuestDriver::UioPciMsix)) {
        return Err(usage(
            "ivshmem-plain lacks interrupts, which uio_pci_msix needs: use --driver none, or --mode doorbell",
        ));
    }
    host_memory::check_guest(args.guest.mem, MIN_GUEST_MEMORY)?;
    host_memory::check(if args.server.is_some() { 0 } else { args.size }, args.guest.mem)?;
    args.guest.apply()?;
    let progress = crate::ui::status;
    // uio_pci_msix needs interrupts, which ivshmem-plain lacks.
    let driver = args.driver.unwrap_or((!plain).then_some(GuestDriver::UioPciMsix));
    let kernel = args.guest.custom_kernel();
    let options = provision::Options { kernel, shell: true, driver, install: args.guest.install_policy() };
    provision::check(options.kernel.as_ref(), options.driver)?;
    let programs = host_programs::build(&progress)?;
    let mut joined = None;
    if let Some(socket) = &args.server {
        // Absolute, because other terminals use it. Checked before anything slow.
        let socket = std::path::absolute(socket).context("the current directory does not exist")?;
        joined = Some(ServerHandle::connect(&programs.host_peer, socket, args.vectors)?);
    }
    let guest = provision::prepare(&options, &progress)?;
    let choice = accelerator::select(&args.guest, &guest, stop, &progress)?;
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
            let file = shared_file(args.size)?;
            crate::ui::status(&format!("read the memory:  {} ({} bytes, map it shared)", file.display(), args.size));
            let device = Ivshmem::Plain { file: file.to_path_buf(), bytes: args.size };
            memory_file = Some(file);
            device
        }
    };
    crate::ui::status("Ctrl-A X or `poweroff` ends the guest; Ctrl-A C switches to QEMU's monitor and back");
    let qemu = args.guest.qemu(&guest, choice.accelerator, (RunMode::Shell, driver), "", device);
    let console = log_folder.path().join("console.log");
    let mut process = qemu.start_on_terminal(&console)?;
    let mut boot = BootProgress::new(&console);
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
        if let Some(line) = boot.line() {
            progress(&line);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    drop((server_handle, memory_file));
    anyhow::ensure!(status.success(), "QEMU ended with {status}");
    Ok(())
}

/// Lines with the elapsed time until the guest is up. The kernel prints nothing, and takes long on a slow host. Afterwards the
/// console file is truncated regularly, because QEMU appends all output of the guest to it.
struct BootProgress {
    console: GuestConsole,
    started: Instant,
    /// When the file is read or truncated next.
    due: Duration,
    is_up: bool,
}

impl BootProgress {
    /// Time between two lines, or between two truncations.
    const INTERVAL: Duration = Duration::from_secs(5);

    fn new(console: &Path) -> Self {
        Self { console: GuestConsole::new(console), started: Instant::now(), due: Self::INTERVAL, is_up: false }
    }

    /// The line, if one is due.
    fn line(&mut self) -> Option<String> {
        let elapsed = self.started.elapsed();
        if elapsed < self.due {
            return None;
        }
        self.due = elapsed + Self::INTERVAL;
        self.is_up = self.is_up || self.console.text().contains(GUEST_IS_UP);
        if self.is_up {
            self.console.truncate();
            return None;
        }
        Some(format!("waiting for the guest: {} s", elapsed.as_secs()))
    }
}

/// Whether stdin is closed. Data left in a pipe does not count: QEMU reads it.
fn stdin_is_closed() -> bool {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

const SHARED_FOLDER: &str = "/dev/shm";
const SHARED_PREFIX: &str = "ivshmem-doorbell-";

/// Creates a file in /dev/shm that is removed with this process, and removes the files of killed processes.
fn shared_file(bytes: u64) -> anyhow::Result<tempfile::TempPath> {
    for entry in fs::read_dir(SHARED_FOLDER).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(SHARED_PREFIX)?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    let name = format!("{SHARED_PREFIX}{}", std::process::id());
    let file = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempfile_in(SHARED_FOLDER);
    let file = file.with_context(|| format!("cannot create {SHARED_FOLDER}/{name}"))?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)
        .with_context(|| format!("/dev/shm lacks space for {bytes} bytes; try a smaller --size"))?;
    Ok(file.into_temp_path())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn slow_boot_prints_the_elapsed_time_until_the_guest_is_up() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut boot = BootProgress::new(file.path());
        assert_eq!(boot.line(), None, "not due");
        boot.started -= Duration::from_secs(7);
        assert_eq!(boot.line().as_deref(), Some("waiting for the guest: 7 s"));
        assert_eq!(boot.line(), None, "not due again");
        fs::write(file.path(), "ivshmem-doorbell: guest is up\n").unwrap();
        boot.started -= Duration::from_secs(60);
        assert_eq!(boot.line(), None);
        boot.started -= Duration::from_secs(60);
        assert_eq!(boot.line(), None, "it was up");
    }

    #[test]
    fn console_file_is_truncated_after_the_boot() {
        let mut file = tempfile::Builder::new().append(true).tempfile().unwrap();
        let mut boot = BootProgress::new(file.path());
        let mut length_after = |text: &str| {
            file.write_all(text.as_bytes()).unwrap();
            boot.started -= BootProgress::INTERVAL;
            boot.line();
            file.path().metadata().unwrap().len()
        };
        assert_eq!(length_after("boot\n"), 5);
        assert_eq!(length_after("ivshmem-doorbell: guest is up\n"), 0);
        assert_eq!(length_after("output of a program\n"), 0, "again");
    }
}
