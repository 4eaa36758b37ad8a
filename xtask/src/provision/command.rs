//! Runs programs. The output of a failed program becomes part of the error.

use std::io::{BufRead, BufReader, Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

use crate::files::PathContext as _;
use crate::process::child::command_line;
use crate::provision::output_excerpt::excerpt_with_log;
use crate::workspace::cache_folder;

/// The directory for logs of failed programs, below the cache.
const LOGS: &str = "logs";

/// Runs `command` to its end. A non-zero exit status is an error that contains `what`, the purpose.
pub(crate) fn run(what: &str, command: &mut Command) -> anyhow::Result<Output> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(output);
    }
    let (status, shown) = (output.status, failed_output(command, &both_streams(&output)));
    bail!("{what}: `{}` ended with {status}:\n{shown}", command_line(command))
}

/// The excerpt of a failed program's output.
pub(crate) fn failed_output(command: &Command, output: &str) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    excerpt_with_log(output, &cache_folder().join(LOGS), &program.to_string_lossy())
}

/// Runs `command` to its end and returns its output, whatever its exit status.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<Output> {
    command.output().with_context(|| cannot_start(command))
}

/// Runs `command` and passes each line of its standard output to `line`. `Err` within `Ok` is the output of a failed command.
pub(crate) fn stream(command: &mut Command, line: &dyn Fn(&str)) -> anyhow::Result<Result<(), String>> {
    // Standard error goes to a file: a second pipe would need a second reader.
    let mut errors = tempfile::tempfile().at("create", &std::env::temp_dir())?;
    let copy = errors.try_clone().at("clone", &std::env::temp_dir())?;
    let mut child = command.stdout(Stdio::piped()).stderr(copy).spawn().with_context(|| cannot_start(command))?;
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        for read in BufReader::new(stdout).lines().map_while(Result::ok) {
            line(&read);
            text.push_str(&read);
            text.push('\n');
        }
    }
    let status = child.wait().with_context(|| cannot_start(command))?;
    if status.success() {
        return Ok(Ok(()));
    }
    let mut messages = Vec::new();
    // Best effort: the failure is reported without these messages.
    let _ = errors.rewind().and_then(|()| errors.read_to_end(&mut messages));
    text.push_str(&String::from_utf8_lossy(&messages));
    Ok(Err(failed_output(command, &text)))
}

/// Standard output and then standard error of a finished program.
pub(crate) fn both_streams(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

/// The message if a command cannot be started.
pub(crate) fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", command_line(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_contains_output_and_purpose_of_the_command() {
        let error = run("trying", Command::new("sh").args(["-c", "echo no luck >&2; exit 7"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("trying") && text.contains("no luck") && text.contains('7'), "{text}");
        assert!(!error.is::<crate::exit_status::Failure>(), "status 1");
    }

    #[test]
    fn streams_lines_and_keeps_errors() {
        let seen = std::cell::RefCell::new(Vec::new());
        let ended = stream(Command::new("sh").args(["-c", "echo one; echo two; echo bad >&2; exit 1"]), &|line| {
            seen.borrow_mut().push(line.to_owned());
        });
        assert_eq!(ended.unwrap().unwrap_err(), "one\ntwo\nbad");
        assert_eq!(*seen.borrow(), ["one", "two"]);
    }
}
