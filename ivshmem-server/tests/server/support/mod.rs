//! Test harness: a running server and clients that check each message.

pub(crate) mod harness;
pub(crate) mod leak_check;
