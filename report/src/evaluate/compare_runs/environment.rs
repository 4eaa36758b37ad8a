//! Differences between runs apart from their metrics: accelerator, machine, software, configuration.

use serde::Serialize;
use serde_json::Value;

use super::folder::RunFolder;

/// Fields of the environment that affect metrics, the most important first.
const COMPARED_FIELDS: [&str; 42] = [
    "accel",
    "irqfd",
    "cpu_model",
    "virtualized",
    "product",
    "cores",
    "physical_cores",
    "hardware_threads",
    "smt_siblings",
    "caches",
    "cpu_flags",
    "microcode",
    "mitigations",
    "governor",
    "frequency_driver",
    "turbo",
    "cpuidle_driver",
    "deepest_c_state",
    "isolated_cpus",
    "halt_poll_ns",
    "transparent_hugepages",
    "timer_slack_ns",
    "scheduling_policy",
    "nice",
    "cpu_quota",
    "host_kernel",
    "host_command_line",
    "host_clocksource",
    "qemu_version",
    "guest_kernel",
    "guest_command_line",
    "guest_cpus",
    "qemu_cpu",
    "clocksource",
    "driver",
    "bar2_map",
    "bar2_cached",
    "pinning",
    "vectors",
    "memory_bytes",
    "build_profile",
    "rustc_version",
];

/// Emulation ignores memory types. Earlier versions recorded one; such a value has no meaning.
const NOT_UNDER_EMULATION: &str = "bar2_cached";

/// Fields that always vary: listed only if they differ by more than this.
const LOAD_TOLERANCES: [(&str, f64); 4] =
    [("load_average", 0.5), ("busy_cpus", 0.3), ("steal_percent", 1.0), ("guest_steal_percent", 1.0)];

/// Fields of the configuration that the environment repeats with their effective values: compared only there.
const IN_ENVIRONMENT: [&str; 7] = ["driver", "driver_reason", "bar2_map", "pinning", "vectors", "smp", "size_bytes"];

/// A field that differs between runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The name of the field in `environment`, or `config.` and its name there.
    pub field: String,
    /// Its value in each run, in their order; `null`: unknown.
    pub values: Vec<Value>,
}

/// A field that some runs did not record, usually runs of earlier versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotRecorded {
    /// As in a [`Difference`].
    pub field: String,
    /// The indices of the runs; the baseline is 0.
    pub runs: Vec<usize>,
}

/// The fields that differ. Runs that did not record a field are left out of its comparison.
pub(super) fn differences(runs: &[RunFolder]) -> Vec<Difference> {
    let mut all: Vec<Difference> = facts(runs).filter(|fact| is_unequal(&fact.values)).map(Fact::difference).collect();
    let of_load = LOAD_TOLERANCES.iter().map(|&(field, tolerance)| (Fact::of_environment(runs, field), tolerance));
    all.extend(
        of_load.filter(|(fact, tolerance)| is_apart(&fact.values, *tolerance)).map(|(fact, _)| fact.difference()),
    );
    // The settings stay last.
    all.sort_by_key(|difference| difference.field.starts_with(CONFIG));
    all
}

/// The fields that only some runs recorded.
pub(super) fn not_recorded(runs: &[RunFolder]) -> Vec<NotRecorded> {
    let missing = |fact: Fact| {
        let runs = fact.values.iter().enumerate().filter(|(_, value)| value.is_none()).map(|(run, _)| run).collect();
        NotRecorded { field: fact.field, runs }
    };
    let partly = |fact: &Fact| fact.values.iter().any(Option::is_none) && fact.values.iter().any(Option::is_some);
    facts(runs).filter(partly).map(missing).collect()
}

/// Prefix of the configuration's fields.
const CONFIG: &str = "config.";

/// A field in each run.
struct Fact {
    field: String,
    /// `None`: not recorded.
    values: Vec<Option<Value>>,
}

impl Fact {
    fn values(runs: &[RunFolder], part: &str, field: &str) -> Vec<Option<Value>> {
        // A rebuilt document holds `null` for unknown fields.
        runs.iter().map(|run| run.document[part].get(field).filter(|value| !value.is_null()).cloned()).collect()
    }

    fn of_environment(runs: &[RunFolder], field: &str) -> Self {
        let mut values = Self::values(runs, "environment", field);
        if field == NOT_UNDER_EMULATION {
            let is_emulated = |run: &RunFolder| run.document["environment"]["accel"] == "tcg";
            if runs.iter().any(is_emulated) {
                values.fill(None);
            }
        }
        Self { field: field.to_owned(), values }
    }

    fn difference(self) -> Difference {
        Difference { field: self.field, values: self.values.into_iter().map(Option::unwrap_or_default).collect() }
    }
}

/// All fields that are compared by value.
fn facts(runs: &[RunFolder]) -> impl Iterator<Item = Fact> {
    let of_environment =
        COMPARED_FIELDS.iter().chain(["git_revision"].iter()).map(|field| Fact::of_environment(runs, field));
    let configs = runs.iter().filter_map(|run| run.document["config"].as_object());
    let mut keys: Vec<&String> = configs.flat_map(|config| config.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| !IN_ENVIRONMENT.contains(&key.as_str()));
    let of_config =
        keys.into_iter().map(|key| Fact { field: format!("{CONFIG}{key}"), values: Fact::values(runs, "config", key) });
    of_environment.chain(of_config)
}

fn is_unequal(values: &[Option<Value>]) -> bool {
    let mut recorded = values.iter().flatten();
    let first = recorded.next();
    recorded.any(|value| Some(value) != first)
}

fn is_apart(values: &[Option<Value>], tolerance: f64) -> bool {
    let numbers: Vec<f64> = values.iter().flatten().filter_map(Value::as_f64).collect();
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most - least > tolerance
}

impl Difference {
    /// One run's value as text.
    #[must_use]
    pub fn shown(&self, run: usize) -> String {
        self.values.get(run).map_or_else(String::new, shown)
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not known".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::environment::Environment;

    #[test]
    fn every_compared_field_exists() {
        let environment = serde_json::to_value(Environment::default()).expect("JSON");
        for field in COMPARED_FIELDS.iter().chain(LOAD_TOLERANCES.iter().map(|(field, _)| field)) {
            assert!(environment.get(field).is_some(), "{field}");
        }
    }

    #[test]
    fn loads_differ_only_beyond_the_tolerance() {
        let values = |all: &[f64]| all.iter().map(|load| Some(Value::from(*load))).collect::<Vec<_>>();
        assert!(!is_apart(&values(&[0.1, 0.5]), 0.5));
        assert!(is_apart(&values(&[0.1, 0.5, 1.9]), 0.5));
        assert!(
            !is_apart(&[Some(Value::Null), None, Some(Value::from(3.0))], 0.5),
            "unknown values are not a difference"
        );
    }

    #[test]
    fn missing_values_are_ignored_and_nulls_differ() {
        let value = |text: &str| Some(Value::from(text));
        assert!(!is_unequal(&[value("a"), None, value("a")]));
        assert!(is_unequal(&[None, value("a"), value("b")]));
        assert!(is_unequal(&[Some(Value::Null), value("a")]), "an unknown machine is another one");
        assert!(!is_unequal(&[None, None]));
    }

    #[test]
    fn values_print_as_plain_text() {
        let values = vec![Value::Null, serde_json::json!(["a", "b"]), serde_json::json!(true), serde_json::json!("x")];
        let difference = Difference { field: "f".into(), values };
        assert_eq!([0, 1, 2, 3].map(|run| difference.shown(run)), ["not known", "a, b", "true", "x"]);
    }
}
