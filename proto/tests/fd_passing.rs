//! Descriptors through real sockets. Each test writes through the received descriptor and checks the original, which
//! proves that it is the right one.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use proto::fd_passing::{ReceiveError, Received, SendError, receive, send, send_batch};
use proto::wire::{DecodeError, Decoder, Message, encode};
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

fn message(socket: &UnixStream, decoder: &mut Decoder<OwnedFd>) -> Message<OwnedFd> {
    match receive(socket, decoder).unwrap() {
        Received::Message(message) => message,
        other => panic!("expected a message, got {other:?}"),
    }
}

/// Sends bytes with as many descriptors as a test likes.
fn send_raw(socket: &UnixStream, bytes: &[u8], count: usize) {
    let file = File::open("/dev/null").unwrap();
    let fds = vec![file.as_fd(); count];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
}

#[test]
fn receives_the_sent_descriptor() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    send(&ours, 5, Some(writer.as_fd())).unwrap();
    drop(writer);

    let received = message(&theirs, &mut Decoder::new());
    assert_eq!(received.value, 5);
    let mut file = File::from(received.fd.unwrap());
    file.write_all(b"through it").unwrap();
    drop(file);
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "through it");
}

#[test]
fn received_descriptor_is_closed_on_exec() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    send(&ours, 0, Some(ours.as_fd())).unwrap();
    let fd = message(&theirs, &mut Decoder::new()).fd.unwrap();
    assert!(fcntl_getfd(&fd).unwrap().contains(FdFlags::CLOEXEC));
}

#[test]
fn does_not_merge_plain_and_descriptor_messages() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    for (value, fd) in [(0, None), (7, None), (-1, Some(writer.as_fd())), (7, None)] {
        send(&ours, value, fd).unwrap();
    }
    let mut decoder = Decoder::new();
    let seen: Vec<_> =
        (0..4).map(|_| message(&theirs, &mut decoder)).map(|message| (message.value, message.fd.is_some())).collect();
    assert_eq!(seen, [(0, false), (7, false), (-1, true), (7, false)]);
}

#[test]
fn split_message_keeps_its_descriptor() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let bytes = encode(0x0102_0304_0506_0708);
    let mut decoder = Decoder::new();
    send_raw(&ours, &bytes[..3], 1);
    assert!(matches!(receive(&theirs, &mut decoder), Ok(Received::NotYet)));
    ours.write_all(&bytes[3..]).unwrap();
    let received = message(&theirs, &mut decoder);
    assert_eq!(received.value, 0x0102_0304_0506_0708);
    assert!(received.fd.is_some());
}

#[test]
fn refuses_two_descriptors_in_a_message() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    send_raw(&ours, &encode(1), 2);
    let error = receive(&theirs, &mut Decoder::new()).unwrap_err();
    assert!(matches!(error, ReceiveError::TooManyDescriptors(2)), "{error}");
}

#[test]
fn refuses_a_descriptor_with_each_part() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    send_raw(&ours, &[0; 4], 1);
    send_raw(&ours, &[0; 4], 1);
    let error = receive(&theirs, &mut Decoder::new()).unwrap_err();
    let second = matches!(error, ReceiveError::Decode(DecodeError::SecondDescriptor));
    assert!(second, "{error}");
}

#[test]
fn truncated_control_data_closes_descriptors() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    let fds = [writer.as_fd(); 16];
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(&ours, &[IoSlice::new(&encode(1))], &mut control, SendFlags::empty()).unwrap();
    drop(writer);

    let error = receive(&theirs, &mut Decoder::new()).unwrap_err();
    assert!(matches!(error, ReceiveError::DescriptorLost), "{error}");
    // The pipe ends only when every copy of its writing end is closed.
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn distinguishes_end_between_and_within_messages() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut decoder = Decoder::new();
    send(&ours, 1, None).unwrap();
    drop(ours);
    message(&theirs, &mut decoder);
    assert!(matches!(receive(&theirs, &mut decoder), Ok(Received::Closed)));

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(&[0; 5]).unwrap();
    drop(ours);
    let error = receive(&theirs, &mut Decoder::new()).unwrap_err();
    let received = 5;
    let expected = DecodeError::EndWithinMessage { received };
    assert!(matches!(error, ReceiveError::Decode(e) if e == expected), "{error}");
}

#[test]
fn full_socket_is_reported_and_loses_nothing() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let file = File::open("/dev/null").unwrap();
    let mut sent = 0;
    let full = loop {
        match send(&ours, sent, Some(file.as_fd())) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendError::WouldBlock), "{full}");

    let mut decoder = Decoder::new();
    for expected in 0..sent {
        let received = message(&theirs, &mut decoder);
        assert_eq!((received.value, received.fd.is_some()), (expected, true));
    }
    assert!(matches!(receive(&theirs, &mut decoder), Ok(Received::NotYet)));
    send(&ours, sent, None).unwrap();
}

#[test]
fn reports_sending_to_a_closed_socket() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let error = send(&ours, 0, None).unwrap_err();
    assert!(matches!(error, SendError::Disconnected), "{error}");
}

/// Pipes, and a proof of which of them a descriptor is the writing end.
fn pipes(count: usize) -> (Vec<std::io::PipeReader>, Vec<std::io::PipeWriter>) {
    (0..count).map(|_| std::io::pipe().unwrap()).unzip()
}

#[test]
fn batch_keeps_each_messages_descriptor() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut readers, writers) = pipes(40);
    let fds = writers.iter().map(|writer| Some(writer.as_fd()));
    // Plain messages before, between and behind those with descriptors.
    let mut batch: Vec<_> = fds.zip(100..).map(|(fd, value)| Message { value, fd }).collect();
    for at in [40, 17, 17, 0, 0] {
        batch.insert(at, Message { value: -5, fd: None });
    }
    assert_eq!(send_batch(&ours, &batch, 0).unwrap(), batch.len() * 8);

    let mut decoder = Decoder::new();
    let received: Vec<_> = batch.iter().map(|_| message(&theirs, &mut decoder)).collect();
    let values: Vec<_> = received.iter().map(|message| message.value).collect();
    assert_eq!(values, batch.iter().map(|message| message.value).collect::<Vec<_>>());
    drop(batch);
    drop(writers);
    for Message { value, fd } in received {
        assert_eq!(fd.is_some(), value >= 100, "{value}");
        if let Some(fd) = fd {
            File::from(fd).write_all(&[u8::try_from(value).unwrap()]).unwrap();
        }
    }
    for (reader, value) in readers.iter_mut().zip(100..) {
        let mut seen = Vec::new();
        reader.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, [value]);
    }
}

#[test]
fn batch_is_sent_as_far_as_it_fits() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let file = File::open("/dev/null").unwrap();
    let batch: Vec<_> = (0..4096).map(|value| Message { value, fd: Some(file.as_fd()) }).collect();
    let mut sent = 0;
    let full = loop {
        match send_batch(&ours, &batch[sent..][..64], 0) {
            Ok(bytes) => sent += bytes / 8,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendError::WouldBlock), "{full}");
    let mut decoder = Decoder::new();
    for expected in 0..sent {
        let received = message(&theirs, &mut decoder);
        assert_eq!((received.value, received.fd.is_some()), (i64::try_from(expected).unwrap(), true));
    }
    assert!(matches!(receive(&theirs, &mut decoder), Ok(Received::NotYet)));
}

#[test]
fn rest_of_a_message_has_no_descriptor() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let whole = [1, 2].map(|value| Message { value, fd: Some(file.as_fd()) });
    send_raw(&ours, &encode(1)[..3], 1);
    assert_eq!(send_batch(&ours, &whole, 3).unwrap(), 13);
    let mut decoder = Decoder::new();
    for expected in [1, 2] {
        let received = message(&theirs, &mut decoder);
        assert_eq!((received.value, received.fd.is_some()), (expected, true));
    }
}

#[test]
fn reports_batch_to_a_closed_socket() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let error = send_batch(&ours, &[Message { value: 0, fd: None }], 0).unwrap_err();
    assert!(matches!(error, SendError::Disconnected), "{error}");
    assert_eq!(send_batch(&ours, &[], 0).unwrap(), 0);
}
