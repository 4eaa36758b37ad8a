//! Sleep-polling waiter, used only by the `sleepy-*` faults.

use std::thread::sleep;
use std::time::Duration;

use crate::wait::{WaitError, Waiter};

/// Sleep between two checks. Timer slack extends it to 60 µs and more.
const SLEEP: Duration = Duration::from_micros(10);

/// Sleeps between two checks, where [`Poll`](crate::wait::Poll) spins.
#[derive(Debug, Default)]
pub struct SleepPoll;

impl Waiter for SleepPoll {
    fn wait<T, E>(
        &mut self,
        mut try_take: impl FnMut() -> Option<T>,
        mut on_idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        loop {
            if let Some(found) = try_take() {
                return Ok(found);
            }
            sleep(SLEEP);
            on_idle().map_err(WaitError::Abandoned)?;
        }
    }
}
