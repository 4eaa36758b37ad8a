//! One function for each command.

use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use bench_protocol::boot::{Bar2Map, GuestDriver};
use cli_common::output::print;
use doorbell::wait::Wakeup;
use doorbell::{PeerId, Vector};
use guest_uio::driver::{self, Driver};
use guest_uio::error::DeviceError;
use guest_uio::pci::{Needs, PciDevice};
use guest_uio::periodic_signal::PeriodicSignal;
use guest_uio::{driver_check, probe as prober, registers, responder};

/// Bytes per copy.
const CHUNK: usize = 1 << 20;

/// A device and its opened driver.
pub(crate) struct OpenDevice {
    device: PciDevice,
    driver: Box<dyn Driver>,
}

/// Selects and opens the device of a command.
pub(crate) fn open(address: Option<&str>, needs: Needs) -> anyhow::Result<OpenDevice> {
    let device = PciDevice::select(address, needs)?;
    let driver = driver::open(&device, Bar2Map::Auto).context("cannot use the device")?;
    Ok(OpenDevice { device, driver })
}

pub(crate) fn probe(address: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let report = prober::probe(address)?;
    let text = if json { format!("{}\n", serde_json::to_string_pretty(&report)?) } else { report.to_string() };
    print(&text)?;
    Ok(ExitCode::from(if report.hint.is_some() { 3 } else { 0 }))
}

pub(crate) fn bind(address: Option<&str>, driver: GuestDriver) -> anyhow::Result<()> {
    let device = PciDevice::select(address, Needs::Memory)?;
    driver::bind(&device, driver)?;
    Ok(print(&format!("bound {} to {}\n", device.address(), driver.name()))?)
}

pub(crate) fn unbind(address: Option<&str>) -> anyhow::Result<()> {
    let device = PciDevice::select(address, Needs::Memory)?;
    let text = match device.driver() {
        Some(name) => format!("unbound {} from {name}\n", device.address()),
        None => format!("{} has no driver\n", device.address()),
    };
    device.unbind()?;
    Ok(print(&text)?)
}

/// Prints a note for a vector that the own device lacks: a server gives all peers the same number, and the device does not
/// report a lost ring.
pub(crate) fn ring(opened: &OpenDevice, peer: PeerId, vector: Vector) -> anyhow::Result<()> {
    registers::ring(&opened.driver.bars().registers, peer, vector)?;
    if let Some(own) = opened.device.msix_vectors().filter(|own| vector.0 >= *own) {
        let s = if own == 1 { "" } else { "s" };
        eprintln!(
            "guest-uio: note: this device has {own} vector{s}; if the peer has as many, the ring of vector {vector} is lost"
        );
    }
    Ok(())
}

pub(crate) fn wait(
    opened: &OpenDevice,
    vector: Vector,
    count: u64,
    timeout: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let mut interrupt = opened.driver.interrupt(vector)?;
    let _signal = PeriodicSignal::start()?;
    let start = Instant::now();
    let mut received = 0;
    while received < count {
        match interrupt.wait_event().map_err(|source| driver::wait_error(&opened.device, source))? {
            Wakeup::Events(events) => received += events,
            Wakeup::Timeout => {
                if let Some(limit) = timeout.filter(|limit| start.elapsed() >= *limit) {
                    let s = if count == 1 { "" } else { "s" };
                    anyhow::bail!("vector {vector}: received {received} of {count} doorbell{s} within {limit:?}");
                }
            }
        }
    }
    print(&format!("{received}\n"))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn check(address: Option<&str>, vectors: u16, count: u64) -> anyhow::Result<ExitCode> {
    let results = driver_check::check(&PciDevice::select(address, Needs::Doorbells)?, vectors, count)?;
    let failed = results.iter().filter(|result| result.fault.is_some()).count();
    let mut lines: Vec<String> = results.iter().map(ToString::to_string).collect();
    lines.push(format!("{} passed, {failed} failed\n", results.len() - failed));
    print(&lines.join("\n"))?;
    Ok(ExitCode::from(u8::from(failed > 0)))
}

pub(crate) fn read(opened: &OpenDevice, offset: usize, len: usize) -> anyhow::Result<()> {
    let memory = &opened.driver.bars().memory;
    let end = offset.checked_add(len).filter(|end| *end <= memory.len());
    let end =
        end.with_context(|| format!("{len} bytes at offset {offset} exceed the memory of {} bytes", memory.len()))?;
    let mut out = io::stdout().lock();
    let mut at = offset;
    while at < end {
        let mut bytes = vec![0; CHUNK.min(end - at)];
        memory.copy_out(at, &mut bytes)?;
        // The memory of an unplugged device reads as ones.
        if !opened.device.folder().exists() {
            return Err(DeviceError::gone(opened.device.address(), ErrorKind::NotFound.into()).into());
        }
        match out.write_all(&bytes) {
            // The reader closed the pipe.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot write to stdout")?,
        }
        at += bytes.len();
    }
    out.flush().context("cannot write to stdout")
}

/// Writes all of stdin, or nothing if it does not fit.
pub(crate) fn write(opened: &OpenDevice, offset: usize) -> anyhow::Result<()> {
    let memory = &opened.driver.bars().memory;
    let room = memory.len().saturating_sub(offset);
    let mut bytes = Vec::new();
    // Read one byte beyond the limit to detect oversized input.
    io::stdin().lock().take(room as u64 + 1).read_to_end(&mut bytes).context("cannot read stdin")?;
    anyhow::ensure!(
        bytes.len() <= room,
        "stdin exceeds the {room} bytes from offset {offset} to the end of the memory"
    );
    Ok(memory.copy_in(offset, &bytes)?)
}

pub(crate) fn respond(opened: &OpenDevice, once: bool) -> anyhow::Result<()> {
    responder::respond(&*opened.driver, once)
}
