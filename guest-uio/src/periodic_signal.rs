//! A periodic signal that interrupts a blocking `read`, which gives waits a timeout.
//!
//! The measured path blocks only in `read`. A timeout per wait would cost a system call per operation. A periodic timer is
//! free between its ticks, and ten ticks a second affect too few operations to change a p99.
#![expect(unsafe_code, reason = "installing a signal handler")]

use std::io;
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

/// Interval of the signal.
const PERIOD: Duration = Duration::from_millis(100);

/// While this value exists, a blocking system call of the process returns EINTR ten times a second.
#[derive(Debug)]
pub struct PeriodicSignal {
    _timer: Timer,
}

extern "C" fn ignore_signal(_: i32) {}

impl PeriodicSignal {
    /// Starts the timer.
    pub fn start() -> io::Result<Self> {
        // Without SA_RESTART, so the system call returns EINTR.
        let action = SigAction::new(SigHandler::Handler(ignore_signal), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing, which is async-signal-safe.
        unsafe { sigaction(Signal::SIGALRM, &action) }?;
        let event = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 });
        let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, event)?;
        timer.set(Expiration::Interval(PERIOD.into()), TimerSetTimeFlags::empty())?;
        Ok(Self { _timer: timer })
    }
}
