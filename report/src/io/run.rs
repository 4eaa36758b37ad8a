//! A run as it was read: its blocks, each with its rows.

use std::collections::HashSet;

use crate::result::Cell;
use crate::result::cell_key::CellKey;
use bench_model::Block;
use bench_model::frame_size::size_name;
use bench_model::raw::{RawBlock, RawRun};
use bench_model::samples::{Row, Status, mode_name};

/// What the initiator brought back, with the rows in reach of their blocks.
#[derive(Debug, Clone)]
pub struct Run {
    measured: RawRun,
    /// Ordered by block, and within a block as they were measured.
    rows: Vec<Row>,
}

impl Run {
    /// Brings rows, in any order of blocks, and blocks together.
    #[must_use]
    pub fn new(measured: RawRun, mut rows: Vec<Row>) -> Self {
        rows.sort_by_key(|row| row.block);
        Self { measured, rows }
    }

    /// What the initiator said of the run as a whole.
    #[must_use]
    pub fn measured(&self) -> &RawRun {
        &self.measured
    }

    /// All rows, those of unfinished blocks included.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The finished blocks, in the order in which they were measured.
    pub fn blocks(&self) -> impl Iterator<Item = RunBlock<'_>> {
        self.measured.blocks.iter().map(|measured| RunBlock { measured, rows: self.rows_of(measured.block.index) })
    }

    /// The finished blocks that a cell was made of.
    pub fn blocks_of<'a>(&'a self, cell: &Cell) -> impl Iterator<Item = RunBlock<'a>> + use<'a> {
        let key = cell.key();
        self.blocks().filter(move |block| CellKey::of_block(block.plan()) == key)
    }

    /// Rows that belong to no finished block: those of the block in which the run ended.
    pub fn unfinished_rows(&self) -> impl Iterator<Item = &Row> {
        let finished: HashSet<u32> = self.measured.blocks.iter().map(|block| block.block.index).collect();
        self.rows.iter().filter(move |row| !finished.contains(&row.block))
    }

    fn rows_of(&self, index: u32) -> &[Row] {
        let from = self.rows.partition_point(|row| row.block < index);
        let to = self.rows.partition_point(|row| row.block <= index);
        &self.rows[from..to]
    }
}

/// A finished block with its rows.
#[derive(Debug, Clone, Copy)]
pub struct RunBlock<'a> {
    /// What was asked and counted.
    pub measured: &'a RawBlock,
    /// Its operations, in order.
    pub rows: &'a [Row],
}

impl<'a> RunBlock<'a> {
    /// What was asked.
    #[must_use]
    pub fn plan(&self) -> &'a Block {
        &self.measured.block
    }

    /// The operations that ended ok: the only ones that enter a figure.
    pub fn ok_rows(&self) -> impl Iterator<Item = &'a Row> + use<'a> {
        self.rows.iter().filter(|row| row.status == Status::Ok)
    }

    /// Operations that were run, warm-up included.
    #[must_use]
    pub fn operations_with_warmup(&self) -> u64 {
        self.measured.operations.saturating_add(self.plan().warmup)
    }

    /// Operations over which the counters ran: warm-up and a frame that was corrupted on purpose included.
    #[must_use]
    pub fn operations_in_all(&self) -> u64 {
        self.operations_with_warmup().saturating_add(u64::from(self.plan().corrupt_one))
    }

    /// Whether one side at least blocks.
    #[must_use]
    pub fn any_side_blocks(&self) -> bool {
        self.plan().host_wait.blocks() || self.plan().guest_wait.blocks()
    }

    /// The block in words, for details and warnings.
    #[must_use]
    pub fn name(&self) -> String {
        let Block { index, workload, host_wait, guest_wait, size_bytes, conditions, .. } = self.plan();
        let conditions = conditions.to_string();
        let comma = if conditions.is_empty() { "" } else { ", " };
        let mode = mode_name(*host_wait, *guest_wait);
        format!("block {index} ({workload} {} {mode}{comma}{conditions})", size_name(*size_bytes))
    }
}
