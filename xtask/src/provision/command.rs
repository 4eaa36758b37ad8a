//! Runs other programs: what they say is captured and becomes part of the error.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use super::error::ProvisionError;

/// Lines of a failed program's messages that an error carries.
const TAIL: usize = 15;

/// Runs `command` to its end, without input unless it has one; a status other than 0 is an error that names `what` it was run for.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<Output, ProvisionError> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(output);
    }
    Err(ProvisionError::CommandFailed {
        what: what.to_owned(),
        command: shown(command),
        status: output.status,
        output: tail(&said(&output)),
    })
}

/// Runs `command` to its end, without input unless it has one, whatever its status.
pub(crate) fn output(command: &mut Command) -> Result<Output, ProvisionError> {
    command.output().map_err(spawn_error(command))
}

/// Runs `command` and hands each line of its standard output to `line` as it comes. `Err` within `Ok` holds what it said
/// on standard error, and means that it failed.
pub(crate) fn stream(command: &mut Command, line: &dyn Fn(&str)) -> Result<Result<(), String>, ProvisionError> {
    // Standard error goes to a file, not a pipe: nobody would read a second pipe while this one is read.
    let mut errors = tempfile::tempfile().map_err(ProvisionError::io("create", &std::env::temp_dir()))?;
    let copy = errors.try_clone().map_err(ProvisionError::io("clone", &std::env::temp_dir()))?;
    let mut child = command.stdout(Stdio::piped()).stderr(copy).spawn().map_err(spawn_error(command))?;
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).lines().map_while(Result::ok) {
            line(&text);
        }
    }
    let status = child.wait().map_err(spawn_error(command))?;
    if status.success() {
        return Ok(Ok(()));
    }
    let mut text = String::new();
    // Messages that are no UTF-8 are lost; the failure is not.
    let _ = std::io::Seek::rewind(&mut errors).and_then(|()| std::io::Read::read_to_string(&mut errors, &mut text));
    Ok(Err(tail(&text)))
}

/// Both streams of a finished program, errors last.
pub(crate) fn said(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

/// The last lines of `text`.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// The command line, for a person to read.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            if word.contains(char::is_whitespace) { format!("'{word}'") } else { word.into_owned() }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn spawn_error(command: &Command) -> impl FnOnce(std::io::Error) -> ProvisionError {
    let command = shown(command);
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
        assert_eq!(ended.unwrap(), Err("bad".to_owned()));
        assert_eq!(*seen.borrow(), ["one", "two"]);
    }

    #[test]
    fn the_tail_leaves_out_blank_lines_and_the_beginning() {
        let text = (0..40).map(|n| n.to_string()).collect::<Vec<_>>().join("\n\n");
        assert_eq!(tail(&text).lines().count(), TAIL);
        assert!(tail(&text).ends_with("39"));
    }
}
