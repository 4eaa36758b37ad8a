//! Sections "Peak bandwidth", "Environment" and "Configuration".

use serde_json::Value as Json;

use crate::result::RunResult;
use bench_model::raw::PeakBandwidth;
use bench_model::units::{duration, factor, plural, size_name, speed};

use crate::render::report_doc::{Column, SectionPart, Table, Value};

/// The peaks of one side at one size.
type SidePeak<'a> = (u64, &'static str, &'a PeakBandwidth);

/// Zero: not measured.
fn measured(value: f64) -> Option<f64> {
    Some(value).filter(|value| *value > 0.0)
}

pub(super) fn peak_bandwidth(result: &RunResult) -> Vec<SectionPart> {
    let columns: [Column<SidePeak<'_>>; 10] = [
        ("size", "", |(size, ..)| Value::word(size_name(*size))),
        ("side", "", |(_, side, _)| Value::word(*side)),
        ("heap to heap", "private memory to private memory", |(.., peak)| Value::speed(measured(peak.heap_to_heap))),
        ("heap to region", "private memory into the shared region", |(.., peak)| {
            Value::speed(measured(peak.heap_to_region))
        }),
        ("region to heap", "the shared region to private memory", |(.., peak)| {
            Value::speed(measured(peak.region_to_heap))
        }),
        ("heap read", "loading private memory without storing it", |(.., peak)| Value::speed(measured(peak.heap_read))),
        ("region read", "loading the shared region without storing it", |(.., peak)| {
            Value::speed(measured(peak.region_read))
        }),
        ("heap SHA-256", "", |(.., peak)| Value::speed(measured(peak.sha256))),
        ("region SHA-256", "copied out in pieces of 4 KiB", |(.., peak)| Value::speed(measured(peak.region_sha256))),
        ("timestamp", "cost of one timestamp", |(.., peak)| Value::mean_ns(measured(peak.stamp_ns))),
    ];
    let sides = result
        .ceilings
        .iter()
        .flat_map(|both| [(both.size_bytes, "host", &both.host), (both.size_bytes, "guest", &both.guest)]);
    let mut peaks: Vec<SidePeak<'_>> = sides.collect();
    peaks.sort_by_key(|(size, ..)| *size);
    let caption = "Best measured copy and hash rate by size, and the cost of one timestamp, on both sides";
    let table = Table::new("table-ceilings", caption, 2, &columns, &peaks).without_unknown_columns();
    let mut parts: Vec<SectionPart> = table.part().into_iter().collect();
    if let Some(overhead) = &result.overhead {
        parts.push(SectionPart::Text(format!(
            "Instrument overhead: {} per round trip (empty operation); {} from one empty operation to the next.",
            duration(overhead.empty_operation_ns),
            duration(overhead.per_operation_ns)
        )));
    }
    if let Some(ratio) = result.findings.copy_host_over_guest {
        parts.push(SectionPart::Text(format!(
            "Private memory: host/guest copy rate {}. Expected: about 1× under KVM, far above under emulation.",
            factor(ratio, None)
        )));
    }
    parts
}

/// Machine, versions and time in one line.
pub(crate) fn machine_line(result: &RunResult) -> String {
    let environment = &result.environment;
    let words = [
        environment.cpu_model.clone(),
        cpus(environment.cores),
        named("host ", environment.host_kernel.as_ref()),
        named("QEMU ", environment.qemu_version.as_ref()),
        named("guest ", environment.guest_kernel.as_ref()),
        environment.driver.clone(),
        environment.started.clone(),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn named(name: &str, of: Option<&String>) -> Option<String> {
    of.map(|text| format!("{name}{text}"))
}

fn cpus(count: u32) -> Option<String> {
    (count > 0).then(|| plural(count.into(), "CPU"))
}

/// The environment in five lines.
pub(crate) fn brief_environment(result: &RunResult) -> Vec<(&'static str, String)> {
    let environment = &result.environment;
    let rate = |name: &str, gb: Option<f64>| Some(format!("{name} {}", speed(gb? * 1e9)));
    let host = vec![
        environment.cpu_model.clone(),
        cpus(environment.cores),
        named("kernel ", environment.host_kernel.as_ref()),
        environment.host.virtualized.filter(|yes| *yes).map(|_| "virtual machine".to_owned()),
    ];
    let guest = vec![
        named("kernel ", environment.guest_kernel.as_ref()),
        environment.guest_cpus.and_then(cpus),
        named("driver ", environment.driver.as_ref()),
        named("clock source ", environment.clocksource.as_ref()),
    ];
    let qemu = vec![
        environment.qemu_version.clone(),
        Some(bench_model::units::acceleration(&environment.accel)),
        named("pinning ", environment.pinning.as_ref()),
    ];
    let bar2 = vec![
        environment.bar2_map.clone(),
        environment.bar2_ns_per_load.map(|load| format!("{load:.1} ns per dependent load")),
        rate("read", environment.bar2_read_gb_per_s),
        rate("write", environment.bar2_write_gb_per_s),
    ];
    let run = vec![
        environment.started.clone(),
        named("revision ", environment.git_revision.as_ref()),
        environment.command.clone(),
    ];
    let lines = [("host", host), ("guest", guest), ("QEMU", qemu), ("BAR2", bar2), ("run", run)];
    let joined = lines.map(|(name, words)| (name, words.into_iter().flatten().collect::<Vec<_>>().join(", ")));
    joined.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// The complete environment, with the keys of `result.json`.
pub(super) fn environment(result: &RunResult) -> Vec<SectionPart> {
    let all = serde_json::to_value(&result.environment).unwrap_or_default();
    let unknown: Vec<&str> = fields(&all).filter(|(_, value)| is_unknown(value)).map(|(name, _)| name).collect();
    let mut parts = facts(&all);
    if !unknown.is_empty() {
        parts.push(SectionPart::Text(format!("Unknown or not present: {}.", unknown.join(", "))));
    }
    parts
}

/// The configuration of the run.
pub(super) fn config(result: &RunResult) -> Vec<SectionPart> {
    facts(&result.config)
}

fn fields(all: &Json) -> impl Iterator<Item = (&str, &Json)> {
    all.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// The known fields.
fn facts(all: &Json) -> Vec<SectionPart> {
    let present = fields(all).filter(|(_, value)| !is_unknown(value));
    let facts: Vec<_> = present.map(|(name, value)| (name.to_owned(), format_json(value))).collect();
    if facts.is_empty() { Vec::new() } else { vec![SectionPart::Facts(facts)] }
}

fn is_unknown(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(all) => all.is_empty(),
        Json::Object(all) => all.values().all(is_unknown),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// Formats a value: lists of scalars with commas, nested values as JSON.
fn format_json(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(all) if all.iter().all(|item| !item.is_array() && !item.is_object()) => {
            all.iter().map(format_json).collect::<Vec<_>>().join(", ")
        }
        Json::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_lists_booleans_and_objects() {
        let values = [json!("a"), json!(["a", 1]), json!(true), json!({"host": 0}), json!([[0, 1]])];
        assert_eq!(values.each_ref().map(format_json), ["a", "a, 1", "yes", "{\"host\":0}", "[[0,1]]"]);
    }

    #[test]
    fn empty_values_are_unknown_and_zeros_are_not() {
        assert!([json!(null), json!(""), json!([]), json!({"main": null})].iter().all(is_unknown));
        assert!(![json!(0), json!(false), json!("x")].iter().any(is_unknown));
    }
}
