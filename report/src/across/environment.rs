//! In what runs differ beside their figures: what executed the guest, on which machine, by which programs, and what was
//! asked for.

use serde::Serialize;
use serde_json::Value;

use super::folder::RunFolder;

/// Of the environment, what changes figures. In this order, the weightiest first.
const MATTERS: [&str; 37] = [
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
    "host_kernel",
    "host_command_line",
    "host_clocksource",
    "qemu_version",
    "guest_kernel",
    "guest_command_line",
    "guest_cpus",
    "clocksource",
    "driver",
    "bar2_map",
    "pinning",
    "vectors",
    "memory_bytes",
    "build_profile",
    "rustc_version",
];

/// Never the same in two runs: told only where they lie apart by more than this.
const LOAD: [(&str, f64); 3] = [("load_average", 0.5), ("steal_percent", 1.0), ("guest_steal_percent", 1.0)];

/// Of the configuration, what the environment says already, as it came out in the end.
const TOLD_BY_ENVIRONMENT: [&str; 7] =
    ["driver", "driver_reason", "bar2_map", "pinning", "vectors", "smp", "size_bytes"];

/// Something that is not the same in all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The name of the field in `environment`, or `config.` and its name there.
    pub field: String,
    /// Its value in each run, in their order; `null`: not known.
    pub values: Vec<Value>,
}

/// What differs; empty where nothing that matters does.
pub(super) fn differences(runs: &[RunFolder]) -> Vec<Difference> {
    let environments: Vec<Value> =
        runs.iter().map(|run| serde_json::to_value(&run.result.environment).unwrap_or_default()).collect();
    let configs: Vec<&Value> = runs.iter().map(|run| &run.result.config).collect();
    let of_environment = MATTERS.iter().chain(["git_revision"].iter()).filter_map(|field| {
        let values: Vec<Value> = environments.iter().map(|environment| environment[*field].clone()).collect();
        is_unequal(&values).then(|| Difference { field: (*field).to_owned(), values })
    });
    let of_load = LOAD.iter().filter_map(|&(field, apart)| {
        let values: Vec<Value> = environments.iter().map(|environment| environment[field].clone()).collect();
        is_apart(&values, apart).then(|| Difference { field: field.to_owned(), values })
    });
    let mut keys: Vec<&String> =
        configs.iter().filter_map(|config| config.as_object()).flat_map(|o| o.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let of_config = keys.into_iter().filter(|key| !TOLD_BY_ENVIRONMENT.contains(&key.as_str())).filter_map(|key| {
        let values: Vec<Value> = configs.iter().map(|config| config[key.as_str()].clone()).collect();
        is_unequal(&values).then(|| Difference { field: format!("config.{key}"), values })
    });
    of_environment.chain(of_load).chain(of_config).collect()
}

fn is_unequal(values: &[Value]) -> bool {
    values.windows(2).any(|pair| pair[0] != pair[1])
}

fn is_apart(values: &[Value], apart: f64) -> bool {
    let known: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
    let least = known.iter().copied().fold(f64::INFINITY, f64::min);
    let most = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most - least > apart
}

impl Difference {
    /// One run's value in words.
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
    use crate::environment::Environment;

    #[test]
    fn every_field_that_matters_exists() {
        let known = serde_json::to_value(Environment::default()).expect("JSON");
        for field in MATTERS.iter().chain(LOAD.iter().map(|(field, _)| field)) {
            assert!(known.get(field).is_some(), "{field}");
        }
    }

    #[test]
    fn loads_are_told_only_where_they_lie_apart() {
        let values = |all: &[f64]| all.iter().map(|load| Value::from(*load)).collect::<Vec<_>>();
        assert!(!is_apart(&values(&[0.1, 0.5]), 0.5));
        assert!(is_apart(&values(&[0.1, 0.5, 1.9]), 0.5));
        assert!(!is_apart(&[Value::Null, Value::from(3.0)], 0.5), "what is not known is not apart");
    }

    #[test]
    fn values_are_words() {
        let values = vec![Value::Null, serde_json::json!(["a", "b"]), serde_json::json!(true), serde_json::json!("x")];
        let difference = Difference { field: "f".into(), values };
        assert_eq!([0, 1, 2, 3].map(|run| difference.shown(run)), ["not known", "a, b", "true", "x"]);
    }
}
