//! Output to stdout and stderr without panics. `println!` and `eprintln!` panic if the reader has exited or the disk is full.

use std::io::{self, ErrorKind, Write};

use thiserror::Error;

/// A failed write to stdout, for example to a full disk.
#[derive(Debug, Error)]
#[error("cannot write to stdout")]
pub struct OutputError(#[source] pub(crate) io::Error);

impl OutputError {
    /// Whether the reader closed the pipe.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

/// Writes text and flushes it.
pub fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes text and flushes it. A reader that closed the pipe (`| head`) is not an error.
pub fn print(text: &str) -> Result<(), OutputError> {
    ignore_closed_pipe(write(text))
}

/// Converts the result of a write. A closed pipe is not an error.
pub fn ignore_closed_pipe(result: io::Result<()>) -> Result<(), OutputError> {
    match result.map_err(OutputError) {
        Err(error) if error.is_closed_pipe() => Ok(()),
        result => result,
    }
}

/// Writes text and flushes it. A closed pipe is an error, for programs that must end with their reader.
pub fn print_to_reader(text: &str) -> Result<(), OutputError> {
    write(text).map_err(OutputError)
}

/// Writes a line to stderr. Failures are ignored: they must not change the exit status.
pub fn print_error(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
