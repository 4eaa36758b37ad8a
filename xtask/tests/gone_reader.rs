//! A closed stderr does not change the exit status.

use std::process::{Command, Stdio};

#[test]
fn closed_stderr_keeps_the_exit_status() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["bench", "--size", "3", "--rate", "7"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    assert_eq!(command.status().unwrap().code(), Some(2));
}
