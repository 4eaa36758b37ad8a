//! `guest-uio`: the guest's side of ivshmem-doorbell as a command, and as PID 1 of the small VM.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Parser, Subcommand};
use cli_common::number;
use guest_uio::driver::{self, Driver, UIO_PCI_MSIX};
use guest_uio::guard::Guard;
use guest_uio::pci::PciDevice;
use guest_uio::{conformance, device, init, probe, respond};
use proto::wait::Woke;
use proto::wire::{PeerId, Vector};

/// Takes ivshmem doorbells inside a Linux guest.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  guest-uio probe                          what this guest can do
  guest-uio bind --driver uio_pci_msix     give the device to a driver that delivers interrupts
  guest-uio wait --count 1 --timeout 5s    block until a doorbell
  guest-uio ring 1 0                       ring peer 1 on vector 0
  guest-uio respond                        be the benchmark's other half

Exit status: 0 ok, 1 failed, 2 wrong usage, 3 the machine lacks something."
)]
struct Arguments {
    /// The device's PCI address, where there are several
    #[arg(long, global = true, value_name = "0000:00:03.0")]
    device: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows the device, its driver and what works, with the cure for what does not
    Probe {
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Gives the device to a driver, and to no other
    Bind {
        #[arg(long, default_value = UIO_PCI_MSIX, help = "uio_pci_msix, igb_uio, vfio-pci or uio_pci_generic; its module must be loaded")]
        driver: String,
    },
    /// Takes the device from its driver
    Unbind,
    /// Rings a peer
    Ring {
        /// The peer's id at the server
        #[arg(value_parser = number::parse::<u16>)]
        peer: u16,
        /// The peer's vector
        #[arg(value_parser = number::parse::<u16>)]
        vector: u16,
    },
    /// Blocks until doorbells arrive; prints how many
    Wait {
        /// This device's vector
        #[arg(long, default_value_t = 0, value_parser = number::parse::<u16>)]
        vector: u16,
        /// Doorbells to wait for
        #[arg(long, default_value_t = 1, value_parser = number::in_range::<u64>(1..))]
        count: u64,
        /// How long at most, such as 500ms or 5s; for ever if absent
        #[arg(long, value_parser = cli_common::duration::parse)]
        timeout: Option<Duration>,
    },
    /// Tries what a driver must do: registers, memory, and doorbells rung by the device itself
    Check {
        /// Vectors to try, from 0
        #[arg(long, default_value_t = 1, value_parser = number::in_range::<u16>(1..=256))]
        vectors: u16,
        /// Doorbells of the closed loop
        #[arg(long, default_value_t = 10_000, value_parser = number::in_range::<u64>(1..))]
        count: u64,
    },
    /// Writes bytes of the shared memory to stdout
    Read {
        /// Offset in the memory
        #[arg(value_parser = number::parse::<usize>)]
        offset: usize,
        /// Bytes
        #[arg(value_parser = number::parse::<usize>)]
        len: usize,
    },
    /// Writes stdin into the shared memory
    Write {
        /// Offset in the memory
        #[arg(value_parser = number::parse::<usize>)]
        offset: usize,
    },
    /// Answers the host's benchmark
    Respond {
        /// Return after one run
        #[arg(long)]
        once: bool,
    },
}

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::run();
    }
    let arguments = Arguments::parse();
    match act(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("guest-uio: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn act(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let address = arguments.device.as_deref();
    match arguments.verb {
        Verb::Probe { json } => {
            let verdict = probe::probe(address)?;
            if json {
                println!("{:#}", verdict.found);
            } else {
                print!("{verdict}");
            }
            return Ok(ExitCode::from(if verdict.cure.is_some() { 3 } else { 0 }));
        }
        Verb::Bind { ref driver } => driver::bind(&PciDevice::find(address)?, driver)?,
        Verb::Unbind => PciDevice::find(address)?.unbind()?,
        Verb::Ring { peer, vector } => device::ring(open_doorbell(address)?.registers(), PeerId(peer), Vector(vector))?,
        Verb::Wait { vector, count, timeout } => {
            return wait(&*open_doorbell(address)?, Vector(vector), count, timeout);
        }
        Verb::Check { vectors, count } => {
            let findings = conformance::check(&doorbell(address)?, vectors, count)?;
            for finding in &findings {
                println!("{finding}");
            }
            let failed = findings.iter().filter(|finding| finding.fault.is_some()).count();
            println!("{} passed, {failed} failed", findings.len() - failed);
            return Ok(ExitCode::from(u8::from(failed > 0)));
        }
        Verb::Read { offset, len } => {
            let driver = open(address)?;
            anyhow::ensure!(len <= driver.memory().len(), "the memory has {} bytes", driver.memory().len());
            let mut bytes = vec![0; len];
            driver.memory().copy_out(offset, &mut bytes)?;
            std::io::stdout().write_all(&bytes)?;
        }
        Verb::Write { offset } => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes)?;
            open(address)?.memory().copy_in(offset, &bytes)?;
        }
        Verb::Respond { once } => respond::respond(&*open(address)?, once)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The device, if it has doorbells at all.
fn doorbell(address: Option<&str>) -> anyhow::Result<PciDevice> {
    let device = PciDevice::find(address)?;
    anyhow::ensure!(device.has_doorbell()?, "{} is ivshmem-plain: it has memory, but no doorbells", device.address());
    Ok(device)
}

fn open_doorbell(address: Option<&str>) -> anyhow::Result<Box<dyn Driver>> {
    driver::open(&doorbell(address)?).context("cannot use the device")
}

fn open(address: Option<&str>) -> anyhow::Result<Box<dyn Driver>> {
    driver::open(&PciDevice::find(address)?).context("cannot use the device")
}

fn wait(driver: &dyn Driver, vector: Vector, count: u64, timeout: Option<Duration>) -> anyhow::Result<ExitCode> {
    let mut interrupt = driver.interrupt(vector)?;
    let _guard = Guard::start()?;
    let start = Instant::now();
    let mut seen = 0;
    while seen < count {
        match interrupt.block()? {
            Woke::Events(events) => seen += events,
            Woke::Guard if timeout.is_some_and(|limit| start.elapsed() >= limit) => {
                anyhow::bail!(
                    "{seen} of {count} doorbells came on vector {vector} within {:?}",
                    timeout.unwrap_or_default()
                );
            }
            Woke::Guard => {}
        }
    }
    println!("{seen}");
    Ok(ExitCode::SUCCESS)
}
