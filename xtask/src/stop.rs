//! Ctrl-C and SIGTERM: noticed, not obeyed at once, so that every child is ended and every socket removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Arc<AtomicBool>);

/// Somebody asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal; everything that was started has been ended")]
pub(crate) struct Interrupted;

impl Stop {
    /// From now on, SIGINT, SIGTERM and SIGHUP only set a flag.
    pub(crate) fn catch() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// An error once somebody asked to stop.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if self.0.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }
}
