//! What a package takes from the command itself.

use std::fs;
use std::path::{Path, PathBuf};

use crate::real::{ended, host_peer};

#[test]
fn every_verb_has_a_man_page_with_its_examples() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let write = || ended(host_peer("unused".as_ref()).args(["man"]).arg(&pages));
    let (status, _, error) = write();
    assert_eq!((status, pages.exists()), (Some(1), false), "a folder is not created: {error}");
    assert!(error.contains("mkdir -p"), "{error}");
    fs::create_dir(&pages).unwrap();
    let (status, _, error) = write();
    assert_eq!(status, Some(0), "{error}");
    for name in ["", "-shell", "-list", "-ring", "-wait", "-read", "-write", "-check", "-bench"] {
        let page = fs::read_to_string(pages.join(format!("host-peer{name}.1"))).unwrap();
        assert!(page.contains(".TH "), "host-peer{name}.1");
        assert!(page.contains(".SH EXAMPLES\n.EX\n"), "host-peer{name}.1 keeps the lines of its examples");
    }
    assert!(!pages.join("host-peer-man.1").exists(), "what is hidden has no page");
    let client = fs::read_to_string(pages.join("ivshmem-client.1")).unwrap();
    assert!(client.contains(".SH EXAMPLES\n.EX\n"), "{client}");
    let ring = fs::read_to_string(pages.join("host-peer-ring.1")).unwrap();
    assert!(ring.contains("\\fB\\-\\-count\\fR \\fIN\\fR"), "the synopsis has the values of options: {ring}");
}

#[test]
fn every_shell_gets_completions_that_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let (status, out, error) = ended(host_peer("unused".as_ref()).args(["completions", shell]));
        assert_eq!(status, Some(0), "{error}");
        for verb in ["shell", "list", "ring", "wait", "read", "write", "check"] {
            assert!(out.contains(verb), "{shell}: {verb}");
        }
    }
}

/// The files of a folder of this crate.
fn sources(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn an_example_needs_no_crate_that_only_this_workspace_has() {
    let mut examples = 0;
    for path in [sources("examples"), sources("src"), sources("src/client")].concat() {
        let is_example = path.parent().unwrap().ends_with("examples");
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().map(str::trim_start) {
            let code = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! ")).unwrap_or(line);
            let is_shown = is_example || code.len() < line.len();
            examples += usize::from(is_shown && code.starts_with("use host_peer::"));
            assert!(!(is_shown && code.starts_with("use proto")), "{}: {line}", path.display());
        }
    }
    assert!(examples >= 6, "only {examples} uses of this crate were found to look at");
}
