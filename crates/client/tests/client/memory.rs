//! Access to shared memory that another process truncates: an error instead of SIGBUS.

use std::fs::File;
use std::os::fd::AsFd;

use client::{Client, ClientError};
use proto::fd_passing::send;
use proto::wire::MEMORY;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use test_support::LONG;
use test_support::mock_server::{MockServer, Msg, send_messages, unsealed};
use test_support::real_server::RealServer;

const SIZE: u64 = 1 << 20;

/// A client of a server with unsealed memory, and that memory.
fn client_with_unsealed_memory() -> (Client, File) {
    client_with(unsealed(SIZE))
}

fn client_with(memory: File) -> (Client, File) {
    let held = memory.try_clone().unwrap();
    let server = MockServer::running(move |stream| {
        send_messages(stream, &[Msg::Plain(0), Msg::Plain(2)]);
        send(stream, MEMORY, Some(memory.as_fd())).unwrap();
        send_messages(stream, &[Msg::Eventfd(2)])
    });
    let client = server.join(Some(1), LONG).unwrap();
    (client, held)
}

#[test]
fn unsealed_memory_is_mapped_only_on_demand() {
    let (client, _held) = client_with_unsealed_memory();
    assert!(client.is_shrinkable());
    let error = client.map().unwrap_err();
    assert!(matches!(error, ClientError::MemoryNotSealed), "{error}");
    assert!(error.to_string().contains("SIGBUS"), "{error}");

    let region = client.map_unsealed().unwrap();
    client.write_at(SIZE - 5, b"there").unwrap();
    let mut seen = [0; 5];
    region.copy_out(region.len() - 5, &mut seen).unwrap();
    assert_eq!(&seen, b"there");
    region.copy_in(0, b"back").unwrap();
    client.read_at(0, &mut seen[..4]).unwrap();
    assert_eq!(&seen[..4], b"back");
}

#[test]
fn access_to_shrunk_memory_is_an_error() {
    let (client, held) = client_with_unsealed_memory();
    held.set_len(SIZE / 2).unwrap();
    let now = SIZE / 2;
    let mut bytes = [0; 16];
    // The rest can be read, the truncated part cannot.
    client.read_at(0, &mut bytes).unwrap();
    for offset in [SIZE / 2 - 8, SIZE / 2, SIZE - 16] {
        let error = client.read_at(offset, &mut bytes).unwrap_err();
        assert!(matches!(error, ClientError::MemoryShrank { size: SIZE, now: n } if n == now), "{error}");
        let error = client.write_at(offset, &bytes).unwrap_err();
        assert!(matches!(error, ClientError::MemoryShrank { size: SIZE, now: n } if n == now), "{error}");
    }
    assert_eq!(held.metadata().unwrap().len(), SIZE / 2, "a write must not make it grow again");
}

#[test]
fn writes_at_offset_despite_o_append() {
    let sealed = memfd::MemfdOptions::new().allow_sealing(true).create("sealed").unwrap();
    sealed.as_file().set_len(SIZE).unwrap();
    sealed.add_seals(&[memfd::FileSeal::SealShrink, memfd::FileSeal::SealGrow]).unwrap();
    for memory in [unsealed(SIZE), sealed.into_file()] {
        let (client, held) = client_with(memory);
        fcntl_setfl(&held, fcntl_getfl(&held).unwrap() | OFlags::APPEND).unwrap();
        assert!(fcntl_getfl(client.memory()).unwrap().contains(OFlags::APPEND), "they have one description");
        client.write_at(4090, b"across a page").unwrap();
        let mut seen = [0; 13];
        client.read_at(4090, &mut seen).unwrap();
        assert_eq!(&seen, b"across a page");
        assert_eq!(held.metadata().unwrap().len(), SIZE, "it did not grow");
    }
}

#[test]
fn access_beyond_end_is_an_error_without_effect() {
    let (client, held) = client_with_unsealed_memory();
    for (offset, len) in [(SIZE, 1), (SIZE - 1, 2), (u64::MAX, 1), (u64::MAX - 1, 2)] {
        let mut bytes = vec![1; len];
        let error = client.read_at(offset, &mut bytes).unwrap_err();
        assert!(matches!(error, ClientError::OutOfRange { size: SIZE, .. }), "{error}");
        let error = client.write_at(offset, &bytes).unwrap_err();
        assert!(matches!(error, ClientError::OutOfRange { size: SIZE, .. }), "{error}");
    }
    client.write_at(SIZE, &[]).unwrap();
    assert_eq!(held.metadata().unwrap().len(), SIZE);
}

#[test]
#[ignore = "takes 2 free huge pages: as root `echo 2 > /proc/sys/vm/nr_hugepages`, then `cargo test -p client huge -- --ignored`"]
fn writes_unsealed_huge_pages_until_truncated() {
    const HUGE: u64 = 4 << 20;
    let huge = memfd::MemfdOptions::new().hugetlb(Some(memfd::HugetlbSize::Huge2MB)).create("huge").unwrap();
    huge.as_file().set_len(HUGE).unwrap();
    let (client, held) = client_with(huge.into_file());
    client.write_at(HUGE / 2 - 3, b"across").unwrap();
    let mut seen = [0; 6];
    client.read_at(HUGE / 2 - 3, &mut seen).unwrap();
    assert_eq!(&seen, b"across");

    held.set_len(HUGE / 2).unwrap();
    let error = client.write_at(HUGE / 2, &seen).unwrap_err();
    assert!(matches!(error, ClientError::MemoryShrank { size: HUGE, .. }), "{error}");
}

#[test]
fn sealed_memory_is_shared_by_all_clients() {
    let server = RealServer::start(1);
    let (here, there) = (server.client(), server.client());
    assert!(!here.is_shrinkable());
    here.map().unwrap().copy_in(4096, b"hello").unwrap();
    let mut seen = [0; 5];
    there.read_at(4096, &mut seen).unwrap();
    assert_eq!(&seen, b"hello");
}
