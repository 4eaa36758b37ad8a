//! Parsing a command line, with exit statuses also for `--help` and `--version`.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::output::{ignore_closed_pipe, print_error};
use crate::{exit_status, output};

/// Parses this process's command line; otherwise the status to exit with, after help or an error was printed.
///
/// In contrast to [`Parser::parse`], help that cannot be written (`--help >/dev/full`) is status 1, and not 0.
pub fn parse<T: Parser>() -> Result<T, ExitCode> {
    parse_from(std::env::args_os())
}

/// Parses a command line, the program's name first.
pub fn parse_from<T: Parser>(words: impl IntoIterator<Item = OsString>) -> Result<T, ExitCode> {
    T::try_parse_from(words).map_err(|error| {
        let printed = error.print();
        ExitCode::from(if error.use_stderr() { exit_status::USAGE } else { status_of_help(printed) })
    })
}

fn status_of_help(printed: io::Result<()>) -> u8 {
    // clap writes through a buffer that may hold the last line.
    match ignore_closed_pipe(printed.and_then(|()| output::write(""))) {
        Ok(()) => 0,
        Err(error) => {
            print_error(&format!("{error}: {}", error.0));
            exit_status::FAILED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwritable_help_fails_unless_the_reader_left() {
        assert_eq!(status_of_help(Ok(())), 0);
        assert_eq!(status_of_help(Err(io::ErrorKind::BrokenPipe.into())), 0);
        assert_eq!(status_of_help(Err(io::ErrorKind::StorageFull.into())), exit_status::FAILED);
    }
}
