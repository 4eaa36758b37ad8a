//! Writing to stdout and stderr without a panic, which `println!` and `eprintln!` end in where the reader is gone or the
//! disk is full.

use std::io::{self, ErrorKind, Write};

use thiserror::Error;

/// Stdout takes no more, for instance because the disk is full.
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

/// Turns the outcome of a write into one for which a closed pipe is not an error.
pub fn ignore_closed_pipe(written: io::Result<()>) -> Result<(), OutputError> {
    match written.map_err(OutputError) {
        Err(error) if error.is_closed_pipe() => Ok(()),
        written => written,
    }
}

/// Writes text and flushes it. A closed pipe is an error as well, for programs that would go on otherwise.
pub fn print_to_reader(text: &str) -> Result<(), OutputError> {
    write(text).map_err(OutputError)
}

/// Writes a line to stderr. A failure is ignored: the exit status does not depend on who reads the reasons.
pub fn print_error(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
