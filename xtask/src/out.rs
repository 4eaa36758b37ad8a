//! What goes to stdout and stderr. A reader that has seen enough closes them (`| head`), which is no failure; `println!` and
//! `eprintln!` would panic.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Prints as it stands.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    write(&mut io::stdout().lock(), text)
}

/// Prints with its colours on a terminal, and without them elsewhere.
pub(crate) fn print_styled(text: &str) -> anyhow::Result<()> {
    write(&mut anstream::stdout().lock(), text)
}

/// Says a line on stderr. Where nobody reads it, the work goes on: it is not done for the words about it.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The same without the end of the line, for a question.
pub(crate) fn ask(question: &str) {
    let _ = write!(io::stderr(), "{question}");
}

fn write(out: &mut impl Write, text: &str) -> anyhow::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        write(&mut ours, "read by nobody").unwrap();
        let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = write(&mut full, "too much").unwrap_err();
        assert!(format!("{error:#}").contains("cannot write to standard output"), "{error:#}");
    }
}
