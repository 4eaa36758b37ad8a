//! Sections "Peak bandwidth", "Environment" and "Configuration".

use serde_json::Value as Json;

use crate::result::RunResult;
use bench_model::raw::PeakBandwidth;
use bench_model::units::{duration, factor, plural, size_name, speed};

use crate::render::report_doc::table::{SectionPart, Table, TableRow, columns};
use crate::render::report_doc::value::Value;

pub(super) fn peak_bandwidth(result: &RunResult) -> Vec<SectionPart> {
    let row = |size: u64, side: &str, ceiling: &PeakBandwidth| {
        let PeakBandwidth {
            heap_to_heap,
            heap_to_region,
            region_to_heap,
            heap_read,
            region_read,
            sha256,
            region_sha256,
            stamp_ns,
        } = *ceiling;
        let mut values = vec![Value::word(size_name(size)), Value::word(side)];
        // Zero: not measured.
        let measured = |value: f64| Some(value).filter(|value| *value > 0.0);
        let speeds = [heap_to_heap, heap_to_region, region_to_heap, heap_read, region_read, sha256, region_sha256];
        values.extend(speeds.map(|speed| Value::speed(measured(speed))));
        values.push(Value::mean_ns(measured(stamp_ns)));
        TableRow { mode: None, values }
    };
    let mut ceilings: Vec<_> = result.ceilings.iter().collect();
    ceilings.sort_by_key(|both| both.size_bytes);
    let rows = ceilings
        .into_iter()
        .flat_map(|both| [row(both.size_bytes, "host", &both.host), row(both.size_bytes, "guest", &both.guest)]);
    let table = Table {
        id: "table-ceilings".to_owned(),
        caption: "Best measured copy and hash rate by size, and the cost of one timestamp, on both sides".to_owned(),
        keys: 2,
        columns: columns(&[
            ("size", ""),
            ("side", ""),
            ("heap to heap", "private memory to private memory"),
            ("heap to region", "private memory into the shared region"),
            ("region to heap", "the shared region to private memory"),
            ("heap read", "loading private memory without storing it"),
            ("region read", "loading the shared region without storing it"),
            ("heap SHA-256", ""),
            ("region SHA-256", "copied out in pieces of 4 KiB"),
            ("timestamp", "cost of one timestamp"),
        ]),
        rows: rows.collect(),
        detail: false,
    };
    let mut parts: Vec<SectionPart> = table.without_unknown_columns().part().into_iter().collect();
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
    let named = |name: &str, of: &Option<String>| of.as_ref().map(|text| format!("{name}{text}"));
    let words = [
        environment.cpu_model.clone(),
        (environment.cores > 0).then(|| plural(environment.cores.into(), "CPU")),
        named("host ", &environment.host_kernel),
        named("QEMU ", &environment.qemu_version),
        named("guest ", &environment.guest_kernel),
        environment.driver.clone(),
        environment.started.clone(),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// The environment in five lines.
pub(crate) fn brief_environment(result: &RunResult) -> Vec<(&'static str, String)> {
    let environment = &result.environment;
    let named = |name: &str, of: &Option<String>| of.as_ref().map(|text| format!("{name}{text}"));
    let join = |words: Vec<Option<String>>| words.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let cpus = |count: u32| (count > 0).then(|| plural(count.into(), "CPU"));
    let virtualized = environment.host.virtualized.filter(|yes| *yes).map(|_| "virtual machine".to_owned());
    let per_load = environment.bar2_ns_per_load.map(|load| format!("{load:.1} ns per load"));
    let rates = [("read", environment.bar2_read_gb_per_s), ("write", environment.bar2_write_gb_per_s)];
    let rates = rates.into_iter().map(|(name, gb)| Some(format!("{name} {}", speed(gb? * 1e9))));
    let lines = [
        (
            "host",
            join(vec![
                environment.cpu_model.clone(),
                cpus(environment.cores),
                named("kernel ", &environment.host_kernel),
                virtualized,
            ]),
        ),
        (
            "guest",
            join(vec![
                named("kernel ", &environment.guest_kernel),
                environment.guest_cpus.and_then(cpus),
                named("driver ", &environment.driver),
                named("clock source ", &environment.clocksource),
            ]),
        ),
        (
            "QEMU",
            join(vec![
                environment.qemu_version.clone(),
                Some(bench_model::units::acceleration(&environment.accel)),
                named("pinning ", &environment.pinning),
            ]),
        ),
        ("BAR2", join([named("", &environment.bar2_map), per_load].into_iter().chain(rates).collect())),
        (
            "run",
            join(vec![
                environment.started.clone(),
                named("revision ", &environment.git_revision),
                environment.command.clone(),
            ]),
        ),
    ];
    lines.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// The complete environment, with the keys of `result.json`.
pub(super) fn environment(result: &RunResult) -> Vec<SectionPart> {
    let Ok(Json::Object(all)) = serde_json::to_value(&result.environment) else { return Vec::new() };
    let (unknown, known): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, value)| is_unknown(value));
    let mut parts = Vec::new();
    if !known.is_empty() {
        parts.push(SectionPart::Facts(known.iter().map(|(name, value)| (name.clone(), format_json(value))).collect()));
    }
    if !unknown.is_empty() {
        let names: Vec<String> = unknown.into_iter().map(|(name, _)| name).collect();
        parts.push(SectionPart::Text(format!("Unknown or not present: {}.", names.join(", "))));
    }
    parts
}

/// The configuration of the run.
pub(super) fn config(result: &RunResult) -> Vec<SectionPart> {
    let Json::Object(all) = &result.config else { return Vec::new() };
    let facts: Vec<_> = all
        .iter()
        .filter(|(_, value)| !is_unknown(value))
        .map(|(name, value)| (name.clone(), format_json(value)))
        .collect();
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
        Json::Array(all) if all.iter().all(|one| !one.is_array() && !one.is_object()) => {
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
