//! The client library against a real server and against mock servers that break the protocol.

mod examples;
mod joining;
mod memory;
mod protocol_errors;
mod status;
mod stream;
