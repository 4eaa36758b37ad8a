//! Ctrl-C and SIGTERM: recorded, not obeyed at once, so that every child is ended and every socket removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The signal that asked this process to stop; 0: none.
#[derive(Debug, Clone)]
pub(crate) struct StopFlag(Arc<AtomicUsize>);

/// A signal asked this process to stop.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal ({}); everything that was started has been ended", name(*signal))]
pub(crate) struct Cancelled {
    signal: usize,
}

impl Cancelled {
    /// As a shell reports a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM.
    pub(crate) fn exit_status(&self) -> u8 {
        u8::try_from(128 + self.signal).unwrap_or(u8::MAX)
    }
}

fn name(signal: usize) -> &'static str {
    match i32::try_from(signal) {
        Ok(SIGINT) => "Ctrl-C",
        Ok(SIGTERM) => "SIGTERM",
        Ok(SIGHUP) => "SIGHUP",
        _ => "unknown",
    }
}

impl StopFlag {
    /// From now on, SIGINT, SIGTERM and SIGHUP only set a flag.
    pub(crate) fn install() -> std::io::Result<Self> {
        let stop = Self(Arc::default());
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_usize(signal, Arc::clone(&stop.0), usize::try_from(signal).unwrap_or(0))?;
        }
        Ok(stop)
    }

    /// One that no signal sets.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        Self(Arc::default())
    }

    /// An error once a signal has arrived.
    pub(crate) fn check(&self) -> Result<(), Cancelled> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Cancelled { signal }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_command_ends_as_a_shell_reports_it() {
        for (signal, status, named) in [(SIGINT, 130, "Ctrl-C"), (SIGTERM, 143, "SIGTERM"), (SIGHUP, 129, "SIGHUP")] {
            let stop = StopFlag::never();
            stop.check().unwrap();
            stop.0.store(usize::try_from(signal).unwrap(), Ordering::Relaxed);
            let cancelled = stop.check().unwrap_err();
            assert_eq!(cancelled.exit_status(), status);
            assert!(cancelled.to_string().contains(named), "{cancelled}");
        }
    }
}
