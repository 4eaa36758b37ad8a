//! A small correct run.

use bench_model::raw::{
    BlockPlacement, ClockFit, CorruptAnswer, Counters, CpuTime, GuestFacts, Overhead, PeakBandwidth, PeakBandwidths,
    RawBlock, RawRun, ThreadAffinity, Traffic,
};
use bench_model::samples::{Row, Status, mode_name};
use bench_model::thread_usage::{ContextSwitches, Switches};
use bench_model::units::FRAME_1080P;
use bench_model::{Block, Conditions, Pinning, WaitMode, Workload};
use report::evaluate::evaluate;
use report::io::run::Run;
use report::result::environment::Environment;
use report::result::{RunResult, SelfCheck};

/// The raw result and the samples of a run.
#[derive(Debug, Clone)]
pub(crate) struct Synthetic {
    pub(crate) measured: RawRun,
    pub(crate) rows: Vec<Row>,
}

impl Synthetic {
    /// A run without blocks.
    pub(crate) fn empty() -> Self {
        let guest = GuestFacts {
            driver: "uio_pci_msix".into(),
            bar2_map: "wb".into(),
            bar2_cached: Some(true),
            bar2_ns_per_load: Some(1.5),
            bar2_read_gb_per_s: Some(8.0),
            bar2_streaming_read_gb_per_s: Some(9.0),
            bar2_write_gb_per_s: Some(7.0),
            kernel: "6.1.0".into(),
            clocksource: "tsc".into(),
            cpus: 2,
            cpu_model: "a processor".into(),
            command_line: "quiet".into(),
            steal_percent: Some(0.0),
            interrupts: true,
            interrupts_missing: String::new(),
        };
        let measured = RawRun {
            guest,
            tsc_hz: 2e9,
            host_peer: 1,
            guest_peer: 0,
            spin_ns: None,
            perf_missing: None,
            memory_bytes: 1 << 27,
            ceilings: [64, 4096, FRAME_1080P].map(ceilings).to_vec(),
            overhead: Some(Overhead { empty_operation_ns: 5.0, per_operation_ns: 20.0 }),
            blocks: Vec::new(),
            aborted: None,
        };
        Self { measured, rows: Vec::new() }
    }

    /// Polling and blocking, round trips and frames: blocks 0 to 3.
    pub(crate) fn both_modes() -> Self {
        Self::empty()
            .with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 40)
            .with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 40)
            .with(Workload::Frame, WaitMode::Poll, WaitMode::Poll, FRAME_1080P, 10)
            .with(Workload::Frame, WaitMode::Irq, WaitMode::Irq, FRAME_1080P, 10)
    }

    /// Adds a storm of `rings` doorbells, with a quarter as many interrupts, and the row of its last message.
    pub(crate) fn with_storm(self, rings: u64) -> Self {
        let mut run = self.with(Workload::Storm, WaitMode::Irq, WaitMode::Irq, 64, 1);
        let block = run.measured.blocks.last_mut().expect("just added");
        (block.block.count, block.operations) = (rings, rings);
        block.counters.rings = rings;
        block.counters.interrupts = Some(rings / 4);
        block.counters.uio_events = Some(rings / 4);
        block.traffic = Some(Traffic { sent: rings, seen: rings / 8, last_seen: true, span_ns: 1_000_000, full: 0 });
        run
    }

    /// Adds a stream of `messages` messages.
    pub(crate) fn with_stream(self, size_bytes: u64, messages: u64) -> Self {
        let mut run = self.with(Workload::Stream, WaitMode::Poll, WaitMode::Poll, size_bytes, 0);
        let block = run.measured.blocks.last_mut().expect("just added");
        block.block.limit_ms = Some(500);
        block.operations = messages;
        block.traffic =
            Some(Traffic { sent: messages, seen: messages, last_seen: true, span_ns: 500_000_000, full: 3 });
        run
    }

    /// Adds a block and its rows.
    pub(crate) fn with(
        mut self,
        workload: Workload,
        host_wait: WaitMode,
        guest_wait: WaitMode,
        size_bytes: u64,
        count: u64,
    ) -> Self {
        let index = u32::try_from(self.measured.blocks.len()).expect("few blocks");
        let block = Block {
            index,
            workload,
            host_wait,
            guest_wait,
            size_bytes,
            warmup: 2,
            count,
            limit_ms: None,
            corrupt_one: workload == Workload::Frame,
            conditions: Conditions::default(),
        };
        self.rows.extend((0..count).map(|position| row(&block, position)));
        self.measured.blocks.push(measured(block));
        self
    }

    /// Appends the blocks of another run.
    pub(crate) fn and(mut self, other: Self) -> Self {
        let behind = u32::try_from(self.measured.blocks.len()).expect("few blocks");
        self.measured.blocks.extend(other.measured.blocks.into_iter().map(|mut block| {
            block.block.index += behind;
            block
        }));
        self.rows.extend(other.rows.into_iter().map(|row| Row { block: row.block + behind, ..row }));
        self
    }

    /// The block at this index, for changes.
    pub(crate) fn block(&mut self, index: usize) -> &mut RawBlock {
        &mut self.measured.blocks[index]
    }

    /// The first row of a block, for changes.
    pub(crate) fn first_row(&mut self, block: u32) -> &mut Row {
        self.rows.iter_mut().find(|row| row.block == block).expect("the block has rows")
    }

    /// The document. Its only warning is about emulation.
    pub(crate) fn result(self) -> RunResult {
        let environment = Environment {
            accel: "tcg".into(),
            irqfd: Some(false),
            accel_seen: Some("tcg".into()),
            cores: 3,
            ..Environment::default()
        };
        self.result_on(environment)
    }

    /// The document of the run in another environment.
    pub(crate) fn result_on(self, environment: Environment) -> RunResult {
        evaluate(environment, serde_json::json!({"workload": "all"}), &Run::new(self.measured, self.rows), None)
    }

    /// One of its self-checks.
    pub(crate) fn check(self, id: u32) -> SelfCheck {
        self.result().self_checks.into_iter().find(|check| check.id == id).expect("every run has every check")
    }
}

/// Equal for both sides, and above the copy rates of the frames.
fn ceilings(size_bytes: u64) -> PeakBandwidths {
    let side = |copy: f64| PeakBandwidth {
        heap_to_heap: copy,
        heap_to_region: copy,
        region_to_heap: copy,
        heap_read: copy,
        region_read: copy,
        region_sha256: copy,
        sha256: copy / 45.0,
        stamp_ns: 10.0,
    };
    PeakBandwidths { size_bytes, host: side(17e9), guest: side(17e9) }
}

fn measured(block: Block) -> RawBlock {
    let is_irq = |wait| wait == WaitMode::Irq;
    let sent = block.count + block.warmup + u64::from(block.corrupt_one);
    let doorbells = |wait: WaitMode| if is_irq(wait) { sent } else { 0 };
    let counters = Counters {
        rings: doorbells(block.guest_wait),
        interrupts: Some(doorbells(block.guest_wait)),
        uio_events: Some(doorbells(block.guest_wait)),
        guest_waits: doorbells(block.guest_wait),
        guest_rings: doorbells(block.host_wait),
        host_events: doorbells(block.host_wait),
        host_waits: doorbells(block.host_wait),
        ..Counters::default()
    };
    let wall_ns = block.count * 100_000;
    let busy = if is_irq(block.host_wait) { wall_ns / 4 } else { wall_ns };
    let is_frame = block.workload == Workload::Frame;
    RawBlock {
        wall_ns,
        operations: block.count,
        counters,
        cpu: CpuTime {
            host_ns: busy,
            vcpu_ns: Some(busy),
            main_loop_ns: Some(0),
            vcpus_ns: vec![busy],
            switches: switches(&block),
            ..CpuTime::default()
        },
        clock: ClockFit { before_ns: 1_000.0, after_ns: 1_010.0, bound_ns: 25.0 },
        corrupt_answer: is_frame.then_some(CorruptAnswer::Refused),
        bytes_verified: if is_frame { block.count * block.size_bytes } else { 0 },
        placement: Some(placement()),
        traffic: None,
        unsent: 0,
        suspended_ns: 0,
        block,
    }
}

/// As under emulation, where QEMU's main loop forwards each doorbell to the guest. Only frames last long enough to be
/// preempted.
fn switches(block: &Block) -> ContextSwitches {
    let once_per_operation = |wait: WaitMode| {
        let voluntary = if wait == WaitMode::Irq { block.count } else { 0 };
        Some(Switches { voluntary, involuntary: u64::from(block.workload == Workload::Frame) })
    };
    ContextSwitches {
        host: once_per_operation(block.host_wait),
        vcpus: once_per_operation(block.guest_wait),
        main_loop: once_per_operation(block.guest_wait),
    }
}

/// The initiator and the virtual CPU on their requested CPUs, QEMU's main loop not pinned.
fn placement() -> BlockPlacement {
    let on = |allowed: &[usize], cpu| Some(ThreadAffinity { allowed: allowed.to_vec(), last_cpu: Some(cpu) });
    BlockPlacement {
        wanted: Pinning { host: Some(0), vcpus: vec![Some(1)], main_loop: None },
        host: on(&[0], 0),
        vcpus: vec![on(&[1], 1)],
        main_loop: on(&[0, 1], 1),
    }
}

/// Plausible legs that increase with the position, so percentiles differ. As in a real run, round trips lack H0, H1 and
/// G2, and a polling guest does not stamp the detection of a message.
fn row(block: &Block, position: u64) -> Row {
    let is_frame = block.workload == Workload::Frame;
    let is_irq = block.guest_wait == WaitMode::Irq;
    let way = if is_irq { 30_000 } else { 100 } + position;
    let (write, read, verify) = if is_frame { (500_000, 4_000_000, 180_000_000) } else { (0, 0, 0) };
    let h0 = 1_000_000_000 * u64::from(block.index) + 200_000_000 * position;
    let h1 = h0 + write;
    let h2 = h1 + 5;
    let g1 = h2 + way;
    let g2 = g1 + 5;
    let g3 = g2 + read;
    let g4 = g3 + verify;
    let g5 = g4 + 5;
    let h5 = g5 + way;
    let h4 = if is_frame { g2 + way } else { h5 };
    let signed = |ns: u64| i64::try_from(ns).expect("short");
    Row {
        block: block.index,
        workload: block.workload,
        mode: mode_name(block.host_wait, block.guest_wait),
        host_wait: block.host_wait,
        guest_wait: block.guest_wait,
        seq: u64::from(block.index) * 1_000 + position,
        size_bytes: block.size_bytes,
        due_ns: None,
        h0_ns: is_frame.then_some(h0),
        h1_ns: is_frame.then_some(h1),
        h2_ns: Some(h2),
        h3_ns: is_irq.then_some(h2 + 50),
        g0_ns: is_irq.then_some(g1 - 4),
        g1_ns: (is_frame || is_irq).then_some(g1),
        g2_ns: is_frame.then_some(g2),
        g3_ns: is_frame.then_some(g3),
        g4_ns: is_frame.then_some(g4),
        g5_ns: Some(g5),
        h4_ns: Some(h4),
        h5_ns: Some(h5),
        write_ns: is_frame.then_some(write),
        ring_ns: is_irq.then_some(50),
        inject_ns: is_irq.then_some(signed(way) - 4),
        wake_ns: is_irq.then_some(4),
        notify_ns: (is_frame || is_irq).then_some(signed(way)),
        ack_ns: is_frame.then_some(signed(way)),
        read_ns: is_frame.then_some(read),
        verify_ns: is_frame.then_some(verify),
        handle_ns: (is_frame || is_irq).then_some(10),
        answer_ns: Some(signed(way)),
        rtt_ns: Some(h5 - h2),
        end_to_end_ns: is_frame.then_some(h5 - h0),
        corrected_ns: None,
        status: Status::Ok,
    }
}
