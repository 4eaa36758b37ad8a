//! A server that refuses a client of the check.

use client::plural::plural;
use client::status;

use super::memory;
use super::rule::Rule;
use super::suite::{Aborted, ConformanceSuite};

impl ConformanceSuite {
    /// Ends the check without a verdict: a full server conforms to the protocol. A server may also refuse clients because its
    /// memory was resized, which only its status shows.
    pub(super) fn refuse(&mut self) -> Aborted {
        if let Some(status) = status::find(&self.socket, self.timeout)
            && let Some(now) = status.memory.current_bytes
            && let Err(resized) = memory::check_size(now, status.memory.size_bytes)
        {
            self.record(Rule::MemorySize, Err(resized));
        }
        let why = match self.present.len() {
            0 => "the server refused this client: it is full, rejects this user, or its memory was resized. Hint: its log has \
                  the reason"
                .into(),
            present => format!(
                "the server refused a client after {} of this check: it is full, or its memory was resized. Hint: raise its \
                 --max-peers, or see its log",
                plural(present, "client")
            ),
        };
        self.refused = Some(why);
        Aborted(Rule::Version)
    }
}
