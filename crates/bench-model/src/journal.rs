//! `measured.jsonl`: one JSON object per line, appended as each block is finished, so a killed run keeps its finished
//! blocks. `measured.json` holds the same as one document, written at the end.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::raw::{PeakBandwidths, RawBlock, RawRun};

/// The name of the file in a run's folder.
pub const FILE_NAME: &str = "measured.jsonl";

/// A line. Readers replay the lines in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "an entry lives as long as its line is written or read")]
pub enum Entry<'a> {
    /// Facts of the run as a whole, without blocks. A later line of this kind replaces an earlier one.
    Run(Cow<'a, RawRun>),
    /// The peak bandwidths known so far, where they changed.
    Ceilings(Cow<'a, [PeakBandwidths]>),
    /// A finished block.
    Block(Cow<'a, RawBlock>),
    /// The initiator ended: why it ended early, or `null`.
    End(Option<Cow<'a, str>>),
}

impl Entry<'_> {
    /// The line, with its end.
    pub fn to_line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The content of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// The run up to the last whole line. `aborted` is the initiator's own reason, if it wrote one.
    pub measured: RawRun,
    /// Whether the initiator wrote its last line.
    pub ended: bool,
    /// The first malformed line, from 1. `measured` contains nothing from there on.
    pub damaged_from: Option<usize>,
}

/// Replays a journal. A last line without its end was cut off and is ignored.
#[must_use]
pub fn replay(text: &[u8]) -> Journal {
    let mut journal = Journal { measured: RawRun::default(), ended: false, damaged_from: None };
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    for (line, number) in text[..whole].split_inclusive(|&byte| byte == b'\n').zip(1..) {
        let Ok(entry) = serde_json::from_slice::<Entry<'static>>(line) else {
            journal.damaged_from = Some(number);
            break;
        };
        match entry {
            Entry::Run(run) => {
                let blocks = std::mem::take(&mut journal.measured.blocks);
                journal.measured = RawRun { blocks, ..run.into_owned() };
            }
            Entry::Ceilings(ceilings) => journal.measured.ceilings = ceilings.into_owned(),
            Entry::Block(block) => journal.measured.blocks.push(block.into_owned()),
            Entry::End(reason) => {
                journal.measured.aborted = reason.map(Cow::into_owned);
                journal.ended = true;
            }
        }
    }
    journal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::CpuTime;

    fn run(memory_bytes: u64) -> Entry<'static> {
        Entry::Run(Cow::Owned(RawRun { memory_bytes, ..RawRun::default() }))
    }

    fn block(index: u32) -> Entry<'static> {
        let block = serde_json::json!({
            "block": {
                "index": index, "workload": "idle", "host_wait": "poll", "guest_wait": "poll", "size_bytes": 0,
                "warmup": 0, "count": 0, "corrupt_one": false
            },
            "wall_ns": 7, "operations": 0, "counters": {}, "cpu": CpuTime::default(),
            "clock": {"before_ns": 0.0, "after_ns": 0.0, "bound_ns": 0.0},
            "corrupt_answer": null, "bytes_verified": 0
        });
        Entry::Block(Cow::Owned(serde_json::from_value(block).expect("a block")))
    }

    fn text(entries: &[Entry<'_>]) -> Vec<u8> {
        entries.iter().flat_map(|entry| entry.to_line().expect("JSON")).collect()
    }

    #[test]
    fn replays_blocks_and_newest_facts() {
        let ceilings = Entry::Ceilings(Cow::Owned(vec![PeakBandwidths::default()]));
        let all = text(&[run(1), block(0), run(2), ceilings, block(1), Entry::End(None)]);
        let Journal { measured, ended, damaged_from } = replay(&all);
        let indices: Vec<u32> = measured.blocks.iter().map(|block| block.block.index).collect();
        assert_eq!((measured.memory_bytes, measured.ceilings.len(), indices), (2, 1, vec![0, 1]));
        assert_eq!((ended, measured.aborted, damaged_from), (true, None, None));
    }

    #[test]
    fn keeps_whole_lines_wherever_it_is_cut() {
        let whole = text(&[run(1), block(0), block(1)]);
        for end in 0..whole.len() {
            let journal = replay(&whole[..end]);
            let lines = whole[..end].split(|&byte| byte == b'\n').count() - 1;
            assert_eq!(journal.measured.blocks.len(), lines.saturating_sub(1), "{end}");
            assert!(!journal.ended && journal.damaged_from.is_none(), "{end}");
        }
    }

    #[test]
    fn stops_at_a_damaged_line_and_names_it() {
        let mut damaged = text(&[run(1), block(0)]);
        damaged.extend_from_slice(b"{\"block\": 3}\n");
        damaged.extend(text(&[block(2)]));
        let journal = replay(&damaged);
        assert_eq!((journal.measured.blocks.len(), journal.damaged_from), (1, Some(3)));
    }

    #[test]
    fn reason_of_an_early_end_is_read_back() {
        let ended = replay(&text(&[run(1), Entry::End(Some("no space".into()))]));
        assert_eq!(ended.measured.aborted.as_deref(), Some("no space"));
    }
}
