//! Nobody reads what it says: a front door whose words are for nobody ends as it would otherwise.

use std::process::{Command, Stdio};

#[test]
fn a_stderr_that_was_closed_changes_no_exit_status() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["bench", "--size", "3", "--rate", "7"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    assert_eq!(command.status().unwrap().code(), Some(2));
}
