//! Clients with manners of their own: one that reads in bits, one that does not read, some that do not stay.

use proto::wire::REFUSAL;

use super::exam::{Exam, Stop};
use super::hand_over::{self, GREETING};
use super::notices;
use super::observer::{Bite, Observer};
use super::rule::Rule;
use client::plural::counted;

/// How many messages a client leaves unread: more than a socket's buffer takes by default, some 280 of this size.
const UNREAD: usize = 400;

/// How many clients close at once.
const HASTY_CLIENTS: usize = 10;

impl Exam {
    /// The fifth client reads byte by byte, up to the announcement of the sixth.
    pub(super) fn judge_split_reading(&mut self, fifth: Observer) -> Result<(), Stop> {
        let own = fifth.id();
        let mut sixth = self.newcomer(fifth, Bite::Message)?;
        let fifth = &self.present[self.present.len() - 1];
        let split = fifth.log.iter().find(|seen| seen.fd_with_byte.is_some_and(|byte| byte > 0));
        let late = split.map(|seen| {
            let byte = seen.fd_with_byte.unwrap_or(0) + 1;
            format!("a descriptor with {} came with byte {byte} of the message", seen.value)
        });
        let announced = hand_over::vectors(hand_over::of(&fifth.log, fifth.log.len() - 1)).get(&own).copied();
        let vectors = self.vectors;
        let counted = match late {
            Some(late) => Err(late),
            None if announced == vectors => Ok(()),
            None => Err(format!("client {own} was told {} of its own", counted(announced.unwrap_or(0), "vector"))),
        };
        self.judge(Rule::SplitReading, counted);
        self.judge_hand_over_of_last();
        self.judge_hand_over_of(&mut sixth)?;
        self.sees_leave(sixth).map(|_| ())
    }

    /// One client reads nothing behind its greeting while others come and go.
    pub(super) fn judge_slow_reader(&mut self) -> Result<(), Stop> {
        let vectors = self.vectors.unwrap_or(0);
        let mut slow = self.join(Bite::Message)?;
        slow.drop_doorbells();
        self.all_read_until_announced(slow.id(), Rule::SlowReader)?;
        let mut lives = Vec::new();
        for _ in 0..UNREAD.div_ceil(vectors + 1) {
            let visitor = self.join(Bite::Message)?;
            let id = visitor.id();
            self.all_read_until_announced(id, Rule::SlowReader)?;
            drop(visitor);
            self.all_read(Rule::SlowReader, |seen| seen.tells_end_of(id), &format!("when peer {id} left"))?;
            self.gone.insert(id);
            lives.push(id);
        }
        // One who comes last, and stays, ends what there is to read.
        let staying = self.join(Bite::Message)?;
        let last = staying.id();
        self.all_read_until_announced(last, Rule::SlowReader)?;
        slow.begin_step();
        let told = match slow.read_until(|seen| seen.announces(last)) {
            Ok(_) => lives.iter().try_for_each(|life| notices::alike(&slow.log, &self.present[0].log, *life)),
            Err(trouble) => Err(format!("client {}, reading at last: {trouble}", slow.id())),
        };
        self.judge(Rule::SlowReader, told);
        drop(staying);
        Ok(())
    }

    /// Clients that close at once, or after the first message. Several, because a server that is hurt by one is hurt only if
    /// it comes to speak to it after the end.
    pub(super) fn judge_hasty_clients(&mut self) -> Result<(), Stop> {
        for read_first in [true, false].into_iter().cycle().take(HASTY_CLIENTS) {
            let mut hasty = self.connect_at_last()?;
            if read_first {
                hasty.read().map_err(|trouble| self.trouble(Rule::HastyClient, "", &trouble))?;
            }
            drop(hasty);
            let mut patient = self.connect_at_last()?;
            for index in 0..GREETING {
                patient.read().map_err(|trouble| self.trouble(Rule::HastyClient, "afterwards", &trouble))?;
                if index == 0 && patient.log[0].value == REFUSAL {
                    return Err(self.refuse());
                }
            }
            self.all_read_until_announced(patient.id(), Rule::HastyClient)?;
        }
        self.judge(Rule::HastyClient, Ok(()));
        Ok(())
    }

    fn connect_at_last(&mut self) -> Result<Observer, Stop> {
        let client = Observer::connect(&self.socket, self.timeout, Bite::Message);
        client.map_err(|error| self.stop(Rule::HastyClient, format!("afterwards nobody can connect: {error}")))
    }
}
