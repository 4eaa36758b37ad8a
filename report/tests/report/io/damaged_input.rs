//! Damaged folders: they cause a clear error or a result, and never a panic, a hang or high memory usage.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::LazyLock;

use bench_model::{WaitMode, Workload};
use proptest::prelude::*;
use report::ReportError;
use report::evaluate::compare_runs::{RunFolder, compare};
use report::io::read::read_result;
use report::render::compare_runs::text;
use tempfile::TempDir;

use crate::run::{folder, rendered};
use crate::synthetic::Synthetic;

const FILES: [&str; 3] = ["measured.json", "samples.csv", "result.json"];

fn small() -> Synthetic {
    Synthetic::empty()
        .with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 12)
        .with(Workload::Frame, WaitMode::Irq, WaitMode::Irq, 4096, 3)
        .with_storm(20)
        .with_stream(64, 10)
}

/// The files of the same folder each time, rendered once. Without plots.
static RENDERED_FILES: LazyLock<Vec<(OsString, Vec<u8>)>> = LazyLock::new(|| {
    let dir = folder(&small());
    rendered(dir.path()).expect("rendered");
    let entries = fs::read_dir(dir.path()).expect("listed").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.path().is_file());
    files.map(|entry| (entry.file_name(), fs::read(entry.path()).expect("read"))).collect()
});

fn rendered_folder() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, content) in &*RENDERED_FILES {
        fs::write(dir.path().join(name), content).expect("written");
    }
    dir
}

/// The error with its causes.
fn with_causes(error: &dyn Error) -> String {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.join(": ")
}

fn error_after(spoil: impl FnOnce(&Path)) -> String {
    let dir = rendered_folder();
    spoil(dir.path());
    with_causes(&RunFolder::open(dir.path()).expect_err("spoiled"))
}

#[test]
fn non_regular_input_files_are_refused() {
    for name in FILES {
        let in_the_way = error_after(|dir| {
            fs::remove_file(dir.join(name)).expect("removed");
            fs::create_dir(dir.join(name)).expect("made");
        });
        assert!(in_the_way.contains(&format!("{name} is not a regular file")), "{in_the_way}");
        let endless = error_after(|dir| {
            fs::remove_file(dir.join(name)).expect("removed");
            symlink("/dev/zero", dir.join(name)).expect("linked");
        });
        assert!(endless.contains(&format!("{name} is not a regular file")), "{endless}");
    }
}

#[test]
fn pipe_without_a_writer_does_not_hang() {
    let named = error_after(|dir| {
        fs::remove_file(dir.join("samples.csv")).expect("removed");
        let made = std::process::Command::new("mkfifo").arg(dir.join("samples.csv")).status().expect("mkfifo runs");
        assert!(made.success());
    });
    assert!(named.contains("samples.csv is not a regular file"), "{named}");
}

#[test]
fn links_to_files_are_followed() {
    let (dir, elsewhere) = (rendered_folder(), tempfile::tempdir().expect("a directory"));
    for name in FILES {
        fs::rename(dir.path().join(name), elsewhere.path().join(name))
            .or_else(|_| fs::copy(dir.path().join(name), elsewhere.path().join(name)).map(drop))
            .expect("moved");
        let _ = fs::remove_file(dir.path().join(name));
        symlink(elsewhere.path().join(name), dir.path().join(name)).expect("linked");
    }
    assert!(RunFolder::open(dir.path()).is_ok());
}

#[test]
fn ten_gigabyte_files_are_refused() {
    for name in FILES {
        // A sparse file, which occupies no disk space.
        let large = error_after(|dir| {
            File::options().write(true).open(dir.join(name)).and_then(|file| file.set_len(10 << 30)).expect("grown");
        });
        assert!(large.contains(name) && large.contains("10737418240 bytes"), "{large}");
    }
}

#[test]
fn overlong_lines_are_refused_at_any_position() {
    let spoiled = |at_end: bool| {
        error_after(|dir| {
            let path = dir.join("samples.csv");
            let text = fs::read_to_string(&path).expect("there");
            let long = "x".repeat(5 << 20);
            let (header, rows) = text.split_once('\n').expect("a header");
            let text = if at_end { format!("{text}{long}") } else { format!("{header}\n{long}\n{rows}") };
            fs::write(&path, text).expect("written");
        })
    };
    let middle = spoiled(false);
    assert!(middle.contains("samples.csv") && middle.contains("line 2 is longer"), "{middle}");
    let end = spoiled(true);
    assert!(end.contains("samples.csv") && end.contains("the last line is longer"), "{end}");
}

#[test]
fn invalid_numbers_are_named_with_their_line() {
    for nonsense in ["NaN", "inf", "-5", "1e3", "99999999999999999999999", "x10", "\"7\"", " "] {
        let row = error_after(|dir| {
            let path = dir.join("samples.csv");
            let text = fs::read_to_string(&path).expect("there");
            let mut all: Vec<String> = text.lines().map(str::to_owned).collect();
            let mut fields: Vec<&str> = all[3].split(',').collect();
            fields[6] = nonsense;
            all[3] = fields.join(",");
            fs::write(&path, all.join("\n") + "\n").expect("written");
        });
        assert!(row.contains("samples.csv, line 4"), "{nonsense}: {row}");
        assert!(row.contains("run again"), "{nonsense}: {row}");
    }
    for nonsense in ["NaN", "Infinity", "-1", "1e999", "\"x\"", "[[[["] {
        for (name, field) in [("measured.json", "memory_bytes"), ("result.json", "memory_bytes")] {
            let document = error_after(|dir| {
                let path = dir.join(name);
                let text = fs::read_to_string(&path).expect("there").replacen('\n', "\n\n", 1);
                let start = text.find(&format!("\"{field}\"")).expect("the field") + field.len() + 3;
                let length = text[start..].find([',', '\n']).expect("its end");
                fs::write(&path, format!("{} {nonsense}{}", &text[..start], &text[start + length..])).expect("written");
            });
            assert!(document.contains(&format!("{name}, line ")), "{nonsense}: {document}");
        }
    }
}

#[test]
fn columns_may_have_any_order_but_must_exist() {
    let dir = rendered_folder();
    let path = dir.path().join("samples.csv");
    let text = fs::read_to_string(&path).expect("there");
    let reversed = |line: &str| line.split(',').rev().collect::<Vec<_>>().join(",");
    let original = RunFolder::open(dir.path()).expect("a run");
    fs::write(&path, text.lines().map(reversed).collect::<Vec<_>>().join("\n") + "\n").expect("written");
    assert_eq!(RunFolder::open(dir.path()).expect("a run").run.rows(), original.run.rows());

    // One column less in the header and in every line. Without a check of the header, its values would be missing
    // silently.
    let place = text.lines().next().expect("a header").split(',').position(|name| name == "rtt_ns").expect("there");
    let without = |line: &str| {
        let mut fields: Vec<&str> = line.split(',').collect();
        fields.remove(place);
        fields.join(",")
    };
    fs::write(&path, text.lines().map(without).collect::<Vec<_>>().join("\n") + "\n").expect("written");
    let missing = with_causes(&RunFolder::open(dir.path()).expect_err("a column less"));
    assert!(
        missing.contains("samples.csv, line 1") && missing.contains("missing columns in the header: rtt_ns"),
        "{missing}"
    );
    fs::write(&path, text.split_once('\n').expect("a header").1).expect("written");
    let headless = with_causes(&RunFolder::open(dir.path()).expect_err("no header"));
    assert!(headless.contains("missing columns in the header: block, workload"), "{headless}");
}

#[test]
fn binary_data_is_an_error_with_the_file_name() {
    for name in FILES {
        let junk = error_after(|dir| {
            let bytes: Vec<u8> = (0..4_000_u32).map(|index| (index * 193 % 251) as u8).collect();
            fs::write(dir.join(name), bytes).expect("written");
        });
        assert!(junk.contains(name), "{junk}");
    }
}

#[test]
fn unknown_names_are_refused_with_their_line() {
    let row = error_after(|dir| {
        let path = dir.join("samples.csv");
        let text = fs::read_to_string(&path).expect("there").replacen("pingpong", "<script>", 1);
        fs::write(&path, text).expect("written");
    });
    assert!(row.contains("samples.csv, line 2") && row.contains("unknown variant"), "{row}");
    let block = error_after(|dir| {
        let path = dir.join("measured.json");
        let text = fs::read_to_string(&path).expect("there").replacen("\"poll\"", "\"doze\"", 1);
        fs::write(&path, text).expect("written");
    });
    assert!(block.contains("measured.json, line 1") && block.contains("doze"), "{block}");
}

#[test]
fn duplicate_block_indices_are_refused() {
    let mut run = small();
    run.block(1).block.index = 0;
    let dir = folder(&run);
    let error = rendered(dir.path()).expect_err("twice");
    assert!(matches!(error, ReportError::SameBlock { index: 0, .. }), "{error}");
}

#[test]
fn other_schema_versions_are_refused_with_a_hint() {
    let with_version = |version: &str| {
        error_after(|dir| {
            let path = dir.join("result.json");
            let text = fs::read_to_string(&path).expect("there");
            fs::write(&path, text.replace("\"schema_version\": 1", &format!("\"schema_version\": {version}")))
                .expect("written");
        })
    };
    let newer = with_version("2");
    assert!(newer.contains("schema version 2") && newer.contains("update this program"), "{newer}");
    let older = with_version("0");
    assert!(older.contains("schema version 0") && older.contains("use that one"), "{older}");
    assert!(with_version("\"one\"").contains("result.json, line"));
    assert!(with_version("-1").contains("result.json, line"));
}

#[test]
fn document_without_later_fields_is_readable() {
    let dir = rendered_folder();
    let path = dir.path().join("result.json");
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("there")).expect("JSON");
    for later in ["findings", "ceilings", "overhead"] {
        document.as_object_mut().expect("an object").remove(later).expect("it is there");
    }
    fs::write(&path, document.to_string()).expect("written");
    assert!(read_result(dir.path()).expect("reads").ceilings.is_empty());
}

/// A change of a file, at a relative position from 0 to 1.
#[derive(Debug, Clone)]
enum Spoil {
    Cut(f64),
    Flip(f64, u8),
    Insert(f64, &'static str),
    Replace(f64, &'static str),
    DropLine(f64),
    RepeatLine(f64),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let words = prop::sample::select(vec![
        "-1",
        "NaN",
        "1e999",
        "18446744073709551615",
        "9223372036854775807",
        "1e308",
        "0",
        "null",
        "\"",
        "\n",
        ",",
        "}",
        "[",
        "<script>alert(1)</script>",
        "\u{1b}[2J",
        "\u{0}",
        "true",
        "4294967295",
    ]);
    prop_oneof![
        (0.0..1.0).prop_map(Spoil::Cut),
        (0.0..1.0, any::<u8>()).prop_map(|(place, bits)| Spoil::Flip(place, bits)),
        (0.0..1.0, words.clone()).prop_map(|(place, word)| Spoil::Insert(place, word)),
        (0.0..1.0, words).prop_map(|(place, word)| Spoil::Replace(place, word)),
        (0.0..1.0).prop_map(Spoil::DropLine),
        (0.0..1.0).prop_map(Spoil::RepeatLine),
    ]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a small file")]
fn spoiled(mut bytes: Vec<u8>, spoil: &Spoil) -> Vec<u8> {
    let at = |place: f64, length: usize| ((place * length as f64) as usize).min(length.saturating_sub(1));
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    match *spoil {
        Spoil::Cut(place) => bytes.truncate(at(place, bytes.len())),
        Spoil::Flip(place, bits) => {
            let place = at(place, bytes.len());
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= bits;
            }
        }
        Spoil::Insert(place, word) => {
            let place = at(place, bytes.len());
            bytes.splice(place..place, word.bytes());
        }
        // Replaces whole numbers. The rest stays valid, so these changes pass the most checks.
        Spoil::Replace(place, word) => {
            let from = at(place, bytes.len());
            if let Some(start) = bytes[from..].iter().position(is_digit).map(|start| from + start) {
                let end = bytes[start..].iter().position(|byte| !is_digit(byte)).map_or(bytes.len(), |end| start + end);
                bytes.splice(start..end, word.bytes());
            }
        }
        Spoil::DropLine(place) | Spoil::RepeatLine(place) => {
            let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
            let place = at(place, lines.len());
            let times = if matches!(spoil, Spoil::DropLine(_)) { 0 } else { 2 };
            let kept =
                lines.iter().enumerate().flat_map(|(index, line)| vec![*line; if index == place { times } else { 1 }]);
            bytes = kept.collect::<Vec<_>>().concat();
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_directory_is_processed_or_refused(file in 0..3_usize, spoils in prop::collection::vec(spoil(), 1..4)) {
        let (base, dir) = (rendered_folder(), rendered_folder());
        let path = dir.path().join(FILES[file]);
        let bytes = spoils.iter().fold(fs::read(&path).expect("there"), spoiled);
        fs::write(&path, bytes).expect("written");

        match (RunFolder::open(base.path()), RunFolder::open(dir.path())) {
            (Ok(base), Ok(this)) => {
                let shown = text(&compare(&[base, this], None));
                let is_safe = shown.chars().all(|c| c == '\n' || !c.is_control());
                prop_assert!(is_safe, "{shown:?}");
            }
            (Ok(_), Err(error)) => prop_assert!(with_causes(&error).contains(FILES[file]), "{}", with_causes(&error)),
            (Err(error), _) => prop_assert!(false, "{}", with_causes(&error)),
        }
        // A rendered document can be read again, and conforms to the schema.
        if rendered(dir.path()).is_ok() {
            read_result(dir.path()).expect("its own document");
        }
    }
}
