//! A run: its blocks with their rows, one by one and by cell.

use std::collections::{BTreeMap, HashSet};

use crate::result::cell_key::CellKey;
use crate::result::metric::Metric;
use bench_model::Block;
use bench_model::raw::{RawBlock, RawRun};
use bench_model::samples::{Row, Status, mode_name};
use bench_model::units::size_name;

/// The raw run with the rows of each block.
#[derive(Debug, Clone)]
pub struct Run {
    measured: RawRun,
    /// Sorted by block, then as measured.
    rows: Vec<Row>,
}

impl Run {
    /// Joins blocks and rows, which may be in any order.
    #[must_use]
    pub fn new(measured: RawRun, mut rows: Vec<Row>) -> Self {
        rows.sort_by_key(|row| row.block);
        Self { measured, rows }
    }

    /// The raw run.
    #[must_use]
    pub fn measured(&self) -> &RawRun {
        &self.measured
    }

    /// All rows, including those of unfinished blocks.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The finished blocks, in the order in which they were measured.
    pub fn blocks(&self) -> impl Iterator<Item = RunBlock<'_>> {
        self.measured.blocks.iter().map(|measured| RunBlock { measured, rows: self.rows_of(measured.block.index) })
    }

    /// The finished blocks of a cell.
    pub fn blocks_of(&self, key: CellKey) -> impl Iterator<Item = RunBlock<'_>> {
        self.blocks().filter(move |block| CellKey::of_block(block.plan()) == key)
    }

    /// The finished blocks by cell.
    #[must_use]
    pub fn cells(&self) -> Vec<CellBlocks<'_>> {
        let mut cells: BTreeMap<CellKey, Vec<RunBlock<'_>>> = BTreeMap::new();
        for block in self.blocks() {
            cells.entry(CellKey::of_block(block.plan())).or_default().push(block);
        }
        cells.into_iter().map(|(key, blocks)| CellBlocks { key, blocks }).collect()
    }

    /// Rows of the block in which the run ended.
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
    /// Plan and counters.
    pub measured: &'a RawBlock,
    /// Its operations, in order.
    pub rows: &'a [Row],
}

impl<'a> RunBlock<'a> {
    /// The block's plan.
    #[must_use]
    pub fn plan(&self) -> &'a Block {
        &self.measured.block
    }

    /// The operations that ended ok: only these count for latencies.
    pub fn ok_rows(&self) -> impl Iterator<Item = &'a Row> + use<'a> {
        self.rows.iter().filter(|row| row.status == Status::Ok)
    }

    /// Operations that were run, warm-up included.
    #[must_use]
    pub fn operations_with_warmup(&self) -> u64 {
        self.measured.operations.saturating_add(self.plan().warmup)
    }

    /// Operations that the counters cover: with warm-up and a deliberately corrupted frame.
    #[must_use]
    pub fn operations_in_all(&self) -> u64 {
        self.operations_with_warmup().saturating_add(u64::from(self.plan().corrupt_one))
    }

    /// Whether at least one side blocks.
    #[must_use]
    pub fn any_side_blocks(&self) -> bool {
        self.plan().host_wait.blocks() || self.plan().guest_wait.blocks()
    }

    /// A description of the block for details and warnings.
    #[must_use]
    pub fn name(&self) -> String {
        let Block { index, workload, host_wait, guest_wait, size_bytes, conditions, .. } = self.plan();
        let conditions = conditions.to_string();
        let comma = if conditions.is_empty() { "" } else { ", " };
        let mode = mode_name(*host_wait, *guest_wait);
        format!("block {index} ({workload} {} {mode}{comma}{conditions})", size_name(*size_bytes))
    }
}

/// The blocks of a cell.
#[derive(Debug)]
pub struct CellBlocks<'a> {
    /// Their key.
    pub key: CellKey,
    /// In the order in which they were measured.
    pub blocks: Vec<RunBlock<'a>>,
}

impl CellBlocks<'_> {
    /// A metric, block by block. Blocks are empty for a metric that operations do not have.
    #[must_use]
    pub fn series(&self, metric: Metric) -> Vec<Vec<u64>> {
        let workload = self.key.workload;
        let of_block = |block: &RunBlock<'_>| block.ok_rows().filter_map(|row| metric.of_row(workload, row)).collect();
        self.blocks.iter().map(of_block).collect()
    }
}
