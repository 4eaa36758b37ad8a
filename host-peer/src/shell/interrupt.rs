//! Ctrl-C during a command ends the command, not the shell, which would lose its peer id. While a line is edited, the
//! editor handles Ctrl-C.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use anyhow::Context;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::pipe;

/// The command was ended by Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted;

/// Catches SIGINT until the process ends.
#[derive(Debug)]
pub(super) struct Interrupt {
    /// A byte for each signal. Non-blocking.
    signals: UnixStream,
}

impl Interrupt {
    /// Installs the handler.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let (signals, handler) = UnixStream::pair().context("cannot make a pair of sockets")?;
        signals.set_nonblocking(true).context("cannot make a socket non-blocking")?;
        pipe::register(SIGINT, handler).context("cannot catch signals")?;
        Ok(Self { signals })
    }

    /// Whether SIGINT arrived since the last call.
    pub(super) fn came(&self) -> bool {
        let mut came = false;
        loop {
            match (&self.signals).read(&mut [0; 64]) {
                Ok(0) => return came,
                Ok(_) => came = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return came,
            }
        }
    }

    /// Readable if SIGINT arrived.
    pub(super) fn ready(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_signals_once() {
        let interrupt = Interrupt::catch().unwrap();
        assert!(!interrupt.came());
        for _ in 0..2 {
            signal_hook::low_level::raise(SIGINT).unwrap();
        }
        assert!(interrupt.came());
        assert!(!interrupt.came());
    }
}
