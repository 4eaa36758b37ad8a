//! Validates documents against the committed schema, independently of the Rust types.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::synthetic::Synthetic;

const SCHEMA: &str = include_str!("../../../../docs/result.schema.json");

static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    jsonschema::draft202012::new(&schema).expect("the schema is one")
});

/// The document's violations of the schema, each with its location.
pub(crate) fn violations(document: &Value) -> Vec<String> {
    VALIDATOR.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn document() -> Value {
    serde_json::to_value(Synthetic::both_modes().with_storm(100).with_stream(64, 50).result()).expect("JSON")
}

#[test]
fn schema_names_its_dialect() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(jsonschema::meta::is_valid(&schema));
}

#[test]
fn results_conform_to_the_schema() {
    assert_eq!(violations(&document()), [""; 0]);
    assert_eq!(violations(&serde_json::to_value(Synthetic::empty().result()).expect("JSON")), [""; 0]);
}

#[test]
fn missing_field_violates_the_schema() {
    for (object, field) in [
        ("", "schema_version"),
        ("", "cells"),
        ("/environment", "accel"),
        ("/cells/0", "latency_ns"),
        ("/cells/0/latency_ns", "p50"),
        ("/cells/0/counters", "rings"),
        ("/self_checks/0", "pass"),
        ("/comparisons/0", "word"),
    ] {
        let mut broken = document();
        let fields = broken.pointer_mut(object).and_then(Value::as_object_mut).expect("an object");
        fields.remove(field).expect("the field is there");
        let found = violations(&broken);
        assert!(found.iter().any(|violation| violation.contains(field)), "{object}/{field}: {found:?}");
    }
}

#[test]
fn wrong_type_violates_the_schema() {
    for (place, value) in [
        ("/schema_version", json!("1")),
        ("/cells/0/n", json!(-1)),
        ("/cells/0/n", json!(1.5)),
        ("/cells/0/mode", json!(7)),
        ("/cells/0/workload", json!("tennis")),
        ("/cells/0/latency_ns/p50", json!("fast")),
        ("/cells/0/failures", json!([])),
        ("/cells/0/conditions", json!({"arrivals": "never"})),
        ("/self_checks/0/pass", json!("yes")),
        ("/comparisons/0/word", json!("better")),
        ("/environment/cores", json!(null)),
        ("/warnings", json!({})),
    ] {
        let mut broken = document();
        *broken.pointer_mut(place).unwrap_or_else(|| panic!("{place} is there")) = value.clone();
        let found = violations(&broken);
        // The validator reports the field, a field within it, or, for a choice of types, the enclosing object.
        let is_there = |violation: &String| {
            violation
                .split_once(':')
                .is_some_and(|(at, _)| !at.is_empty() && (place.starts_with(at) || at.starts_with(place)))
        };
        assert!(found.iter().any(is_there), "{place} = {value}: {found:?}");
    }
}
