//! Records Ctrl-C and SIGTERM in a flag. The process checks it, ends its children and removes its sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The signal that arrived, or 0.
#[derive(Debug, Clone)]
pub(crate) struct StopFlag(Arc<AtomicUsize>);

/// A signal arrived.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal ({}); all started processes have ended", name(*signal))]
pub(crate) struct Cancelled {
    signal: usize,
}

impl Cancelled {
    /// The shell's convention: 130 for Ctrl-C, 143 for SIGTERM.
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
    /// Installs handlers for SIGINT, SIGTERM and SIGHUP that only set the flag.
    pub(crate) fn install() -> std::io::Result<Self> {
        let stop = Self(Arc::default());
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_usize(signal, Arc::clone(&stop.0), usize::try_from(signal).unwrap_or(0))?;
        }
        Ok(stop)
    }

    /// A flag that is never set.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        Self(Arc::default())
    }

    /// Returns an error once a signal has arrived.
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
    fn exit_status_follows_the_shells_convention() {
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
