//! What every driver must do, tried on the real device: one suite over the [`Driver`] trait. The device rings itself, so
//! it needs a server and no other peer.

use std::fmt;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use doorbell::deadline::scaled;
use doorbell::wait::Woke;
use doorbell::{PeerId, Vector};

use crate::driver::{Driver, DriverError, IrqSource};
use crate::pci::PciDevice;
use crate::periodic_signal::PeriodicSignal;
use crate::registers;
use crate::vectors_without_interrupt;

/// Doorbells rung without waiting.
const STORM: u64 = 1_000;
/// How long a doorbell may take before it counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// A rule, and how it went.
#[derive(Debug)]
pub struct CheckResult {
    /// What must hold.
    pub rule: String,
    /// What was seen, if it does not.
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

/// Tries every rule on the driver that holds the device, on its first `vectors` vectors. In the closed loop
/// `closed_loop` doorbells are rung, each when the one before has been taken.
///
/// A vector that does not exist or never fires is reported once, and its other rules are left out. A driver without any
/// interrupt is an error: there is nothing to check.
pub fn check(device: &PciDevice, vectors: u16, closed_loop: u64) -> Result<Vec<CheckResult>, DriverError> {
    let driver = crate::driver::open(device)?;
    driver.interrupt(Vector(0))?;
    let mut results = Vec::new();
    let mut present = vectors;
    for vector in (1..vectors).map(Vector) {
        if let Err(error) = driver.interrupt(vector) {
            present = vector.0;
            let missing: Vec<Vector> = (present..vectors).map(Vector).collect();
            results.push(result(
                format!("{} can be opened", vectors_without_interrupt::list(&missing)),
                Err(error.to_string()),
            ));
            break;
        }
    }
    let silent = vectors_without_interrupt::find(device, &*driver, present)?;
    let live: Vec<Vector> = (0..present).map(Vector).filter(|vector| !silent.contains(vector)).collect();
    let suite = DriverCheck { driver, vectors: live, closed_loop };
    results.push(result("the id is the same at each read", suite.id_is_stable()));
    results.push(result("both ends of the memory keep what is written", suite.memory_keeps()));
    results.push(result("a vector that does not exist is refused", suite.refuses_missing_vector()));
    results.push(result("every vector fires", every_vector_fires(&silent, present)));
    for &vector in &suite.vectors {
        let named = |rule: &str| format!("vector {vector}: {rule}");
        results.push(result(named("no doorbell, no event"), suite.is_silent(vector)));
        results.push(result(named("each doorbell is one event, none is lost"), suite.closed_loop(vector)));
        results
            .push(result(named("a storm is no more events than doorbells, and its last is seen"), suite.storm(vector)));
        results.push(result(named("closed and opened again, it works again"), suite.reopens(vector)));
    }
    results.push(result("a doorbell wakes its own vector only", suite.vectors_are_apart()));
    Ok(results)
}

fn every_vector_fires(silent: &[Vector], tried: u16) -> Result<(), String> {
    if silent.is_empty() {
        return Ok(());
    }
    let (message, hint) = vectors_without_interrupt::explain(silent, tried);
    Err(format!("{message}; {hint}"))
}

fn result(rule: impl Into<String>, outcome: Result<(), String>) -> CheckResult {
    CheckResult { rule: rule.into(), fault: outcome.err() }
}

struct DriverCheck {
    driver: Box<dyn Driver>,
    /// Those that fire.
    vectors: Vec<Vector>,
    closed_loop: u64,
}

impl DriverCheck {
    fn own_id(&self) -> Result<PeerId, String> {
        registers::own_id(self.driver.registers()).map_err(|e| e.to_string())
    }

    fn ring(&self, vector: Vector) -> Result<(), String> {
        registers::ring(self.driver.registers(), self.own_id()?, vector).map_err(|e| e.to_string())
    }

    fn open(&self, vector: Vector) -> Result<Box<dyn IrqSource>, String> {
        self.driver.interrupt(vector).map_err(|e| e.to_string())
    }

    fn id_is_stable(&self) -> Result<(), String> {
        let first = self.own_id()?;
        for _ in 0..100 {
            let now = self.own_id()?;
            if now != first {
                return Err(format!("{first}, then {now}"));
            }
        }
        Ok(())
    }

    fn memory_keeps(&self) -> Result<(), String> {
        let memory = self.driver.memory();
        for offset in [0, memory.len() - 8] {
            let word = memory.word(offset).map_err(|e| e.to_string())?;
            let before = word.load(Ordering::Acquire);
            for pattern in [u64::MAX, 0, 0x0123_4567_89ab_cdef] {
                word.store(pattern, Ordering::Release);
                let read = word.load(Ordering::Acquire);
                if read != pattern {
                    return Err(format!("at {offset:#x} {pattern:#x} became {read:#x}"));
                }
            }
            word.store(before, Ordering::Release);
        }
        Ok(())
    }

    fn refuses_missing_vector(&self) -> Result<(), String> {
        match self.driver.interrupt(Vector(u16::MAX)) {
            Ok(_) => Err("vector 65535 was opened".to_owned()),
            Err(_) => Ok(()),
        }
    }

    fn is_silent(&self, vector: Vector) -> Result<(), String> {
        let mut interrupt = self.open(vector)?;
        let events = drain(&mut *interrupt)?;
        let _signal = PeriodicSignal::start().map_err(|e| e.to_string())?;
        match interrupt.block().map_err(|e| e.to_string())? {
            Woke::Guard => Ok(()),
            Woke::Events(n) => Err(format!("{n} events after {events} were drained")),
        }
    }

    fn closed_loop(&self, vector: Vector) -> Result<(), String> {
        let mut interrupt = self.open(vector)?;
        let _signal = PeriodicSignal::start().map_err(|e| e.to_string())?;
        drain(&mut *interrupt)?;
        for ring in 1..=self.closed_loop {
            self.ring(vector)?;
            let events = next_events(&mut *interrupt)?;
            if events != 1 {
                return Err(format!("{events} events for doorbell {ring}"));
            }
        }
        Ok(())
    }

    fn storm(&self, vector: Vector) -> Result<(), String> {
        let mut interrupt = self.open(vector)?;
        let _signal = PeriodicSignal::start().map_err(|e| e.to_string())?;
        drain(&mut *interrupt)?;
        for _ in 0..STORM {
            self.ring(vector)?;
        }
        let mut seen = next_events(&mut *interrupt)?;
        // What is still under way arrives within a tick of the guard.
        while let Woke::Events(n) = interrupt.block().map_err(|e| e.to_string())? {
            seen += n;
        }
        if seen > STORM {
            return Err(format!("{seen} events for {STORM} doorbells"));
        }
        self.ring(vector)?;
        next_events(&mut *interrupt).map(drop)
    }

    fn reopens(&self, vector: Vector) -> Result<(), String> {
        for _ in 0..3 {
            let mut interrupt = self.open(vector)?;
            let _signal = PeriodicSignal::start().map_err(|e| e.to_string())?;
            drain(&mut *interrupt)?;
            self.ring(vector)?;
            next_events(&mut *interrupt)?;
        }
        Ok(())
    }

    fn vectors_are_apart(&self) -> Result<(), String> {
        let all: Result<Vec<_>, String> =
            self.vectors.iter().map(|vector| Ok((*vector, self.open(*vector)?))).collect();
        let mut all = all?;
        let _signal = PeriodicSignal::start().map_err(|e| e.to_string())?;
        for (_, interrupt) in &mut all {
            drain(&mut **interrupt)?;
        }
        for rung in 0..all.len() {
            let vector = all[rung].0;
            self.ring(vector)?;
            next_events(&mut *all[rung].1)?;
            for (other, interrupt) in all.iter_mut().filter(|(other, _)| *other != vector) {
                let events = drain(&mut **interrupt)?;
                if events > 0 {
                    return Err(format!("vector {vector} was rung, and vector {other} had {events} events"));
                }
            }
        }
        Ok(())
    }
}

fn drain(interrupt: &mut dyn IrqSource) -> Result<u64, String> {
    interrupt.drain().map_err(|e: io::Error| e.to_string())
}

/// Blocks until there are events.
fn next_events(interrupt: &mut dyn IrqSource) -> Result<u64, String> {
    let start = Instant::now();
    loop {
        match interrupt.block().map_err(|e| e.to_string())? {
            Woke::Events(n) => return Ok(n),
            Woke::Guard if start.elapsed() >= scaled(LOST_AFTER) => {
                return Err(format!("no event within {:?}", scaled(LOST_AFTER)));
            }
            Woke::Guard => {}
        }
    }
}
