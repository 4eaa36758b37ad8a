//! `read` and `write`: the shared memory as bytes.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};

use anyhow::Context;
use cli_common::output::ignore_closed_pipe;
use client::{Client, ClientError};

use super::UsageError;

/// Bytes per copy.
const CHUNK: u64 = 1 << 20;
/// Bytes per line of a hex dump. [`CHUNK`] is a multiple of it.
const LINE: usize = 16;

/// Writes bytes of the shared memory to stdout, raw or as a hex dump.
pub(crate) fn read(client: &Client, offset: u64, len: u64, as_hex: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if !as_hex && out.is_terminal() {
        return Err(
            UsageError("raw bytes can corrupt this terminal. Hint: add --hex, or redirect stdout".into()).into()
        );
    }
    let end = offset.checked_add(len).filter(|end| *end <= client.memory_size());
    let size = client.memory_size();
    let end = end.ok_or(ClientError::OutOfRange { offset, len: usize::try_from(len).unwrap_or(usize::MAX), size })?;
    let mut at = offset;
    while at < end {
        let count = (end - at).min(CHUNK);
        let mut bytes = vec![0; usize::try_from(count).context("the size exceeds the address space")?];
        client.read_at(at, &mut bytes)?;
        let written = if as_hex { out.write_all(hex_dump(at, &bytes).as_bytes()) } else { out.write_all(&bytes) };
        match written {
            // The reader closed the pipe.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot write to stdout")?,
        }
        at += count;
    }
    Ok(ignore_closed_pipe(out.flush())?)
}

/// Writes stdin to the shared memory; nothing if it does not fit.
pub(crate) fn write(client: &Client, offset: u64) -> anyhow::Result<()> {
    let room = client.memory_size().saturating_sub(offset);
    let mut bytes = Vec::new();
    // One more byte than fits shows that the input is too long.
    io::stdin().lock().take(room + 1).read_to_end(&mut bytes).context("cannot read stdin")?;
    client.write_at(offset, &bytes)?;
    Ok(())
}

/// Lines of sixteen bytes: offset, hexadecimal, text.
pub(crate) fn hex_dump(offset: u64, bytes: &[u8]) -> String {
    let mut dump = String::new();
    for (line, at) in bytes.chunks(LINE).zip((offset..).step_by(LINE)) {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            line.iter().map(|&byte| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '.' }).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(dump, "{at:08x}  {:<47}  {text}", hex.join(" "));
    }
    dump
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dump_has_offsets_bytes_and_text() {
        let dump = hex_dump(0x1000, b"0123456789abcdefg\0");
        let expected = "00001000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef\n\
                        00001010  67 00                                            g.\n";
        assert_eq!(dump, expected);
    }
}
