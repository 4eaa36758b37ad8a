//! Exit statuses, which scripts rely on. Success is 0.

/// The action failed, or a check did.
pub const FAILED: u8 = 1;
/// Wrong usage: no retry helps.
pub const USAGE: u8 = 2;
/// The machine lacks a requirement. The message has a hint.
pub const MISSING: u8 = 3;
