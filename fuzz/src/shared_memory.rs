//! Properties of the benchmark's reads from shared memory.

use std::sync::atomic::Ordering;

use bench_protocol::control::BlockParams;
use bench_protocol::counters::GuestCounters;
use bench_protocol::frame::FrameHeader;
use bench_protocol::guest_stamps::GuestStamps;
use bench_protocol::hello::{Hello, read_text};
use bench_protocol::layout::Layout;
use bench_protocol::memory_map::{self, MAX_TEXT, STAMP_COUNT};
use bench_protocol::stream::SlotRing;
use doorbell::region::SharedRegion;
use memfd::MemfdOptions;

/// Size of the region: the fixed part of the layout, and some slots.
const REGION: u64 = 8 << 20;
/// Bytes written to each place.
const PIECE: usize = 40;

/// Arbitrary contents of the shared memory, as the other side may write them at any time. The first byte chooses whether the
/// header is valid at first. The other bytes overwrite header, command, counters, text and records in turn.
///
/// Must not panic, and accepted values must stay inside the region.
pub fn layout(data: &[u8]) {
    let object = MemfdOptions::default().create("layout").expect("a memfd");
    object.as_file().set_len(REGION).expect("a size");
    let region = SharedRegion::map_object(object.as_file()).expect("a mapping");
    let (kind, data) = data.split_first().map_or((0, data), |(kind, data)| (*kind, data));
    if kind & 1 == 1 {
        let plan = Layout::plan(region.len(), 4096, 7, 1).expect("a frame of a page fits");
        plan.publish(&region).expect("the header fits");
    }
    // A valid header keeps its magic, version and fingerprint.
    let header = if kind & 1 == 1 { 24 } else { 0 };
    let places = [
        header,
        memory_map::HOST_COMMAND,
        memory_map::HOST_COMMAND + PIECE,
        memory_map::GUEST_HELLO,
        memory_map::TEXT,
        memory_map::GUEST_COUNTERS,
        memory_map::STAMPS,
    ];
    for (place, bytes) in places.into_iter().cycle().zip(data.chunks(PIECE)) {
        region.copy_in(place, bytes).expect("within the fixed part");
    }
    check_layout(&region);
    check_block_params(&region);
    let nonce = region.word(memory_map::GUEST_HELLO).expect("aligned").load(Ordering::Relaxed);
    let hello = Hello::read(&region, nonce).expect("within the region");
    assert_eq!(hello.map(|hello| hello.text), Some(read_text(&region).expect("within the region")));
    // An invalid byte becomes a replacement character of three bytes.
    assert!(read_text(&region).expect("within the region").len() <= 3 * MAX_TEXT);
    GuestCounters::read(&region).expect("within the region");
    for seq in [0, 1, STAMP_COUNT as u64, u64::MAX] {
        let record = GuestStamps::load(&region, seq).expect("within the region");
        assert!(record.is_none_or(|record| record.seq == seq));
    }
}

fn check_layout(region: &SharedRegion) {
    let Ok(Some(layout)) = Layout::read(region) else { return };
    assert!(layout.slots > 0);
    assert_eq!(layout.slot(layout.slots as u64), None);
    for index in [0, layout.slots as u64 - 1] {
        let slot = layout.slot(index).expect("an existing slot");
        let end = slot.checked_add(layout.stride).expect("no overflow");
        assert!(slot >= memory_map::SLOTS && end <= region.len());
        let mut bytes = [0; 56];
        region.copy_out(slot, &mut bytes).expect("within the slot");
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let header = FrameHeader::new(word(8), word(16), [0; 32]);
        if let Some(len) = header.validate(word(8), layout.payload_bytes()) {
            assert!(slot + memory_map::PAGE + len <= region.len());
        }
    }
}

fn check_block_params(region: &SharedRegion) {
    let Some(block) = BlockParams::read(region).expect("within the region") else { return };
    assert!((1..=STAMP_COUNT as u64).contains(&block.operations));
    assert!(block.first_seq.checked_add(block.operations).is_some_and(|end| end < 1 << 56));
    if let Some(ring) = SlotRing::new(region.len(), block.slots, block.bytes) {
        for seq in [0, block.slots - 1, block.first_seq, u64::MAX] {
            assert!(ring.slot(seq) + ring.bytes <= region.len());
        }
    }
}
