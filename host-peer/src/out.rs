//! What goes to stdout and stderr. `println!` and `eprintln!` panic where nobody reads any more, or the disk is full.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Writes text at once.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes text; that whoever reads it has seen enough and gone is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    forgive_gone_reader(write(text))
}

/// An outcome of writing, for which a reader that is gone is no failure.
pub(crate) fn forgive_gone_reader(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// Writes a line to stderr. Where that cannot be done there is nobody to tell, and the exit status says it all the same.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
