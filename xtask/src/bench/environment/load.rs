//! The other load of the host.

use std::thread;
use std::time::Duration;

use crate::sys_files::SysRoot;

/// Runnable tasks, averaged over the last minute.
pub(crate) fn load_average() -> Option<f64> {
    SysRoot::real().text("proc/loadavg")?.split_whitespace().next()?.parse().ok()
}

/// Observation time: dozens of ticks.
const OBSERVATION: Duration = Duration::from_millis(300);

/// How many of these CPUs other processes keep busy. This process sleeps meanwhile.
pub(crate) fn busy_cpus(cpus: Vec<usize>) -> Option<f64> {
    let meter = CpuMeter::start(cpus);
    thread::sleep(OBSERVATION);
    Some(share(meter.before?, meter.now()?, |ticks| ticks.busy)? * meter.cpus.len() as f64)
}

/// Measures the use of CPUs, from the difference of two readings of /proc/stat.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    cpus: Vec<usize>,
    before: Option<Ticks>,
}

/// Ticks since boot, summed over some CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    stolen: u64,
    busy: u64,
    total: u64,
}

impl CpuMeter {
    /// Takes the first reading.
    pub(crate) fn start(cpus: Vec<usize>) -> Self {
        let mut meter = Self { cpus, before: None };
        meter.before = meter.now();
        meter
    }

    fn now(&self) -> Option<Ticks> {
        ticks(&SysRoot::real().text("proc/stat")?, &self.cpus)
    }

    /// Steal time in per cent since the start. `None` if it is unknown or no tick has passed.
    pub(crate) fn steal_percent(&self) -> Option<f64> {
        share(self.before?, self.now()?, |ticks| ticks.stolen).map(|share| share * 100.0)
    }
}

/// A count's share of the elapsed ticks.
fn share(before: Ticks, after: Ticks, count: fn(Ticks) -> u64) -> Option<f64> {
    let (count, total) = (count(after).checked_sub(count(before))?, after.total.checked_sub(before.total)?);
    (total > 0).then(|| count as f64 / total as f64)
}

/// Lines `cpuN` of /proc/stat (proc(5)): user, nice, system, idle, iowait, irq, softirq, steal; guest time is contained
/// in the first two.
fn ticks(stat: &str, cpus: &[usize]) -> Option<Ticks> {
    let mut sum = None;
    for line in stat.lines() {
        let mut words = line.split_whitespace();
        let number = words.next().and_then(|name| name.strip_prefix("cpu")?.parse::<usize>().ok());
        if number.is_some_and(|cpu| cpus.contains(&cpu)) {
            let numbers: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
            let Ticks { stolen, busy, total } = sum.unwrap_or(Ticks { stolen: 0, busy: 0, total: 0 });
            let &[user, nice, system, _, _, irq, softirq, steal] = &numbers[..] else { return None };
            sum = Some(Ticks {
                stolen: stolen + steal,
                busy: busy + user + nice + system + irq + softirq,
                total: total + numbers.iter().sum::<u64>(),
            });
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    const STAT: &str = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 10 0 20 60 0 0 0 10 7 7\ncpu1 0 0 0 50 0 0 0 50 0 0\nintr 5";

    #[test]
    fn counts_only_the_given_cpus() {
        assert_eq!(ticks(STAT, &[0]), Some(Ticks { stolen: 10, busy: 30, total: 100 }));
        assert_eq!(ticks(STAT, &[0, 1]), Some(Ticks { stolen: 60, busy: 30, total: 200 }));
        assert_eq!(ticks(STAT, &[7]), None);
    }

    #[test]
    fn busy_thread_keeps_a_cpu_busy() {
        let done = AtomicBool::new(false);
        let cpus: Vec<usize> = (0..std::thread::available_parallelism().unwrap().get()).collect();
        let busy = thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let busy = busy_cpus(cpus.clone());
            done.store(true, Relaxed);
            busy
        });
        assert!(busy.is_some_and(|busy| busy > 0.0 && busy <= cpus.len() as f64 + 0.01), "{busy:?}");
    }

    #[test]
    fn share_needs_elapsed_ticks() {
        let at = |stolen, total| Ticks { stolen, busy: 0, total };
        let before = at(10, 100);
        let stolen = |after| share(before, after, |ticks| ticks.stolen);
        assert_eq!(stolen(at(15, 200)), Some(0.05));
        assert_eq!(stolen(before), None);
        assert_eq!(stolen(at(5, 200)), None, "a count that decreased");
    }
}
