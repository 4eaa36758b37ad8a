//! Parses a command line. Failed output of `--help` and `--version` has an exit status as well.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::output::{ignore_closed_pipe, print_error};
use crate::{exit_status, output};

/// Parses this process's command line. After printing help or an error, returns the exit status.
///
/// Unlike [`Parser::parse`], help that cannot be written (`--help >/dev/full`) is status 1, not 0.
pub fn parse<T: Parser>() -> Result<T, ExitCode> {
    parse_from(std::env::args_os())
}

/// Parses a command line that begins with the program's name.
pub fn parse_from<T: Parser>(words: impl IntoIterator<Item = OsString>) -> Result<T, ExitCode> {
    T::try_parse_from(words).map_err(|error| {
        let result = error.print();
        ExitCode::from(if error.use_stderr() { exit_status::USAGE } else { help_status(result) })
    })
}

fn help_status(result: io::Result<()>) -> u8 {
    // Flush, because clap's buffered output may still hold the last line.
    match ignore_closed_pipe(result.and_then(|()| output::write(""))) {
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
        assert_eq!(help_status(Ok(())), 0);
        assert_eq!(help_status(Err(io::ErrorKind::BrokenPipe.into())), 0);
        assert_eq!(help_status(Err(io::ErrorKind::StorageFull.into())), exit_status::FAILED);
    }
}
