//! The other load of the host.

use std::fs;
use std::thread;
use std::time::Duration;

/// Runnable tasks, averaged over the last minute.
pub(crate) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Observation time: dozens of ticks.
const OBSERVATION: Duration = Duration::from_millis(300);

/// How many of these CPUs other processes keep busy. This process sleeps meanwhile.
pub(crate) fn busy_cpus(cpus: &[usize]) -> Option<f64> {
    let read = || fs::read_to_string("/proc/stat").ok().and_then(|stat| ticks(&stat, cpus));
    let before = read()?;
    thread::sleep(OBSERVATION);
    let after = read()?;
    let (busy, total) = (after.busy.checked_sub(before.busy)?, after.total.checked_sub(before.total)?);
    (total > 0).then(|| busy as f64 / total as f64 * cpus.len() as f64)
}

/// Measures the steal time of CPUs, from the difference of two readings of /proc/stat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StealMeter {
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

impl StealMeter {
    /// Takes the first reading.
    pub(crate) fn start(cpus: Vec<usize>) -> Self {
        let before = fs::read_to_string("/proc/stat").ok().and_then(|stat| ticks(&stat, &cpus));
        Self { cpus, before }
    }

    /// Steal time in per cent since the start. `None` if it is unknown or no tick has passed.
    pub(crate) fn percent(&self) -> Option<f64> {
        let after = ticks(&fs::read_to_string("/proc/stat").ok()?, &self.cpus)?;
        percent(self.before?, after)
    }
}

fn percent(before: Ticks, after: Ticks) -> Option<f64> {
    let (stolen, total) = (after.stolen.checked_sub(before.stolen)?, after.total.checked_sub(before.total)?);
    (total > 0).then(|| stolen as f64 * 100.0 / total as f64)
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
            let busy = busy_cpus(&cpus);
            done.store(true, Relaxed);
            busy
        });
        assert!(busy.is_some_and(|busy| busy > 0.0 && busy <= cpus.len() as f64 + 0.01), "{busy:?}");
    }

    #[test]
    fn percentage_needs_elapsed_ticks() {
        let at = |stolen, total| Ticks { stolen, busy: 0, total };
        let before = at(10, 100);
        assert_eq!(percent(before, at(15, 200)), Some(5.0));
        assert_eq!(percent(before, before), None);
        assert_eq!(percent(before, at(5, 200)), None, "a count that decreased");
    }
}
