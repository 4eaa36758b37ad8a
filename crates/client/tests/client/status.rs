//! The reader of the status, with mock servers over a real socket.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use client::status::{self, StatusError};

use test_support::LONG;
use test_support::mock_server::MockServer;

#[test]
fn endless_document_is_not_a_status() {
    let server = MockServer::running(|mut stream| {
        while stream.write_all(&[b'{'; 1 << 14]).is_ok() {}
        Vec::new()
    });
    let error = status::query(&server.path, LONG).unwrap_err();
    assert!(matches!(error, StatusError::NotAStatus { .. }), "{error:?}");
}

#[test]
fn error_distinguishes_missing_socket_from_missing_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let cause = || match status::query(&path, LONG) {
        Err(StatusError::NotRunning { source, .. }) => source.kind(),
        other => panic!("{other:?}"),
    };
    assert_eq!(cause(), ErrorKind::NotFound);
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(cause(), ErrorKind::ConnectionRefused);
}

#[test]
fn server_that_does_not_respond_is_named_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    // Accepts connections through its backlog, like a stopped server.
    let _listener = UnixListener::bind(&path).unwrap();
    let error = status::query(&path, Duration::from_millis(50)).unwrap_err();
    assert!(error.to_string().ends_with("Hint: check that the server is not stopped"), "{error}");
}
