//! Child processes: `child` ties them to this process, `captured_output` keeps their stderr.

use std::process::{Command, Stdio};

pub(crate) mod captured_output;
pub(crate) mod child;

/// The first line that a program prints; `None` if it cannot be run, fails or prints nothing.
pub(crate) fn output_line(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let line = String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
