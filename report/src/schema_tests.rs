//! Generates the schema of `result.json` (JSON Schema 2020-12) from its types. Other programs rely on the committed
//! file, so a test below compares it with the generated one.

use std::path::Path;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::result::RunResult;

/// Path of the committed schema.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/result.schema.json");

/// Environment variable: if set, the test writes the file.
const UPDATE: &str = "UPDATE_SCHEMA";

fn generated() -> String {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<RunResult>().to_value();
    schema["title"] = "result.json of ivshmem-doorbell".into();
    as_prose(&mut schema);
    serde_json::to_string_pretty(&schema).expect("a value is JSON") + "\n"
}

/// Descriptions come from doc comments. Line breaks and links are removed.
fn as_prose(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                let linked = text.lines().filter(|line| !line.contains("`]: ")).collect::<Vec<_>>().join(" ");
                *text = linked.replace("[`", "`").replace("`]", "`").trim().to_owned();
            }
            fields.values_mut().for_each(as_prose);
        }
        Value::Array(all) => all.iter_mut().for_each(as_prose),
        _ => {}
    }
}

#[test]
fn committed_schema_matches_the_types() {
    let generated = generated();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(Path::new(FILE), &generated).expect("docs can be written");
    }
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/result.schema.json is not the schema of these types; see that no reader breaks (or raise \
         SCHEMA_VERSION), and write it by {UPDATE}=1 cargo test -p report committed_schema"
    );
}

#[test]
fn every_field_is_described() {
    fn undescribed(value: &Value, path: &str, found: &mut Vec<String>) {
        if let Some(properties) = value["properties"].as_object() {
            for (name, field) in properties {
                if field["description"].as_str().is_none_or(str::is_empty) {
                    found.push(format!("{path}.{name}"));
                }
            }
        }
        for (name, definition) in value["$defs"].as_object().into_iter().flatten() {
            undescribed(definition, name, found);
        }
    }
    let mut found = Vec::new();
    undescribed(&serde_json::from_str(&generated()).expect("JSON"), "result", &mut found);
    assert_eq!(found, [""; 0]);
}
