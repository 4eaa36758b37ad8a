//! Clients with manners of their own: one that reads in bits, one that does not read, some that do not stay.

use proto::wire::REFUSAL;

use super::handshake::{self, INIT_MESSAGES};
use super::notices;
use super::recorder::{ReadSize, RecordingClient};
use super::rule::Rule;
use super::suite::{Aborted, ConformanceSuite};
use client::plural::plural;

/// How many messages a client leaves unread: more than a socket's buffer takes by default, some 280 of this size.
const UNREAD: usize = 400;

/// How many clients close at once.
const EARLY_DISCONNECTS: usize = 10;

impl ConformanceSuite {
    /// The fifth client reads byte by byte, up to the announcement of the sixth.
    pub(super) fn judge_split_reading(&mut self, fifth: RecordingClient) -> Result<(), Aborted> {
        let own = fifth.id();
        let mut sixth = self.newcomer(fifth, ReadSize::Message)?;
        let fifth = &self.present[self.present.len() - 1];
        let split = fifth.log.iter().find(|message| message.fd_with_byte.is_some_and(|byte| byte > 0));
        let late = split.map(|message| {
            let byte = message.fd_with_byte.unwrap_or(0) + 1;
            format!("a descriptor with {} came with byte {byte} of the message", message.value)
        });
        let announced = handshake::vectors(handshake::of(&fifth.log, fifth.log.len() - 1)).get(&own).copied();
        let vectors = self.vectors;
        let outcome = match late {
            Some(late) => Err(late),
            None if announced == vectors => Ok(()),
            None => Err(format!("client {own} was told {} of its own", plural(announced.unwrap_or(0), "vector"))),
        };
        self.judge(Rule::SplitReading, outcome);
        self.judge_last_handshake();
        self.judge_handshake(&mut sixth)?;
        self.sees_leave(sixth).map(|_| ())
    }

    /// One client reads nothing behind its greeting while others come and go.
    pub(super) fn judge_slow_reader(&mut self) -> Result<(), Aborted> {
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
        // One who comes last, and stays, ends what there is to read.
        let staying = self.join(ReadSize::Message)?;
        let last = staying.id();
        self.all_read_until_announced(last, Rule::SlowReader)?;
        slow.begin_step();
        let told = match slow.read_until(|message| message.is_join_notice(last)) {
            Ok(_) => visitors.iter().try_for_each(|visitor| notices::alike(&slow.log, &self.present[0].log, *visitor)),
            Err(error) => Err(format!("client {}, reading at last: {error}", slow.id())),
        };
        self.judge(Rule::SlowReader, told);
        drop(staying);
        Ok(())
    }

    /// Clients that close at once, or after the first message. Several, because a server that is hurt by one is hurt only if
    /// it comes to speak to it after the end.
    pub(super) fn judge_early_disconnects(&mut self) -> Result<(), Aborted> {
        for read_first in [true, false].into_iter().cycle().take(EARLY_DISCONNECTS) {
            let mut early = self.connect_at_last()?;
            if read_first {
                early.read().map_err(|error| self.abort_with(Rule::EarlyDisconnect, "", &error))?;
            }
            drop(early);
            let mut patient = self.connect_at_last()?;
            for index in 0..INIT_MESSAGES {
                patient.read().map_err(|error| self.abort_with(Rule::EarlyDisconnect, "afterwards", &error))?;
                if index == 0 && patient.log[0].value == REFUSAL {
                    return Err(self.refuse());
                }
            }
            self.all_read_until_announced(patient.id(), Rule::EarlyDisconnect)?;
        }
        self.judge(Rule::EarlyDisconnect, Ok(()));
        Ok(())
    }

    fn connect_at_last(&mut self) -> Result<RecordingClient, Aborted> {
        let client = RecordingClient::connect(&self.socket, self.timeout, ReadSize::Message);
        client.map_err(|error| self.abort(Rule::EarlyDisconnect, format!("afterwards nobody can connect: {error}")))
    }
}
