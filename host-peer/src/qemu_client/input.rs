//! Reads lines from stdin, in the same thread as doorbells and the server.

use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::stdio::stdin;

/// Command separators.
const SEPARATORS: [u8; 3] = *b"\n\r;";

/// Upper limit of bytes without a separator.
const MAX_LINE: usize = 1 << 16;

/// Buffered input.
#[derive(Debug, Default)]
pub(super) struct CommandInput {
    pending: Vec<u8>,
    has_ended: bool,
}

impl CommandInput {
    /// Whether stdin has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether no more input is read before the pending commands are taken: stdin has ended, or too many commands wait.
    pub(super) fn is_complete(&self) -> bool {
        self.has_ended || self.pending.len() > MAX_LINE
    }

    /// Reads available input. Blocks unless poll reported stdin as readable.
    pub(super) fn read(&mut self) -> anyhow::Result<()> {
        let mut bytes = [0; 4096];
        match read(stdin(), &mut bytes) {
            // Errno::IO: a terminal that hung up.
            Ok(0) | Err(Errno::IO) => self.has_ended = true,
            Ok(count) => self.pending.extend_from_slice(&bytes[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(errno).context("cannot read commands"),
        }
        if self.pending.len() > MAX_LINE && !self.pending.iter().any(|byte| SEPARATORS.contains(byte)) {
            self.pending.truncate(MAX_LINE);
        }
        Ok(())
    }

    /// Reads input for a limited time, to notice its end while no server is there.
    pub(super) fn read_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // At its end stdin is always readable.
            if self.is_complete() {
                std::thread::sleep(left);
                return Ok(());
            }
            let timeout = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)], timeout.as_ref()) {
                Ok(0) => return Ok(()),
                Ok(_) => self.read()?,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("cannot wait for commands"),
            }
        }
    }

    /// Removes and returns the complete commands; after the end of stdin also the last one without a separator. `None`
    /// if there is none.
    pub(super) fn take(&mut self) -> Option<Vec<String>> {
        let complete = match self.pending.iter().rposition(|byte| SEPARATORS.contains(byte)) {
            _ if self.has_ended => self.pending.len(),
            Some(last) => last + 1,
            None => 0,
        };
        let rest = self.pending.split_off(complete);
        let taken = std::mem::replace(&mut self.pending, rest);
        let lines = taken.split(|byte| SEPARATORS.contains(byte));
        (!taken.is_empty()).then(|| lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8], has_ended: bool) -> CommandInput {
        CommandInput { pending: bytes.into(), has_ended }
    }

    #[test]
    fn takes_a_command_after_its_separator() {
        let mut input = input(b"dump;int 0 1\r\nint", false);
        assert_eq!(input.take().unwrap(), ["dump", "int 0 1", "", ""]);
        assert_eq!((input.take(), input.pending.as_slice()), (None, &b"int"[..]));
        input.has_ended = true;
        assert_eq!(input.take().unwrap(), ["int"]);
        assert_eq!(input.take(), None);
    }

    #[test]
    fn takes_empty_lines_and_invalid_utf_8() {
        assert_eq!(input(b"\n", false).take().unwrap(), ["", ""]);
        assert_eq!(input(b"\xff\n", false).take().unwrap(), ["\u{fffd}", ""]);
    }

    #[test]
    fn input_is_complete_at_its_end_or_if_much_of_it_waits() {
        assert!(input(b"", true).is_complete() && input(b"dump", true).is_complete());
        assert!(!input(b"", false).is_complete() && !input(b"dump\n", false).is_complete());
        assert!(input(&b"dump\n".repeat(MAX_LINE), false).is_complete());
    }
}
