//! Runs other programs: their output is captured and becomes part of the error.

use std::io::{BufRead, BufReader, Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::process::child::command_line;
use crate::provision::error::ProvisionError;
use crate::provision::output_excerpt::FailedOutput;
use crate::workspace::cache_folder;

/// The folder of the logs of failed programs, below the cache.
const LOGS: &str = "logs";

/// Runs `command` to its end, without input unless it has one; a status other than 0 is an error that names `what` it was
/// run for.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<Output, ProvisionError> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(output);
    }
    Err(ProvisionError::CommandFailed {
        what: what.to_owned(),
        command: command_line(command),
        status: output.status,
        output: failed_output(command, &both_streams(&output)),
    })
}

/// What an error shows of the output of a failed program.
pub(crate) fn failed_output(command: &Command, output: &str) -> FailedOutput {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    FailedOutput::new(output, &cache_folder().join(LOGS), &program.to_string_lossy())
}

/// Runs `command` to its end, without input unless it has one, whatever its status.
pub(crate) fn output(command: &mut Command) -> Result<Output, ProvisionError> {
    command.output().map_err(spawn_error(command))
}

/// Runs `command` and hands each line of its standard output to `line` as it comes. `Err` within `Ok` means that the
/// command failed, and holds its output.
pub(crate) fn stream(command: &mut Command, line: &dyn Fn(&str)) -> Result<Result<(), FailedOutput>, ProvisionError> {
    // Standard error goes to a file: a second pipe would have to be read at the same time.
    let mut errors = tempfile::tempfile().map_err(ProvisionError::io("create", &std::env::temp_dir()))?;
    let copy = errors.try_clone().map_err(ProvisionError::io("clone", &std::env::temp_dir()))?;
    let mut child = command.stdout(Stdio::piped()).stderr(copy).spawn().map_err(spawn_error(command))?;
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        for read in BufReader::new(stdout).lines().map_while(Result::ok) {
            line(&read);
            text.push_str(&read);
            text.push('\n');
        }
    }
    let status = child.wait().map_err(spawn_error(command))?;
    if status.success() {
        return Ok(Ok(()));
    }
    let mut messages = Vec::new();
    // Messages that cannot be read back are lost; the failure is not.
    let _ = errors.rewind().and_then(|()| errors.read_to_end(&mut messages));
    text.push_str(&String::from_utf8_lossy(&messages));
    Ok(Err(failed_output(command, &text)))
}

/// Both streams of a finished program, errors last.
pub(crate) fn both_streams(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

fn spawn_error(command: &Command) -> impl FnOnce(std::io::Error) -> ProvisionError {
    let command = command_line(command);
    move |source| ProvisionError::Spawn { command, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_reported_with_its_words_and_its_purpose() {
        let error = run("trying", Command::new("sh").args(["-c", "echo no luck >&2; exit 7"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("trying") && text.contains("no luck") && text.contains('7'), "{text}");
        assert_eq!(error.exit_status(), 1);
    }

    #[test]
    fn lines_are_streamed_and_errors_kept() {
        let seen = std::cell::RefCell::new(Vec::new());
        let ended = stream(Command::new("sh").args(["-c", "echo one; echo two; echo bad >&2; exit 1"]), &|line| {
            seen.borrow_mut().push(line.to_owned());
        });
        assert_eq!(ended.unwrap().unwrap_err().to_string(), "one\ntwo\nbad");
        assert_eq!(*seen.borrow(), ["one", "two"]);
    }
}
