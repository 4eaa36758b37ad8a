//! Examines the device, its driver and its interrupts, and gives a hint for what does not work.

use std::fmt;
use std::fs;

use bench_model::raw::GuestFacts;
use bench_protocol::boot::Bar2Map;
use serde_json::{Value, json};

use crate::driver::{self, Driver, UIO_PCI_MSIX};
use crate::error::DeviceError;
use crate::memory_type::MemoryType;
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

/// The result of a probe.
#[derive(Debug)]
pub struct ProbeResult {
    /// All facts, for `--json`.
    pub found: Value,
    /// The conclusion, one sentence.
    pub verdict: String,
    /// The suggested fix, if something does not work.
    pub hint: Option<String>,
}

impl ProbeResult {
    fn new(mut found: Value, verdict: impl Into<String>, hint: Option<String>) -> Self {
        let verdict = verdict.into();
        found["verdict"] = json!(verdict);
        found["cure"] = json!(hint);
        Self { found, verdict, hint }
    }
}

/// Examines the device and tests its interrupts: the device rings itself. Does not bind a driver or write to the memory.
pub fn probe(address: Option<&str>) -> Result<ProbeResult, DeviceError> {
    let pci = match PciDevice::select(address, Needs::Memory) {
        Ok(pci) => pci,
        Err(error @ DeviceError::NoDevice) => {
            return Ok(with_hint(json!({ "address": null }), &error.to_string(), ""));
        }
        Err(other) => return Err(other),
    };
    let has_doorbell = pci.has_doorbell();
    let bars: Vec<Value> = (0..3)
        .map(|i| pci.bar(i).map(|bar| json!({"bar": i, "address": format!("{:#x}", bar.start), "bytes": bar.len})))
        .collect::<Result<_, _>>()?;
    let mut found = json!({
        "address": pci.address(),
        "doorbell": has_doorbell,
        "driver": pci.driver(),
        "bars": bars,
        "bar2_above_4g": pci.bar(2)?.start >= 1 << 32,
        "vectors": pci.allocated_vectors(),
        "device_vectors": pci.msix_vectors(),
        "others": pci.others().iter().map(PciDevice::describe).collect::<Vec<_>>(),
        "kernel": read("/proc/sys/kernel/osrelease"),
    });
    let driver = match driver::open(&pci, Bar2Map::Auto) {
        Ok(driver) => driver,
        Err(error) => return Ok(with_hint(found, &format!("the device cannot be used: {error}"), &bind_hint())),
    };
    let bars = driver.bars();
    found["id"] = json!(registers::own_id(&bars.registers).map(|id| id.0).ok());
    found["memory_bytes"] = json!(bars.memory.len());
    found["bar2_map"] = json!(bars.memory_map);
    found["bar2"] = MemoryType::measure(&bars.memory).map_or(Value::Null, |kind| kind.to_json());
    if !has_doorbell {
        return Ok(ProbeResult::new(found, "ivshmem-plain: memory can be used, there are no doorbells", None));
    }
    // VFIO allocates its vectors when the device is opened, so they are counted after `open`.
    let allocated = pci.allocated_vectors().max(1);
    let missing = vectors_without_interrupt::find(&pci, &*driver, allocated);
    found["interrupts"] = json!(missing.as_ref().is_ok_and(Vec::is_empty));
    Ok(match missing {
        Err(DeviceError::System { what, source }) => with_hint(found, &format!("{what}: {source}"), &bind_hint()),
        Err(error) => with_hint(found, &error.to_string(), &bind_hint()),
        Ok(missing) if missing.is_empty() => {
            ProbeResult::new(found, "memory, doorbell and interrupts can be used", None)
        }
        Ok(missing) => {
            let (message, hint) = vectors_without_interrupt::explain(&missing, allocated);
            ProbeResult::new(found, message, Some(hint))
        }
    })
}

/// Splits an error's text into conclusion and hint. This crate's errors have their hint after the first semicolon.
fn with_hint(found: Value, text: &str, otherwise: &str) -> ProbeResult {
    let (verdict, hint) = text.split_once("; ").unwrap_or((text, otherwise));
    ProbeResult::new(found, verdict, Some(hint.to_owned()))
}

fn bind_hint() -> String {
    format!("guest-uio bind --driver {UIO_PCI_MSIX} (its module: guest-uio/kmod), then probe again")
}

impl fmt::Display for ProbeResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |key: &str| match &self.found[key] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if self.found["address"].is_string() {
            let kind = if self.found["doorbell"] == true { "doorbell" } else { "plain" };
            writeln!(f, "device    {} (ivshmem-{kind})", text("address"))?;
            for bar in self.found["bars"].as_array().into_iter().flatten() {
                writeln!(
                    f,
                    "BAR{}      {} bytes at {}",
                    bar["bar"],
                    bar["bytes"],
                    bar["address"].as_str().unwrap_or("-")
                )?;
            }
            let plural = if self.found["vectors"] == 1 { "" } else { "s" };
            writeln!(f, "driver    {}, {} vector{plural}", text("driver"), text("vectors"))?;
            writeln!(f, "own id    {}", text("id"))?;
            writeln!(f, "memory    {} bytes through {}", text("memory_bytes"), text("bar2_map"))?;
            let bar2 = &self.found["bar2"];
            if bar2.is_object() {
                let kind = match bar2["cached"].as_bool() {
                    Some(true) => "cached",
                    Some(false) => "not cached",
                    None => "memory type not measurable under emulation",
                };
                writeln!(
                    f,
                    "          {kind}: {} ns per load ({} from private memory), read {} GB/s",
                    bar2["ns_per_load"], bar2["private_ns_per_load"], bar2["read_gb_per_s"]
                )?;
            }
        }
        for other in self.found["others"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            writeln!(f, "other     {other}")?;
        }
        writeln!(f, "verdict   {}", self.verdict)?;
        match &self.hint {
            Some(hint) => writeln!(f, "hint      {hint}"),
            None => Ok(()),
        }
    }
}
