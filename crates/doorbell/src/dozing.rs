//! A waiter that sleeps where it was to spin: what earlier benchmarks called polling. It is here so that a run can be
//! seen to notice it.

use std::thread::sleep;
use std::time::Duration;

use crate::wait::{WaitCounts, WaitError, Waiter};

/// Between two looks. The kernel makes sixty microseconds and more of it.
const NAP: Duration = Duration::from_micros(10);

/// See the module.
#[derive(Debug, Default)]
pub struct Dozing;

impl Waiter for Dozing {
    fn wait<T, E>(
        &mut self,
        mut look: impl FnMut() -> Option<T>,
        mut idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            sleep(NAP);
            idle().map_err(WaitError::Abandoned)?;
        }
    }

    fn counts(&self) -> WaitCounts {
        WaitCounts::default()
    }
}
