//! Examines the device, its driver and its interrupts, and gives a hint for what does not work.

use std::fmt;
use std::fs;

use bench_model::raw::GuestFacts;
use bench_protocol::boot::Bar2Map;
use serde::Serialize;

use crate::driver::{self, Driver, UIO_PCI_MSIX};
use crate::error::DeviceError;
use crate::memory_type::{MemoryType, MemoryTypeReport};
use crate::pci::{Needs, PciDevice};
use crate::proc_info;
use crate::registers;
use crate::vectors_without_interrupt;

/// The facts that the guest reports to the host.
#[must_use]
pub fn facts(driver: &dyn Driver, interrupts_missing: Option<&str>, memory_type: Option<MemoryType>) -> GuestFacts {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    GuestFacts {
        driver: driver.bars().driver.to_owned(),
        bar2_map: driver.bars().memory_map.clone(),
        bar2_cached: memory_type.and_then(|kind| kind.is_cached()),
        bar2_ns_per_load: memory_type.map(|kind| kind.ns_per_load),
        bar2_read_gb_per_s: memory_type.map(|kind| kind.read_gb_per_s),
        bar2_streaming_read_gb_per_s: memory_type.and_then(|kind| kind.streaming_read_gb_per_s),
        bar2_write_gb_per_s: memory_type.and_then(|kind| kind.write_gb_per_s),
        kernel: read("/proc/sys/kernel/osrelease"),
        clocksource: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        cpu_model: proc_info::cpu_model().unwrap_or_default(),
        command_line: proc_info::command_line().unwrap_or_default(),
        steal_percent: proc_info::steal_percent(),
        interrupts: interrupts_missing.is_none(),
        interrupts_missing: interrupts_missing.unwrap_or_default().to_owned(),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The result of a probe: what `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeReport {
    /// The device's PCI address; `None` if there is no device.
    pub address: Option<String>,
    /// What is known of a device without opening it.
    #[serde(flatten)]
    pub device: Option<DeviceFacts>,
    /// What is known of an open device.
    #[serde(flatten)]
    pub open: Option<OpenDeviceFacts>,
    /// Whether doorbells reach user space. `None`: not tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupts: Option<bool>,
    /// The conclusion, one sentence.
    pub verdict: String,
    /// The suggested fix, if something does not work.
    #[serde(rename = "cure")]
    pub hint: Option<String>,
}

/// Properties of a device that its PCI configuration and its driver show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceFacts {
    /// Whether the device has doorbells: ivshmem-doorbell, not ivshmem-plain.
    pub doorbell: bool,
    /// The bound driver.
    pub driver: Option<String>,
    /// The device's regions 0 to 2.
    pub bars: Vec<BarFacts>,
    /// Whether BAR2, the shared memory, has an address from 4 GiB on.
    pub bar2_above_4g: bool,
    /// Interrupt vectors that the driver allocated.
    pub vectors: u16,
    /// MSI-X vectors of the device.
    pub device_vectors: Option<u16>,
    /// Other ivshmem devices of this guest, one description each.
    pub others: Vec<String>,
    /// The running kernel's release.
    pub kernel: String,
}

/// A region of the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BarFacts {
    /// Its number.
    pub bar: usize,
    /// Its physical address, in hexadecimal.
    pub address: String,
    /// Its size.
    pub bytes: u64,
}

/// Properties of a device whose registers and memory are mapped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenDeviceFacts {
    /// The own peer id; `None` if the register cannot be read.
    pub id: Option<u16>,
    /// Size of the shared memory.
    pub memory_bytes: usize,
    /// The file through which the memory is mapped.
    pub bar2_map: String,
    /// Measured speed of the memory; `None` if it cannot be measured.
    pub bar2: Option<MemoryTypeReport>,
}

impl ProbeReport {
    /// Concludes that everything works.
    fn works(mut self, verdict: &str) -> Self {
        verdict.clone_into(&mut self.verdict);
        self
    }

    /// Concludes that something does not work.
    fn fails(mut self, verdict: impl Into<String>, hint: impl Into<String>) -> Self {
        self.verdict = verdict.into();
        self.hint = Some(hint.into());
        self
    }

    /// The same, from an error's text. This crate's errors have their hint after the first semicolon.
    fn fails_with(self, text: &str, default_hint: &str) -> Self {
        let (verdict, hint) = text.split_once("; ").unwrap_or((text, default_hint));
        self.fails(verdict, hint)
    }
}

/// Examines the device and tests its interrupts: the device rings itself. Does not bind a driver or write to the memory.
pub fn probe(address: Option<&str>) -> Result<ProbeReport, DeviceError> {
    let mut report =
        ProbeReport { address: None, device: None, open: None, interrupts: None, verdict: String::new(), hint: None };
    let pci = match PciDevice::select(address, Needs::Memory) {
        Ok(pci) => pci,
        Err(error @ DeviceError::NoDevice) => return Ok(report.fails_with(&error.to_string(), "")),
        Err(other) => return Err(other),
    };
    report.address = Some(pci.address().to_owned());
    report.device = Some(device_facts(&pci)?);
    let driver = match driver::open(&pci, Bar2Map::Auto) {
        Ok(driver) => driver,
        Err(error) => {
            return Ok(report.fails_with(&format!("the device cannot be used: {error}"), &bind_hint()));
        }
    };
    let bars = driver.bars();
    report.open = Some(OpenDeviceFacts {
        id: registers::own_id(&bars.registers).map(|id| id.0).ok(),
        memory_bytes: bars.memory.len(),
        bar2_map: bars.memory_map.clone(),
        bar2: MemoryType::measure(&bars.memory).ok().map(MemoryTypeReport::from),
    });
    if !pci.has_doorbell() {
        return Ok(report.works("ivshmem-plain: memory can be used, there are no doorbells"));
    }
    // VFIO allocates its vectors when the device is opened, so they are counted after `open`.
    let allocated = pci.allocated_vectors().max(1);
    let missing = vectors_without_interrupt::find(&pci, &*driver, allocated);
    report.interrupts = Some(missing.as_ref().is_ok_and(Vec::is_empty));
    Ok(match missing {
        Err(DeviceError::System { what, source }) => report.fails_with(&format!("{what}: {source}"), &bind_hint()),
        Err(error) => report.fails_with(&error.to_string(), &bind_hint()),
        Ok(missing) if missing.is_empty() => report.works("memory, doorbell and interrupts can be used"),
        Ok(missing) => {
            let (message, hint) = vectors_without_interrupt::explain(&missing, allocated);
            report.fails(message, hint)
        }
    })
}

fn device_facts(pci: &PciDevice) -> Result<DeviceFacts, DeviceError> {
    let bar = |i| pci.bar(i).map(|bar| BarFacts { bar: i, address: format!("{:#x}", bar.start), bytes: bar.len });
    Ok(DeviceFacts {
        doorbell: pci.has_doorbell(),
        driver: pci.driver(),
        bars: (0..3).map(bar).collect::<Result<_, _>>()?,
        bar2_above_4g: pci.bar(2)?.start >= 1 << 32,
        vectors: pci.allocated_vectors(),
        device_vectors: pci.msix_vectors(),
        others: pci.others().iter().map(PciDevice::describe).collect(),
        kernel: read("/proc/sys/kernel/osrelease"),
    })
}

fn bind_hint() -> String {
    format!("guest-uio bind --driver {UIO_PCI_MSIX} (its module: guest-uio/kmod), then probe again")
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(address), Some(device)) = (&self.address, &self.device) {
            let kind = if device.doorbell { "doorbell" } else { "plain" };
            writeln!(f, "device    {address} (ivshmem-{kind})")?;
            for BarFacts { bar, address, bytes } in &device.bars {
                writeln!(f, "BAR{bar}      {bytes} bytes at {address}")?;
            }
            let plural = if device.vectors == 1 { "" } else { "s" };
            let driver = device.driver.as_deref().unwrap_or("-");
            writeln!(f, "driver    {driver}, {} vector{plural}", device.vectors)?;
        }
        if let Some(open) = &self.open {
            writeln!(f, "own id    {}", open.id.map_or("-".to_owned(), |id| id.to_string()))?;
            writeln!(f, "memory    {} bytes through {}", open.memory_bytes, open.bar2_map)?;
            if let Some(bar2) = &open.bar2 {
                writeln!(f, "          {bar2}")?;
            }
        }
        for other in self.device.iter().flat_map(|device| &device.others) {
            writeln!(f, "other     {other}")?;
        }
        writeln!(f, "verdict   {}", self.verdict)?;
        match &self.hint {
            Some(hint) => writeln!(f, "hint      {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device without a driver.
    fn unbound() -> ProbeReport {
        ProbeReport {
            address: Some("0000:00:01.0".to_owned()),
            device: Some(DeviceFacts {
                doorbell: true,
                driver: None,
                bars: vec![BarFacts { bar: 2, address: "0x800000000".to_owned(), bytes: 64 << 20 }],
                bar2_above_4g: true,
                vectors: 0,
                device_vectors: Some(2),
                others: vec!["0000:00:02.0 (ivshmem-plain)".to_owned()],
                kernel: "6.1.0".to_owned(),
            }),
            open: None,
            interrupts: None,
            verdict: String::new(),
            hint: None,
        }
        .fails_with("no driver is bound; bind one", "")
    }

    fn keys(report: &ProbeReport) -> Vec<String> {
        let json = serde_json::to_value(report).unwrap();
        json.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn json_has_the_keys_of_what_is_known() {
        let missing = ProbeReport { address: None, device: None, ..unbound() };
        assert_eq!(keys(&missing), ["address", "cure", "verdict"]);
        let device = [
            "address",
            "bar2_above_4g",
            "bars",
            "cure",
            "device_vectors",
            "doorbell",
            "driver",
            "kernel",
            "others",
            "vectors",
            "verdict",
        ];
        assert_eq!(keys(&unbound()), device);
        let open =
            OpenDeviceFacts { id: Some(3), memory_bytes: 64 << 20, bar2_map: "uio map 1".to_owned(), bar2: None };
        let open = ProbeReport { open: Some(open), interrupts: Some(true), ..unbound() };
        let mut all: Vec<_> = device.iter().chain(&["bar2", "bar2_map", "id", "interrupts", "memory_bytes"]).collect();
        all.sort_unstable();
        assert_eq!(keys(&open).iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn text_of_an_unbound_device_ends_with_the_hint() {
        let text = unbound().to_string();
        assert!(
            text.starts_with("device    0000:00:01.0 (ivshmem-doorbell)\nBAR2      67108864 bytes at 0x800000000\n")
        );
        assert!(text.ends_with("verdict   no driver is bound\nhint      bind one\n"), "{text}");
        assert!(!text.contains("own id"), "{text}");
    }
}
