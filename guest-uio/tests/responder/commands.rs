//! Hello, commands, and the end of a run.

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use bench_protocol::ack::Ack;
use bench_protocol::control::{ABORT, BlockKind, BlockParams, WaitMode, write_command};
use bench_protocol::hello::read_text;
use bench_protocol::layout::{Layout, LayoutError};
use bench_protocol::memory_map::STAMP_COUNT;
use serde_json::Value;

use crate::driver::{Device, GUEST_ID};
use crate::host::TestHost;

/// Offset of the layout's fingerprint in the header.
const FINGERPRINT: usize = 16;

#[test]
fn hello_contains_peer_id_and_facts() {
    let host = TestHost::start();
    let hello = host.hello();
    assert_eq!(hello.peer, GUEST_ID);
    let facts: Value = serde_json::from_str(&hello.text).unwrap();
    assert_eq!(facts["driver"], "test");
    assert_eq!(facts["bar2_map"], "memory object");
    assert_eq!(facts["interrupts"], true);
    assert!(facts["cpus"].as_u64() > Some(0) && facts["bar2_write_gb_per_s"].as_f64() > Some(0.0), "{facts}");
    host.finish().unwrap();
}

#[test]
fn hello_reports_why_interrupts_are_missing() {
    let mut host = TestHost::without_guest(Device::without_interrupts());
    host.start_guest(true);
    let facts: Value = serde_json::from_str(&host.hello().text).unwrap();
    assert_eq!(facts["interrupts"], false);
    assert_eq!(facts["interrupts_missing"], "the test driver lacks interrupts");
    host.finish().unwrap();
}

#[test]
fn blocking_block_without_interrupts_fails_with_reason() {
    let mut host = TestHost::without_guest(Device::without_interrupts());
    host.start_guest(true);
    host.hello();
    for guest_wait in [WaitMode::Irq, WaitMode::Hybrid] {
        let params = BlockParams { guest_wait, ..host.params(BlockKind::Messages, 1) };
        host.command(&params);
        assert_eq!(host.failure(), "the test driver lacks interrupts");
    }
    let params = host.params(BlockKind::Messages, 1);
    host.begin(&params);
    assert_eq!(host.pingpong(params.first_seq), Ack::Processed, "polling works without interrupts");
    assert_eq!(host.end().events, None);
    host.finish().unwrap();
}

#[test]
fn invalid_parameters_fail_the_block_not_the_run() {
    let mut host = TestHost::start();
    let params = host.params(BlockKind::Messages, 1);
    for (index, value) in [(0, 99), (1, 0), (2, 9), (3, 0), (3, STAMP_COUNT as u64 + 1), (4, 1 << 55)] {
        host.command_with(&params, index, value);
        assert_eq!(host.failure(), "invalid block parameters", "parameter {index} = {value}");
    }
    for params in [
        BlockParams { kind: BlockKind::Stream, slots: 4, bytes: 0, ..params },
        BlockParams { kind: BlockKind::Stream, slots: u64::MAX, bytes: 64, ..params },
        BlockParams { kind: BlockKind::PeakBandwidth, bytes: u64::MAX, ..params },
    ] {
        // The guest reports READY before it examines a stream's ring.
        host.command(&params);
        assert_eq!(host.failure(), "invalid block parameters", "{params:?}");
    }
    let params = host.params(BlockKind::Messages, 1);
    host.begin(&params);
    assert_eq!(host.pingpong(params.first_seq), Ack::Processed);
    host.end();
    host.finish().unwrap();
}

#[test]
fn abort_ends_a_block_in_every_wait_mode() {
    let mut host = TestHost::start();
    for guest_wait in [WaitMode::Poll, WaitMode::Irq, WaitMode::Hybrid] {
        let params = BlockParams { guest_wait, ..host.params(BlockKind::Messages, 2) };
        host.begin(&params);
        assert_eq!(host.pingpong(params.first_seq), Ack::Processed);
        write_command(&host.memory, host.epoch, ABORT).unwrap();
        assert_eq!(host.failure(), "the host aborted the block", "{guest_wait:?}");
    }
    host.finish().unwrap();
}

#[test]
fn same_epoch_is_not_executed_twice() {
    let mut host = TestHost::start();
    let params = host.params(BlockKind::Messages, 1);
    host.begin(&params);
    host.pingpong(params.first_seq);
    host.end();
    // Executed again, these invalid parameters would fail the block.
    host.epoch -= 1;
    host.command(&BlockParams { operations: 0, ..params });
    sleep(Duration::from_millis(50));
    assert_eq!(host.end().operations, 1);
    host.finish().unwrap();
}

#[test]
fn header_of_another_host_ends_the_run() {
    let mut host = TestHost::start();
    Layout { nonce: 12, ..host.layout }.publish(&host.memory).unwrap();
    host.join().unwrap();
}

#[test]
fn serves_the_next_host_unless_once() {
    let mut host = TestHost::without_guest(Device::new());
    host.start_guest(false);
    host.hello();
    host.layout.nonce += 1;
    host.layout.publish(&host.memory).unwrap();
    host.hello();
    let params = host.params(BlockKind::Messages, 1);
    host.begin(&params);
    assert_eq!(host.pingpong(params.first_seq), Ack::Processed);
    host.end();
    // An invalid fingerprint ends the responder, which would otherwise wait for more hosts.
    host.word(FINGERPRINT).store(0, Ordering::Relaxed);
    assert!(host.join().is_err());
}

#[test]
fn incompatible_layout_is_an_error() {
    let mut host = TestHost::without_guest(Device::new());
    host.word(FINGERPRINT).fetch_xor(1, Ordering::Relaxed);
    host.start_guest(true);
    let error = host.join().unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(LayoutError::Incompatible { .. })), "{error}");
}

#[test]
fn peak_bandwidth_is_returned_as_json() {
    let mut host = TestHost::start();
    let params = BlockParams { bytes: 64 << 10, ..host.params(BlockKind::PeakBandwidth, 1) };
    host.begin(&params);
    host.end();
    let rates: Value = serde_json::from_str(&read_text(&host.memory).unwrap()).unwrap();
    for key in
        ["heap_to_heap", "heap_to_region", "region_to_heap", "heap_read", "region_read", "sha256", "region_sha256"]
    {
        assert!(rates[key].as_f64() > Some(1e6), "{key}: {rates}");
    }
    assert!(rates["stamp_ns"].as_f64() > Some(0.0), "{rates}");
    host.finish().unwrap();
}

#[test]
fn removed_device_fails_the_block() {
    let mut host = TestHost::start();
    let params = BlockParams { guest_wait: WaitMode::Irq, ..host.params(BlockKind::Messages, 1) };
    host.begin(&params);
    host.device.removed.store(true, Ordering::Relaxed);
    assert_eq!(host.failure(), "the guest's device was unplugged, or taken from its driver");
    host.finish().unwrap();
}
