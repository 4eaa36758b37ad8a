//! CPU affinity of the measured threads, as `--pin` spells it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A CPU per thread; `None`: not pinned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pinning {
    /// The initiator's.
    pub host: Option<usize>,
    /// Each vCPU's, in order. Further ones are not pinned.
    pub vcpus: Vec<Option<usize>>,
    /// That of QEMU's main loop.
    pub main_loop: Option<usize>,
}

impl Pinning {
    /// Every pinned thread with its CPU.
    pub fn threads(&self) -> impl Iterator<Item = (ThreadName, usize)> + '_ {
        let named = |name: ThreadName, cpu: Option<usize>| cpu.map(|cpu| (name, cpu));
        let vcpus = self.vcpus.iter().enumerate();
        named(ThreadName::Host, self.host)
            .into_iter()
            .chain(vcpus.filter_map(move |(index, &cpu)| named(ThreadName::Vcpu(index), cpu)))
            .chain(named(ThreadName::MainLoop, self.main_loop))
    }

    /// Whether no thread is pinned.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.threads().next().is_none()
    }
}

/// As `--pin` takes it: `host=0,vcpu0=1`, or `none`.
impl fmt::Display for Pinning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("none");
        }
        for (position, (thread, cpu)) in self.threads().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            write!(f, "{comma}{thread}={cpu}")?;
        }
        Ok(())
    }
}

/// A thread that can be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ThreadName {
    /// The initiator.
    Host,
    /// A virtual CPU, from 0.
    Vcpu(usize),
    /// QEMU's main loop.
    MainLoop,
}

impl fmt::Display for ThreadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Vcpu(index) => write!(f, "vcpu{index}"),
            Self::MainLoop => f.write_str("main"),
        }
    }
}

/// Parses a CPU list as the kernel writes it (cpuset(7), "List format"), such as `0-3,8`. `None`: malformed.
#[must_use]
pub fn cpu_list(text: &str) -> Option<Vec<usize>> {
    // Above any kernel's limit; a forged range must not fill the memory.
    const MOST: usize = 1 << 16;
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MOST {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_prints_in_the_syntax_of_its_flag() {
        let pinning = Pinning { host: Some(0), vcpus: vec![Some(1), None, Some(3)], main_loop: Some(2) };
        assert_eq!(pinning.to_string(), "host=0,vcpu0=1,vcpu2=3,main=2");
        assert_eq!(Pinning { vcpus: vec![None], ..Pinning::default() }.to_string(), "none");
    }

    #[test]
    fn parses_the_kernels_cpu_list_format() {
        assert_eq!(cpu_list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(cpu_list(""), Some(vec![]));
        for nonsense in ["a", "1-", "0-99999999999"] {
            assert_eq!(cpu_list(nonsense), None, "{nonsense}");
        }
    }
}
