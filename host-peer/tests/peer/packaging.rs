//! Man pages and completions for packages.

use std::fs;

use crate::host_peer;
use test_support::run_to_end;

#[test]
fn every_command_has_a_man_page_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let write = || run_to_end(host_peer("unused".as_ref()).args(["man"]).arg(&pages));
    let (status, _, error) = write();
    assert_eq!((status, pages.exists()), (Some(1), false), "does not create a directory: {error}");
    assert!(error.contains("mkdir -p"), "{error}");
    fs::create_dir(&pages).unwrap();
    let (status, _, error) = write();
    assert_eq!(status, Some(0), "{error}");
    for name in ["", "-shell", "-list", "-ring", "-wait", "-read", "-write", "-check", "-bench"] {
        let page = fs::read_to_string(pages.join(format!("host-peer{name}.1"))).unwrap();
        assert!(page.contains(".TH "), "host-peer{name}.1");
        assert!(page.contains(".SH EXAMPLES\n.EX\n"), "host-peer{name}.1 keeps the lines of its examples");
    }
    assert!(!pages.join("host-peer-man.1").exists(), "hidden commands have no page");
    let client = fs::read_to_string(pages.join("ivshmem-client.1")).unwrap();
    assert!(client.contains(".SH EXAMPLES\n.EX\n"), "{client}");
    let ring = fs::read_to_string(pages.join("host-peer-ring.1")).unwrap();
    assert!(ring.contains("\\fB\\-\\-count\\fR \\fIN\\fR"), "the synopsis has option values: {ring}");
}

#[test]
fn completions_of_every_shell_have_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let (status, out, error) = run_to_end(host_peer("unused".as_ref()).args(["completions", shell]));
        assert_eq!(status, Some(0), "{error}");
        for verb in ["shell", "list", "ring", "wait", "read", "write", "check"] {
            assert!(out.contains(verb), "{shell}: {verb}");
        }
    }
}
