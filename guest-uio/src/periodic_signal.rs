//! A signal that ends a blocking `read` now and then, so that a waiter can look around.
//!
//! The measured path blocks in `read` and in nothing else. A timeout per wait would cost a system call per operation;
//! a slow periodic timer costs nothing between its ticks, and at ten a second it touches too few operations to show in
//! a p99.
#![expect(unsafe_code, reason = "installing a signal handler")]

use std::io;
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

/// Time between two ticks.
const PERIOD: Duration = Duration::from_millis(100);

/// While it lives, a blocking system call of this thread returns EINTR ten times a second.
#[derive(Debug)]
pub struct PeriodicSignal {
    _timer: Timer,
}

extern "C" fn interrupt_only(_: i32) {}

impl PeriodicSignal {
    /// Starts the ticks.
    pub fn start() -> io::Result<Self> {
        // Without SA_RESTART: the point is that the call returns.
        let action = SigAction::new(SigHandler::Handler(interrupt_only), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing, which is async-signal-safe.
        unsafe { sigaction(Signal::SIGALRM, &action) }?;
        let event = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 });
        let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, event)?;
        timer.set(Expiration::Interval(PERIOD.into()), TimerSetTimeFlags::empty())?;
        Ok(Self { _timer: timer })
    }
}
