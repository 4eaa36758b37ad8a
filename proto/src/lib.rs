//! What the server, the host peer and the guest agree on. No policy, no async, no printing.
//!
//! Between the server and its clients, read in this order:
//! 1. [`wire`]: the client-server protocol's messages and their incremental decoder.
//! 2. [`session`]: what a client may be told, and when; a pure state machine.
//! 3. [`fd_passing`]: descriptors over a UNIX stream socket.
//!
//! Between the two ends of a measurement:
//! 1. [`region`]: memory that the other side writes too.
//! 2. [`layout`], [`frame`] and [`stream`]: where things lie in it.
//! 3. [`ack`]: the two-phase acknowledgement.
//! 4. [`wait`]: how to wait for the other side, and how to wake it; [`bell`]: waking it every time; [`dozing`]: how not
//!    to wait.
//! 5. [`control`]: how the host drives the guest; [`hello`], [`counters`] and [`record`]: what the guest says.
//! 6. [`clock`]: the time line that both share; [`ceiling`]: what each side's memory can do; [`deadline`]: the factor for
//!    slow machines.

pub mod ack;
pub mod bell;
pub mod ceiling;
pub mod clock;
pub mod control;
pub mod counters;
pub mod deadline;
pub mod dozing;
pub mod fd_passing;
pub mod frame;
pub mod hello;
pub mod layout;
pub mod record;
pub mod region;
pub mod session;
pub mod stream;
pub mod wait;
pub mod wire;
mod word;
