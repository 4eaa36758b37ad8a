//! The host side of the tests: publishes the layout, commands blocks, sends messages and reads acknowledgements.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bench_protocol::ack::{Ack, END, SENT, SeqState};
use bench_protocol::control::{BlockKind, BlockParams, DONE, FAILED, FINISH, READY, RUN, read_status, write_command};
use bench_protocol::counters::GuestCounters;
use bench_protocol::guest_stamps::GuestStamps;
use bench_protocol::hello::{Hello, read_text};
use bench_protocol::layout::Layout;
use bench_protocol::memory_map::{GUEST_ACK, GUEST_ARMED, HOST_ARMED, HOST_COMMAND, HOST_MESSAGE, HOST_PAYLOAD};
use doorbell::region::SharedRegion;
use guest_uio::responder::respond;

use crate::driver::Device;

/// The host's peer id.
pub(crate) const HOST_ID: u16 = 3;
/// Largest frame of the layout.
pub(crate) const MAX_FRAME: usize = 256 << 10;
/// Limit of every wait; generous, for loaded machines.
const TIMEOUT: Duration = Duration::from_secs(300);
/// The doorbell register in BAR0, and a value that no ring stores.
const DOORBELL: usize = 12;
const NOT_RUNG: u32 = u32::MAX;

pub(crate) struct TestHost {
    pub(crate) device: Device,
    pub(crate) memory: SharedRegion,
    registers: SharedRegion,
    pub(crate) layout: Layout,
    pub(crate) epoch: u64,
    pub(crate) next_seq: u64,
    /// Doorbells that this host rang.
    pub(crate) rings: u64,
    guest: Option<JoinHandle<anyhow::Result<()>>>,
}

impl TestHost {
    /// Starts a guest for one run, and waits for its hello.
    pub(crate) fn start() -> Self {
        let mut host = Self::without_guest(Device::new());
        host.start_guest(true);
        host.hello();
        host
    }

    /// A host that has published its layout.
    pub(crate) fn without_guest(device: Device) -> Self {
        let (memory, registers) = (device.map_memory(), device.map_registers());
        let layout = Layout::plan(memory.len(), MAX_FRAME, 11, HOST_ID).unwrap();
        layout.publish(&memory).unwrap();
        registers.word32(DOORBELL).unwrap().store(NOT_RUNG, Ordering::Relaxed);
        Self { device, memory, registers, layout, epoch: 0, next_seq: 1, rings: 0, guest: None }
    }

    pub(crate) fn start_guest(&mut self, once: bool) {
        let device = self.device.clone();
        self.guest = Some(thread::spawn(move || respond(&device.driver(), once)));
    }

    pub(crate) fn hello(&self) -> Hello {
        wait_for("hello", || Hello::read(&self.memory, self.layout.nonce).unwrap())
    }

    /// Parameters of a block whose sequence numbers follow those of the last block. Both sides poll.
    pub(crate) fn params(&mut self, kind: BlockKind, operations: u64) -> BlockParams {
        let first_seq = self.next_seq;
        // One more for END, and one for an early acknowledgement.
        self.next_seq += operations + 2;
        BlockParams { stamped: true, ..BlockParams::polling(kind, first_seq, operations) }
    }

    /// Commands a block and waits until the guest is ready.
    pub(crate) fn begin(&mut self, params: &BlockParams) {
        self.command(params);
        self.wait_for_status(READY);
    }

    /// Commands a block.
    pub(crate) fn command(&mut self, params: &BlockParams) {
        self.epoch += 1;
        params.publish(&self.memory, self.epoch).unwrap();
    }

    /// Commands a block whose parameter number `index` is `value`.
    pub(crate) fn command_with(&mut self, params: &BlockParams, index: usize, value: u64) {
        // The last epoch's command is not executed again.
        params.publish(&self.memory, self.epoch).unwrap();
        self.word(HOST_COMMAND + 8 + 8 * index).store(value, Ordering::Relaxed);
        self.epoch += 1;
        write_command(&self.memory, self.epoch, RUN).unwrap();
    }

    /// Waits for the end of the block.
    pub(crate) fn end(&self) -> GuestCounters {
        self.wait_for_status(DONE);
        GuestCounters::read(&self.memory).unwrap()
    }

    /// Waits until the guest has aborted the block; returns its reason.
    pub(crate) fn failure(&self) -> String {
        self.wait_for_status(FAILED);
        read_text(&self.memory).unwrap()
    }

    fn wait_for_status(&self, state: u8) {
        wait_for("status", || {
            let status = read_status(&self.memory).unwrap();
            if status.seq != self.epoch {
                return None;
            }
            assert!(status.state != FAILED || state == FAILED, "aborted: {}", read_text(&self.memory).unwrap());
            // A short block may be done before this reads READY.
            (status.state == state || (state, status.state) == (READY, DONE)).then_some(())
        });
    }

    /// Publishes a message with its payload, and rings the guest if it is armed.
    pub(crate) fn send(&mut self, seq: u64, payload: &[u64]) {
        for (i, value) in payload.iter().enumerate() {
            self.word(HOST_PAYLOAD + 8 * i).store(*value, Ordering::Relaxed);
        }
        self.publish(seq, SENT);
    }

    pub(crate) fn send_end(&mut self, seq: u64) {
        self.publish(seq, END);
    }

    fn publish(&mut self, seq: u64, state: u8) {
        self.word(HOST_MESSAGE).store(SeqState::pack(seq, state), Ordering::SeqCst);
        if self.word(GUEST_ARMED).swap(0, Ordering::SeqCst) != 0 {
            self.ring();
        }
    }

    pub(crate) fn ring(&mut self) {
        self.device.vector.as_ref().unwrap().write(1).unwrap();
        self.rings += 1;
    }

    /// Sends a valid short message and waits for its acknowledgement.
    pub(crate) fn pingpong(&mut self, seq: u64) -> Ack {
        self.send(seq, &[seq, 5, 5, 0, 0, 0, 0]);
        self.ack(seq)
    }

    /// The second acknowledgement of a message.
    pub(crate) fn ack(&self, seq: u64) -> Ack {
        wait_for("acknowledgement", || {
            let word = self.ack_word();
            (word.seq == seq).then(|| Ack::from_state(word.state)).filter(|ack| *ack != Ack::Received)
        })
    }

    pub(crate) fn ack_word(&self) -> SeqState {
        SeqState::unpack(self.word(GUEST_ACK).load(Ordering::Acquire))
    }

    pub(crate) fn arm(&self) {
        self.word(HOST_ARMED).store(1, Ordering::SeqCst);
    }

    /// Whether the guest has rung this host's vector 0 since the last call.
    pub(crate) fn take_ring(&self) -> bool {
        let value = self.registers.word32(DOORBELL).unwrap().swap(NOT_RUNG, Ordering::AcqRel);
        assert!(value == NOT_RUNG || value == u32::from(HOST_ID) << 16, "rang {value:#x}");
        value != NOT_RUNG
    }

    /// Waits until the guest writes the stamps of a message, after its doorbell. They are complete only after the block.
    pub(crate) fn await_stamps(&self, seq: u64) {
        wait_for("stamps", || GuestStamps::load(&self.memory, seq).unwrap());
    }

    /// The guest's stamps of a message of the block that has ended.
    pub(crate) fn stamps(&self, seq: u64) -> GuestStamps {
        assert_eq!(read_status(&self.memory).unwrap(), SeqState { seq: self.epoch, state: DONE });
        GuestStamps::load(&self.memory, seq).unwrap().expect("stamps")
    }

    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        self.memory.word(offset).unwrap()
    }

    /// Ends the run; returns the responder's result.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        write_command(&self.memory, self.epoch, FINISH).unwrap();
        self.join()
    }

    /// Waits for the responder's end.
    pub(crate) fn join(&mut self) -> anyhow::Result<()> {
        let guest = self.guest.take().unwrap();
        wait_for("the responder's end", || guest.is_finished().then_some(()));
        guest.join().unwrap()
    }
}

impl Drop for TestHost {
    /// A failed test must not leave a guest that polls.
    fn drop(&mut self) {
        let _ = write_command(&self.memory, self.epoch + 1, FINISH);
    }
}

/// Polls until there is a value.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    for attempt in 0_u64.. {
        if let Some(value) = poll() {
            return value;
        }
        assert!(start.elapsed() < TIMEOUT, "timeout while waiting for {what}");
        if attempt < 100 {
            thread::yield_now();
        } else {
            thread::sleep(Duration::from_micros(50));
        }
    }
    unreachable!("the attempts are not limited")
}
