//! The key of a cell, its label in tables and its file name.

use serde::Serialize;

use bench_model::samples::mode_name;
use bench_model::units::size_name;
use bench_model::{Arrivals, Block, Conditions, WaitMode, Workload};

/// The key of a cell: blocks with equal keys form one cell. Cells are sorted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "CellId")]
pub struct CellKey {
    /// The workload.
    pub workload: Workload,
    /// Bytes of payload per operation.
    pub size_bytes: u64,
    /// Conditions.
    pub conditions: Conditions,
    /// How the host waited.
    pub host_wait: WaitMode,
    /// How the guest waited.
    pub guest_wait: WaitMode,
}

/// The key as it is written: with the name of both wait modes.
#[derive(Serialize)]
struct CellId {
    workload: Workload,
    size_bytes: u64,
    mode: String,
    host_wait: WaitMode,
    guest_wait: WaitMode,
    conditions: Conditions,
}

impl From<CellKey> for CellId {
    fn from(key: CellKey) -> Self {
        let CellKey { workload, size_bytes, conditions, host_wait, guest_wait } = key;
        Self { workload, size_bytes, mode: key.mode(), host_wait, guest_wait, conditions }
    }
}

impl CellKey {
    /// The key of a block's cell.
    #[must_use]
    pub fn of_block(block: &Block) -> Self {
        let &Block { workload, size_bytes, conditions, host_wait, guest_wait, .. } = block;
        Self { workload, size_bytes, conditions, host_wait, guest_wait }
    }

    /// How both sides waited: `poll`, `irq`, or `host/guest` where they differ.
    #[must_use]
    pub fn mode(&self) -> String {
        mode_name(self.host_wait, self.guest_wait)
    }

    /// For instance `pingpong 64B irq` or `contention irq 3busy 2ms`. Open loops: `openloop irq =5000/s` for fixed
    /// intervals, `~5000/s` for random ones.
    pub(crate) fn short(&self) -> String {
        let conditions = &self.conditions;
        let size = match (self.workload, conditions.slots) {
            // Messages of these have one size.
            (Workload::Openloop | Workload::Storm | Workload::Idle | Workload::Contention, _) => None,
            (Workload::Pingpong | Workload::Paced | Workload::Frame | Workload::Stream, Some(slots)) => {
                Some(format!("{}x{slots}", self.size()))
            }
            (Workload::Pingpong | Workload::Paced | Workload::Frame | Workload::Stream, None) => Some(self.size()),
        };
        let arrivals = match conditions.arrivals {
            None => "",
            Some(Arrivals::Fixed) => "=",
            Some(Arrivals::Poisson) => "~",
        };
        joined(
            " ",
            [
                Some(self.workload.to_string()),
                size,
                Some(self.mode()),
                conditions.busy_threads.map(|threads| format!("{threads}busy")),
                flag(conditions.shared_core, "1core"),
                conditions.gap_ns.map(exact),
                conditions.rate_per_s.map(|rate| format!("{arrivals}{rate}/s")),
                flag(conditions.cold, "cold"),
                flag(conditions.always_ring, "rung"),
                flag(conditions.full_stamps, "stamped"),
                flag(conditions.aa_repeat, "again"),
            ],
        )
    }

    /// The name of the cell's files without extension, for instance `pingpong-64B-poll` or
    /// `contention-64B-irq-3busy-gap2ms`: letters, digits and hyphens only, and no two cells have the same.
    pub(crate) fn file_stem(&self) -> String {
        let conditions = &self.conditions;
        let arrivals = conditions.arrivals.map(|arrivals| arrivals.name().to_owned());
        joined(
            "-",
            [
                Some(self.workload.to_string()),
                Some(self.size()),
                Some(self.mode().replace('/', "-")),
                conditions.busy_threads.map(|threads| format!("{threads}busy")),
                flag(conditions.shared_core, "1core"),
                conditions.gap_ns.map(|ns| format!("gap{}", exact(ns))),
                conditions.rate_per_s.map(|rate| format!("{rate}per-s")),
                arrivals,
                flag(conditions.cold, "cold"),
                conditions.slots.map(|slots| format!("{slots}slots")),
                flag(conditions.always_ring, "rung"),
                flag(conditions.full_stamps, "stamped"),
                flag(conditions.aa_repeat, "again"),
            ],
        )
    }

    fn size(&self) -> String {
        size_name(self.size_bytes).replace(' ', "")
    }
}

fn flag(set: bool, name: &str) -> Option<String> {
    set.then(|| name.to_owned())
}

fn joined<const N: usize>(separator: &str, parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(separator)
}

/// A duration in the largest unit that divides it: 1.5 ms and 1.6 ms need different names.
fn exact(ns: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let unit = units.into_iter().find(|&(unit, _)| ns >= unit && ns.is_multiple_of(unit));
    unit.map_or_else(|| format!("{ns}ns"), |(unit, name)| format!("{}{name}", ns / unit))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn short_names_distinguish_conditions() {
        let irq = CellKey {
            workload: Workload::Pingpong,
            size_bytes: 64,
            conditions: Conditions::default(),
            host_wait: WaitMode::Irq,
            guest_wait: WaitMode::Irq,
        };
        let name = |workload, conditions| CellKey { workload, conditions, ..irq }.short();
        let mixed = CellKey { host_wait: WaitMode::Hybrid, guest_wait: WaitMode::Poll, ..irq };
        assert_eq!(mixed.short(), "pingpong 64B hybrid/poll");
        let paced = Conditions { gap_ns: Some(1_500_000), ..Conditions::default() };
        assert_eq!(name(Workload::Paced, paced), "paced 64B irq 1500us");
        let contended =
            Conditions { busy_threads: Some(0), shared_core: true, gap_ns: Some(2_000_000), ..Conditions::default() };
        assert_eq!(name(Workload::Contention, contended), "contention irq 0busy 1core 2ms");
        let open = Conditions { rate_per_s: Some(5_000), arrivals: Some(Arrivals::Poisson), ..Conditions::default() };
        assert_eq!(name(Workload::Openloop, open), "openloop irq ~5000/s");
        let stream = Conditions { slots: Some(16), always_ring: true, ..Conditions::default() };
        assert_eq!(name(Workload::Stream, stream), "stream 64Bx16 irq rung");
    }

    #[test]
    fn duration_keeps_every_digit() {
        assert_eq!([2_000_000, 1_001, 0, 3_000_000_000].map(exact), ["2ms", "1001ns", "0ns", "3s"]);
    }

    /// Every condition by itself, and all together, for every workload and pair of wait modes.
    fn many() -> Vec<CellKey> {
        let none = Conditions::default();
        let mut conditions = vec![
            none,
            Conditions { busy_threads: Some(1), ..none },
            Conditions { busy_threads: Some(11), ..none },
            Conditions { shared_core: true, ..none },
            Conditions { gap_ns: Some(1_000), ..none },
            Conditions { gap_ns: Some(1_000_000), ..none },
            Conditions { rate_per_s: Some(1_000), ..none },
            Conditions { rate_per_s: Some(1_000), arrivals: Some(Arrivals::Fixed), ..none },
            Conditions { rate_per_s: Some(1_000), arrivals: Some(Arrivals::Poisson), ..none },
            Conditions { cold: true, ..none },
            Conditions { slots: Some(1), ..none },
            Conditions { slots: Some(16), always_ring: true, ..none },
            Conditions { full_stamps: true, ..none },
        ];
        conditions.extend(conditions.clone().into_iter().map(|repeated| Conditions { aa_repeat: true, ..repeated }));
        let waits = [WaitMode::Poll, WaitMode::Irq, WaitMode::Hybrid];
        let pairs = waits.iter().flat_map(|&host_wait| waits.map(|guest_wait| (host_wait, guest_wait)));
        let mut all = Vec::new();
        for (host_wait, guest_wait) in pairs {
            for (workload, size_bytes) in [(Workload::Pingpong, 64), (Workload::Pingpong, 640), (Workload::Frame, 64)] {
                all.extend(conditions.iter().map(|&conditions| CellKey {
                    workload,
                    size_bytes,
                    conditions,
                    host_wait,
                    guest_wait,
                }));
            }
        }
        all
    }

    #[test]
    fn file_and_short_names_of_cells_are_unique() {
        let all = many();
        for named in [CellKey::file_stem, CellKey::short] {
            let names: HashSet<String> = all.iter().map(named).collect();
            assert_eq!(names.len(), all.len());
        }
    }

    #[test]
    fn file_names_are_portable() {
        for name in many().iter().map(CellKey::file_stem) {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
            assert!(name.len() < 100, "{name}");
        }
        assert_eq!(many()[0].file_stem(), "pingpong-64B-poll");
    }
}
