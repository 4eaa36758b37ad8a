//! Frames in slots: headers, hashes and stamps.

use bench_protocol::ack::{Ack, NackReason};
use bench_protocol::control::{BlockKind, BlockParams, WaitMode};
use bench_protocol::frame::FrameHeader;
use bench_protocol::memory_map::PAGE;
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

use crate::host::{MAX_FRAME, TestHost};

/// Writes a frame of `len` bytes into a slot; returns its valid header.
pub(crate) fn write_frame(host: &TestHost, slot: u64, seq: u64, len: usize) -> FrameHeader {
    let bytes: Vec<u8> = (0..len).map(|i| (i as u64 ^ seq).to_le_bytes()[0]).collect();
    host.memory.copy_in(host.layout.slot(slot).unwrap() + PAGE, &bytes).unwrap();
    FrameHeader::new(seq, len as u64, Sha256::digest(&bytes).into())
}

/// Sends the frame of a slot with this header.
pub(crate) fn send_frame(host: &mut TestHost, slot: u64, seq: u64, header: &FrameHeader) -> Ack {
    if let Some(offset) = host.layout.slot(slot) {
        host.memory.copy_in(offset, header.as_bytes()).unwrap();
    }
    host.send(seq, &[slot, 0, 0, 0, 0, 0, 0]);
    host.ack(seq)
}

#[test]
fn frames_with_right_hash_are_processed_in_every_slot() {
    let mut host = TestHost::start();
    for guest_wait in [WaitMode::Poll, WaitMode::Irq] {
        let params = BlockParams { guest_wait, ..host.params(BlockKind::Frame, 6) };
        host.begin(&params);
        for seq in params.first_seq..params.first_seq + 6 {
            let (slot, len) = (seq % 3, if seq % 2 == 0 { MAX_FRAME } else { 1 });
            let header = write_frame(&host, slot, seq, len);
            assert_eq!(send_frame(&mut host, slot, seq, &header), Ack::Processed, "{len} bytes in slot {slot}");
        }
        assert_eq!(host.end().operations, 6);
        for seq in params.first_seq..params.first_seq + 6 {
            let stamps = host.stamps(seq);
            let order = [stamps.detected, stamps.received, stamps.read, stamps.verified, stamps.acked];
            assert!(order[0] > 0 && order.is_sorted(), "{stamps:?}");
        }
    }
    host.finish().unwrap();
}

#[test]
fn frame_with_wrong_hash_is_refused() {
    let mut host = TestHost::start();
    let params = host.params(BlockKind::Frame, 2);
    host.begin(&params);
    let seq = params.first_seq;
    let mut header = write_frame(&host, 0, seq, 5000);
    header.sha256[31] ^= 1;
    assert_eq!(send_frame(&mut host, 0, seq, &header), Ack::Refused(NackReason::Hash));
    let header = write_frame(&host, 0, seq + 1, 5000);
    assert_eq!(send_frame(&mut host, 0, seq + 1, &header), Ack::Processed);
    host.end();
    host.finish().unwrap();
}

#[test]
fn frame_with_changed_byte_is_refused() {
    let mut host = TestHost::start();
    let params = host.params(BlockKind::Frame, 1);
    host.begin(&params);
    let header = write_frame(&host, 2, params.first_seq, 5000);
    host.memory.copy_in(host.layout.slot(2).unwrap() + PAGE + 4999, &[0xff]).unwrap();
    assert_eq!(send_frame(&mut host, 2, params.first_seq, &header), Ack::Refused(NackReason::Hash));
    host.end();
    host.finish().unwrap();
}

#[test]
fn frame_with_invalid_header_or_slot_is_refused() {
    let mut host = TestHost::start();
    let params = host.params(BlockKind::Frame, 6);
    host.begin(&params);
    for (i, seq) in (params.first_seq..params.first_seq + 6).enumerate() {
        let mut header = write_frame(&host, 0, seq, 64);
        let mut slot = 0;
        match i {
            0 => header.magic = 0,
            1 => header.seq += 1,
            2 => header.len = 0,
            3 => header.len = MAX_FRAME as u64 + 1,
            4 => header.len = u64::MAX,
            _ => slot = host.layout.slots as u64,
        }
        assert_eq!(send_frame(&mut host, slot, seq, &header), Ack::Refused(NackReason::Header), "case {i}");
    }
    host.end();
    host.finish().unwrap();
}
