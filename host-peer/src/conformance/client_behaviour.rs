//! Unusual clients: one reads byte by byte, one does not read, some disconnect early.

use proto::wire::REFUSAL;

use super::handshake;
use super::notices;
use super::recorder::{INIT_MESSAGES, ReadSize, RecordingClient};
use super::rule::Rule;
use super::suite::{Aborted, ConformanceSuite};
use client::plural::plural;

/// Messages that the slow reader leaves unread: more than a default socket buffer holds (about 280).
const UNREAD: usize = 400;

/// Clients that disconnect early.
const EARLY_DISCONNECTS: usize = 10;

impl ConformanceSuite {
    /// The fifth client reads byte by byte, up to the announcement of the sixth.
    pub(super) fn check_split_reading(&mut self, fifth: RecordingClient) -> Result<(), Aborted> {
        let own = fifth.id();
        let mut sixth = self.next_client(fifth, ReadSize::Message)?;
        let fifth = &self.present[self.present.len() - 1];
        let split = fifth.log.iter().find(|message| message.fd_with_byte.is_some_and(|byte| byte > 0));
        let late = split.map(|message| {
            let byte = message.fd_with_byte.unwrap_or(0) + 1;
            format!("the descriptor of message {} arrived with byte {byte}", message.value)
        });
        let announced = handshake::vectors(handshake::of(&fifth.log, fifth.log.len() - 1)).get(&own).copied();
        let vectors = self.vectors;
        let outcome = match late {
            Some(late) => Err(late),
            None if announced == vectors => Ok(()),
            None => Err(format!("client {own} received {} of its own", plural(announced.unwrap_or(0), "vector"))),
        };
        self.record(Rule::SplitReading, outcome);
        self.check_last_handshake();
        self.check_handshake(&mut sixth)?;
        self.sees_leave(sixth).map(|_| ())
    }

    /// One client reads nothing after its init messages while others join and leave.
    pub(super) fn check_slow_reader(&mut self) -> Result<(), Aborted> {
        let vectors = self.vectors.unwrap_or(0);
        let mut slow = self.join(ReadSize::Message)?;
        slow.drop_doorbells();
        self.all_read_until_announced(slow.id(), Rule::SlowReader)?;
        let mut visitors = Vec::new();
        for _ in 0..UNREAD.div_ceil(vectors + 1) {
            let visitor = self.join(ReadSize::Message)?;
            let id = visitor.id();
            self.all_read_until_announced(id, Rule::SlowReader)?;
            drop(visitor);
            self.all_read(Rule::SlowReader, |message| message.is_leave_notice(id), &format!("when peer {id} left"))?;
            self.gone.insert(id);
            visitors.push(id);
        }
        // The announcement of a last client, which stays, ends the messages to read.
        let staying = self.join(ReadSize::Message)?;
        let last = staying.id();
        self.all_read_until_announced(last, Rule::SlowReader)?;
        slow.begin_step();
        let outcome = match slow.read_until(|message| message.is_join_notice(last)) {
            Ok(_) => {
                visitors.iter().try_for_each(|visitor| notices::compare(&slow.log, &self.present[0].log, *visitor))
            }
            Err(error) => Err(format!("client {}, after the pause: {error}", slow.id())),
        };
        self.record(Rule::SlowReader, outcome);
        drop(staying);
        Ok(())
    }

    /// Clients that disconnect immediately or after the first message. Several: a vulnerable server fails only if it
    /// writes after the disconnect.
    pub(super) fn check_early_disconnects(&mut self) -> Result<(), Aborted> {
        for read_first in [true, false].into_iter().cycle().take(EARLY_DISCONNECTS) {
            let mut early = self.reconnect()?;
            if read_first {
                early.read().map_err(|error| self.abort_with(Rule::EarlyDisconnect, "", &error))?;
            }
            drop(early);
            let mut patient = self.reconnect()?;
            for index in 0..INIT_MESSAGES {
                patient.read().map_err(|error| self.abort_with(Rule::EarlyDisconnect, "afterwards", &error))?;
                if index == 0 && patient.log[0].value == REFUSAL {
                    return Err(self.refuse());
                }
            }
            self.all_read_until_announced(patient.id(), Rule::EarlyDisconnect)?;
        }
        self.record(Rule::EarlyDisconnect, Ok(()));
        Ok(())
    }

    fn reconnect(&mut self) -> Result<RecordingClient, Aborted> {
        let client = RecordingClient::connect(&self.socket, self.timeout, ReadSize::Message);
        client.map_err(|error| self.abort(Rule::EarlyDisconnect, format!("afterwards a connection fails: {error}")))
    }
}
