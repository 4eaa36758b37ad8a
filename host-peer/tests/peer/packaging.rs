//! What a package takes from the command itself.

use std::fs;

use crate::real::{ended, host_peer};

#[test]
fn every_verb_has_a_man_page_with_its_examples() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let (status, _, error) = ended(host_peer("unused".as_ref()).args(["man"]).arg(&pages));
    assert_eq!(status, Some(0), "{error}");
    for name in ["", "-shell", "-list", "-ring", "-wait", "-read", "-write", "-check", "-bench"] {
        let page = fs::read_to_string(pages.join(format!("host-peer{name}.1"))).unwrap();
        assert!(page.contains(".TH "), "host-peer{name}.1");
        assert!(page.contains("Examples:"), "host-peer{name}.1");
    }
    assert!(!pages.join("host-peer-man.1").exists(), "what is hidden has no page");
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
