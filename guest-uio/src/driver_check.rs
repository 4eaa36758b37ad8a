//! Conformance tests of a [`Driver`] on the real device. The device rings itself: the tests require a server but no other
//! peer.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bench_protocol::boot::Bar2Map;
use doorbell::deadline::scaled;
use doorbell::region::RegionError;
use doorbell::wait::Wakeup;
use doorbell::{PeerId, Vector};

use crate::driver::{Driver, IrqSource};
use crate::error::DeviceError;
use crate::pci::PciDevice;
use crate::periodic_signal::PeriodicSignal;
use crate::registers;
use crate::vectors_without_interrupt;

/// Doorbells of the storm, which are rung without waiting.
const STORM: u64 = 1_000;
/// A doorbell without an event in this time is lost.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// A tested rule and its result.
#[derive(Debug)]
pub struct CheckResult {
    /// The rule.
    pub rule: String,
    /// The observed violation, if the rule does not hold.
    pub fault: Option<String>,
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            None => write!(f, "pass  {}", self.rule),
            Some(fault) => write!(f, "FAIL  {}: {fault}", self.rule),
        }
    }
}

/// Tests every rule with the device's bound driver on its first `vectors` vectors. The closed loop rings `closed_loop`
/// doorbells, each after the event of the previous one.
///
/// A vector that does not exist or never fires is reported once and excluded from the other rules. A driver without
/// interrupts is an error.
pub fn check(device: &PciDevice, vectors: u16, closed_loop: u64) -> Result<Vec<CheckResult>, DeviceError> {
    let driver = crate::driver::open(device, Bar2Map::Auto)?;
    driver.interrupt(Vector(0))?;
    let mut results = Vec::new();
    let mut present = vectors;
    for vector in (1..vectors).map(Vector) {
        if let Err(error) = driver.interrupt(vector) {
            present = vector.0;
            let missing: Vec<Vector> = (present..vectors).map(Vector).collect();
            results.push(result(
                format!("{} can be opened", vectors_without_interrupt::list(&missing)),
                Err(error.into()),
            ));
            break;
        }
    }
    let dead = vectors_without_interrupt::find(device, &*driver, present)?;
    let live: Vec<Vector> = (0..present).map(Vector).filter(|vector| !dead.contains(vector)).collect();
    let suite = DriverCheck { driver, vectors: live, closed_loop };
    results.push(result("the id is the same at each read", suite.id_is_stable()));
    results.push(result("both ends of the memory keep their content", suite.memory_keeps_content()));
    results.push(result("opening a vector that does not exist fails", suite.refuses_missing_vector()));
    results.push(result("every vector fires", every_vector_fires(&dead, present)));
    for &vector in &suite.vectors {
        let named = |rule: &str| format!("vector {vector}: {rule}");
        results.push(result(named("without a doorbell no event arrives"), suite.is_silent(vector)));
        results.push(result(named("each doorbell causes one event"), suite.closed_loop(vector)));
        results.push(result(
            named("a storm causes at most one event per doorbell, and the last arrives"),
            suite.storm(vector),
        ));
        results.push(result(named("works after closing and opening"), suite.reopens(vector)));
    }
    results.push(result("a doorbell wakes its own vector only", suite.doorbell_wakes_only_its_vector()));
    Ok(results)
}

fn every_vector_fires(dead: &[Vector], tried: u16) -> anyhow::Result<()> {
    if dead.is_empty() {
        return Ok(());
    }
    let (message, hint) = vectors_without_interrupt::explain(dead, tried);
    anyhow::bail!("{message}; {hint}")
}

fn result(rule: impl Into<String>, outcome: anyhow::Result<()>) -> CheckResult {
    CheckResult { rule: rule.into(), fault: outcome.err().map(|error| error.to_string()) }
}

struct DriverCheck {
    driver: Box<dyn Driver>,
    /// Vectors that fire.
    vectors: Vec<Vector>,
    closed_loop: u64,
}

impl DriverCheck {
    fn own_id(&self) -> Result<PeerId, RegionError> {
        registers::own_id(&self.driver.bars().registers)
    }

    fn ring(&self, vector: Vector) -> anyhow::Result<()> {
        Ok(registers::ring(&self.driver.bars().registers, self.own_id()?, vector)?)
    }

    /// Opens a vector, discards its events, and starts the signal that ends waits.
    fn open(&self, vector: Vector) -> anyhow::Result<(Box<dyn IrqSource>, PeriodicSignal)> {
        let mut interrupt = self.driver.interrupt(vector)?;
        interrupt.drain()?;
        Ok((interrupt, PeriodicSignal::start()?))
    }

    fn id_is_stable(&self) -> anyhow::Result<()> {
        let first = self.own_id()?;
        for _ in 0..100 {
            let now = self.own_id()?;
            anyhow::ensure!(now == first, "{first}, then {now}");
        }
        Ok(())
    }

    fn memory_keeps_content(&self) -> anyhow::Result<()> {
        let memory = &self.driver.bars().memory;
        for offset in [0, memory.len() - 8] {
            let word = memory.word(offset)?;
            let before = word.load(Ordering::Acquire);
            for pattern in [u64::MAX, 0, 0x0123_4567_89ab_cdef] {
                word.store(pattern, Ordering::Release);
                let read = word.load(Ordering::Acquire);
                anyhow::ensure!(read == pattern, "wrote {pattern:#x} at {offset:#x}, read {read:#x}");
            }
            word.store(before, Ordering::Release);
        }
        Ok(())
    }

    fn refuses_missing_vector(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.driver.interrupt(Vector(u16::MAX)).is_err(), "vector 65535 was opened");
        Ok(())
    }

    fn is_silent(&self, vector: Vector) -> anyhow::Result<()> {
        let mut interrupt = self.driver.interrupt(vector)?;
        let events = interrupt.drain()?;
        let _signal = PeriodicSignal::start()?;
        match interrupt.wait_event()? {
            Wakeup::Timeout => Ok(()),
            Wakeup::Events(n) => anyhow::bail!("{n} events after {events} were drained"),
        }
    }

    fn closed_loop(&self, vector: Vector) -> anyhow::Result<()> {
        let (mut interrupt, _signal) = self.open(vector)?;
        for ring in 1..=self.closed_loop {
            self.ring(vector)?;
            let events = next_events(&mut *interrupt)?;
            anyhow::ensure!(events == 1, "{events} events for doorbell {ring}");
        }
        Ok(())
    }

    fn storm(&self, vector: Vector) -> anyhow::Result<()> {
        let (mut interrupt, _signal) = self.open(vector)?;
        for _ in 0..STORM {
            self.ring(vector)?;
        }
        let mut events = next_events(&mut *interrupt)?;
        // Pending events arrive before the next signal.
        while let Wakeup::Events(n) = interrupt.wait_event()? {
            events += n;
        }
        anyhow::ensure!(events <= STORM, "{events} events for {STORM} doorbells");
        self.ring(vector)?;
        next_events(&mut *interrupt).map(drop)
    }

    fn reopens(&self, vector: Vector) -> anyhow::Result<()> {
        for _ in 0..3 {
            let (mut interrupt, _signal) = self.open(vector)?;
            self.ring(vector)?;
            next_events(&mut *interrupt)?;
        }
        Ok(())
    }

    fn doorbell_wakes_only_its_vector(&self) -> anyhow::Result<()> {
        let opened: Result<Vec<_>, DeviceError> =
            self.vectors.iter().map(|vector| Ok((*vector, self.driver.interrupt(*vector)?))).collect();
        let mut opened = opened?;
        let _signal = PeriodicSignal::start()?;
        for (_, interrupt) in &mut opened {
            interrupt.drain()?;
        }
        for rung in 0..opened.len() {
            let vector = opened[rung].0;
            self.ring(vector)?;
            next_events(&mut *opened[rung].1)?;
            for (other, interrupt) in opened.iter_mut().filter(|(other, _)| *other != vector) {
                let events = interrupt.drain()?;
                anyhow::ensure!(events == 0, "vector {vector} was rung, and vector {other} had {events} events");
            }
        }
        Ok(())
    }
}

/// Blocks until there are events.
fn next_events(interrupt: &mut dyn IrqSource) -> anyhow::Result<u64> {
    let start = Instant::now();
    loop {
        match interrupt.wait_event()? {
            Wakeup::Events(n) => return Ok(n),
            Wakeup::Timeout if start.elapsed() >= scaled(LOST_AFTER) => {
                anyhow::bail!("no event within {:?}", scaled(LOST_AFTER));
            }
            Wakeup::Timeout => {}
        }
    }
}
