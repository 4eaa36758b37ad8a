//! `cargo xtask vm`: a guest with a shell, and its memory on the host.

use std::thread;
use std::time::Duration;

use crate::support::assert_no_file;
use crate::support::terminal::Terminal;

#[test]
#[ignore = "starts a guest"]
fn doorbell_guest_has_a_shell_and_shared_memory() {
    let mut terminal = Terminal::open("vm --mode doorbell --accel tcg");
    let hint = terminal.expect("read the memory:");
    let words: Vec<&str> = hint.split_whitespace().skip_while(|word| !word.contains("host-peer")).collect();
    let host_peer = |verb: &[&str]| {
        let output = std::process::Command::new(words[0]).args(&words[1..3]).args(verb).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    terminal.expect("guest is up");
    terminal.type_line("guest-uio probe");
    terminal.expect("memory, doorbell and interrupts can be used");

    terminal.type_line("echo from the guest | guest-uio write 4096; echo written $((40+2))");
    terminal.expect("written 42");
    assert_eq!(host_peer(&["read", "4096", "14"]), b"from the guest");

    terminal.type_line("echo waiting $((40+2)); guest-uio wait --count 1 --timeout 60s; echo status $?");
    terminal.expect("waiting 42");
    thread::sleep(Duration::from_secs(1));
    host_peer(&["ring", "0", "0"]);
    terminal.expect("status 0");

    assert_eq!(terminal.end(), Some(0));
    assert_no_file(std::path::Path::new(words[2]));
}

#[test]
#[ignore = "starts a guest"]
fn plain_guest_shares_a_file_until_its_end() {
    let mut terminal = Terminal::open("vm --mode plain --accel tcg");
    let hint = terminal.expect("read the memory:");
    let file = hint.split_whitespace().find(|word| word.starts_with("/dev/shm/")).unwrap().to_owned();
    terminal.expect("guest is up");
    terminal.type_line("guest-uio probe");
    terminal.expect("there are no doorbells");
    terminal.type_line("echo from the guest | guest-uio write 0; echo written $((40+2))");
    terminal.expect("written 42");
    assert_eq!(&std::fs::read(&file).unwrap()[..14], b"from the guest");
    assert_eq!(terminal.end(), Some(0));
    assert_no_file(std::path::Path::new(&file));
}
