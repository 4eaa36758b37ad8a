//! What this guest can do with its device, and the cure for what it cannot.

use std::fs;

use serde_json::{Value, json};

use crate::device;
use crate::driver::{Driver, UIO_PCI_MSIX};
use crate::pci::{PciDevice, PciError};
use proto::wire::Vector;

/// What the guest tells the host of itself, under the names of the result's schema.
#[must_use]
pub fn facts(driver: &dyn Driver, interrupts_missing: Option<&str>) -> Value {
    json!({
        "driver": driver.name(),
        "bar2_map": driver.memory_map(),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "clocksource": read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "cpus": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "interrupts": interrupts_missing.is_none(),
        "interrupts_missing": interrupts_missing.unwrap_or_default(),
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// A probe's outcome.
#[derive(Debug)]
pub struct Verdict {
    /// Everything found, for `--json`.
    pub found: Value,
    /// In a sentence.
    pub verdict: String,
    /// What to do, if anything.
    pub cure: Option<String>,
}

/// Looks at the device and at whatever driver holds it. Binds nothing.
pub fn probe(address: Option<&str>) -> Result<Verdict, PciError> {
    let pci = PciDevice::find(address)?;
    let bars: Vec<Value> = (0..3)
        .map(|i| pci.bar(i).map(|bar| json!({"bar": i, "address": format!("{:#x}", bar.start), "bytes": bar.len})))
        .collect::<Result<_, _>>()?;
    let mut found = json!({
        "address": pci.address(),
        "doorbell": pci.has_doorbell()?,
        "driver": pci.driver(),
        "bars": bars,
        "kernel": read("/proc/sys/kernel/osrelease"),
    });
    let bind = format!("guest-uio bind --driver {UIO_PCI_MSIX}");
    let (verdict, cure) = match crate::driver::open(&pci) {
        Err(error) => (format!("the device cannot be used: {error}"), Some(bind)),
        Ok(driver) => {
            let id = device::own_id(driver.registers());
            found["id"] = json!(id.map(|id| id.0).ok());
            found["memory_bytes"] = json!(driver.memory().len());
            found["bar2_map"] = json!(driver.memory_map());
            if pci.has_doorbell()? {
                match driver.interrupt(Vector(0)) {
                    Ok(_) => ("memory, doorbell and interrupts can be used".to_owned(), None),
                    Err(error) => (error.to_string(), Some(bind)),
                }
            } else {
                ("ivshmem-plain: memory can be used, there are no doorbells".to_owned(), None)
            }
        }
    };
    found["verdict"] = json!(verdict);
    found["cure"] = json!(cure);
    Ok(Verdict { found, verdict, cure })
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |key: &str| match &self.found[key] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        writeln!(
            f,
            "device    {} (ivshmem-{})",
            text("address"),
            if self.found["doorbell"] == true { "doorbell" } else { "plain" }
        )?;
        for bar in self.found["bars"].as_array().into_iter().flatten() {
            writeln!(f, "BAR{}      {} bytes at {}", bar["bar"], bar["bytes"], bar["address"].as_str().unwrap_or("-"))?;
        }
        writeln!(f, "driver    {}", text("driver"))?;
        writeln!(f, "own id    {}", text("id"))?;
        writeln!(f, "memory    {} through {}", text("memory_bytes"), text("bar2_map"))?;
        writeln!(f, "verdict   {}", self.verdict)?;
        match &self.cure {
            Some(cure) => writeln!(f, "cure      {cure}"),
            None => Ok(()),
        }
    }
}
