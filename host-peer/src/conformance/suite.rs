//! The order of events, and which rule each step settles.
//!
//! A step that cannot be finished ends the examination: what was to come is not judged. So each rule's failure
//! is its own, and not the shadow of another's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::wire::{MEMORY, PROTOCOL_VERSION, REFUSAL};

use super::handshake::{self, INIT_MESSAGES};
use super::recorder::{ReadSize, RecordingClient, RecordingError};
use super::rule::{ConformanceReport, Rule, RuleResult, Verdict};
use super::{doorbells, memory, notices};
use client::ClientError;
use client::fd_limit;
use client::plural::plural;
use client::status;

/// The rule that broke, because of which nothing more can be examined.
pub(super) struct Aborted(pub(super) Rule);

/// See the module.
pub(super) struct ConformanceSuite {
    pub(super) socket: PathBuf,
    pub(super) timeout: Duration,
    verdicts: BTreeMap<Rule, (Verdict, String)>,
    pub(super) vectors: Option<usize>,
    /// Clients that stay, all of which must hear of everything.
    pub(super) present: Vec<RecordingClient>,
    /// Ids of clients that left, of which those present were notified.
    pub(super) gone: BTreeSet<i64>,
    /// Why the server took no more clients, if it refused one.
    refused: Option<String>,
    /// Whether the socket sent a status document in place of the handshake.
    is_status_socket: bool,
    /// The memory when the first client received it.
    memory: Option<(OwnedFd, u64)>,
}

impl ConformanceSuite {
    /// Makes sure that there is a server, and examines it.
    pub(super) fn begin(socket: &Path, timeout: Duration) -> Result<Self, ClientError> {
        // The clients hold all of each other's doorbells.
        fd_limit::raise_limit();
        let first = RecordingClient::connect(socket, timeout, ReadSize::Message)?;
        let mut suite = Self {
            socket: socket.into(),
            timeout,
            verdicts: BTreeMap::new(),
            vectors: None,
            present: Vec::new(),
            gone: BTreeSet::new(),
            refused: None,
            is_status_socket: false,
            memory: None,
        };
        let ended = suite.run(first);
        if suite.is_status_socket {
            return Err(ClientError::StatusSocket(socket.into()));
        }
        suite.judge_constant_size();
        if let Err(Aborted(rule)) = ended {
            let why = match suite.refused {
                Some(_) => "not reached, because the server refused a client".to_owned(),
                None => format!("not reached, because of {}", rule.id()),
            };
            // The reason of a refusal once, at the first rule that it kept from being judged.
            let mut reason = suite.refused.clone();
            for rule in Rule::ALL {
                let skip = || (Verdict::Skip, reason.take().unwrap_or_else(|| why.clone()));
                suite.verdicts.entry(rule).or_insert_with(skip);
            }
        }
        Ok(suite)
    }

    pub(super) fn finish(mut self) -> ConformanceReport {
        let judge = |rule: Rule| {
            let judged = self.verdicts.remove(&rule);
            let (verdict, detail) = judged.unwrap_or_else(|| (Verdict::Skip, "not judged".into()));
            RuleResult { rule, title: rule.title(), verdict, detail }
        };
        let rules = Rule::ALL.map(judge).into();
        ConformanceReport { socket: self.socket, vectors: self.vectors, refused: self.refused.is_some(), rules }
    }

    fn run(&mut self, first: RecordingClient) -> Result<(), Aborted> {
        let first = self.read_init_messages(first)?;
        self.judge_memory(&first);
        let second = self.newcomer(first, ReadSize::Message)?;
        let mut third = self.newcomer(second, ReadSize::Message)?;
        self.judge_handshakes();
        self.judge_doorbells();
        self.present.iter_mut().for_each(RecordingClient::drop_doorbells);
        self.judge_handshake(&mut third)?;
        let third_id = self.sees_leave(third)?;
        let fourth = self.join(ReadSize::Message)?;
        let fifth = self.settle(fourth, third_id)?;
        self.judge_split_reading(fifth)?;
        self.judge_slow_reader()?;
        self.judge_early_disconnects()?;
        // Ids may come again only after all clients left that know their former peers, and the first clients stay.
        self.judge(Rule::NoReuse, Ok(()));
        Ok(())
    }

    pub(super) fn judge(&mut self, rule: Rule, outcome: Result<(), String>) {
        match (outcome, self.verdicts.get(&rule)) {
            (Ok(()), None) => _ = self.verdicts.insert(rule, (Verdict::Pass, String::new())),
            (Ok(()), Some(_)) | (Err(_), Some((Verdict::Fail, _))) => {}
            (Err(detail), _) => _ = self.verdicts.insert(rule, (Verdict::Fail, detail)),
        }
    }

    pub(super) fn abort(&mut self, rule: Rule, detail: impl Display) -> Aborted {
        self.judge(rule, Err(detail.to_string()));
        Aborted(rule)
    }

    /// Ends the examination at a rule because of what came, or did not. A descriptor that is lost may be this process's own
    /// fault, so it is no verdict.
    pub(super) fn abort_with(&mut self, rule: Rule, when: &str, error: &RecordingError) -> Aborted {
        let detail = if when.is_empty() { error.to_string() } else { format!("{when}: {error}") };
        match error {
            RecordingError::DescriptorLost => {
                self.verdicts.insert(rule, (Verdict::Skip, detail));
                Aborted(rule)
            }
            RecordingError::TooManyDescriptors => self.abort(Rule::OneDescriptor, detail),
            _ => self.abort(rule, detail),
        }
    }

    /// Connects, and reads the greeting.
    pub(super) fn join(&mut self, read_size: ReadSize) -> Result<RecordingClient, Aborted> {
        let client = RecordingClient::connect(&self.socket, self.timeout, read_size)
            .map_err(|error| self.abort(Rule::Version, format!("cannot connect again: {error}")))?;
        self.read_init_messages(client)
    }

    fn read_init_messages(&mut self, mut client: RecordingClient) -> Result<RecordingClient, Aborted> {
        let checks = [(Rule::Version, version as Judge), (Rule::OwnId, own_id), (Rule::Memory, memory_message)];
        for (index, (rule, check)) in checks.into_iter().enumerate() {
            client.read().map_err(|error| self.abort_with(rule, "", &error))?;
            let message = &client.log[index];
            if rule == Rule::Version {
                self.is_status_socket = status::is_status_document(message.value);
                if message.value == REFUSAL && message.descriptors == 0 {
                    return Err(self.refuse());
                }
            }
            if message.descriptors > 1 {
                let surplus = format!("one came with {}", message.descriptors);
                return Err(self.abort(Rule::OneDescriptor, surplus));
            }
            check(message.value, message.descriptors > 0).map_err(|detail| self.abort(rule, detail))?;
            self.judge(rule, Ok(()));
        }
        let taken = self.present.iter().any(|other| other.id() == client.id());
        let unique = if taken { Err(format!("two clients got id {}", client.id())) } else { Ok(()) };
        self.judge(Rule::UniqueIds, unique);
        // Nobody could be handshake_results apart any more.
        if taken {
            return Err(Aborted(Rule::UniqueIds));
        }
        if self.gone.contains(&client.id()) {
            // What is sent of the one could no longer be handshake_results from what is sent of the other.
            let reused =
                format!("{} was given out again, and clients that knew its former peer are connected", client.id());
            return Err(self.abort(Rule::NoReuse, reused));
        }
        Ok(client)
    }

    /// Ends the check without a verdict: a server that has no place for another client keeps the protocol. The client
    /// leaves.
    pub(super) fn refuse(&mut self) -> Aborted {
        let why = match self.present.len() {
            0 => {
                "the server refused this client: it is full, or does not admit this user; its log has the reason".into()
            }
            present => format!(
                "the server is full: it refused a client after {} of this check; raise its --max-peers",
                plural(present, "client")
            ),
        };
        self.refused = Some(why);
        Aborted(Rule::Version)
    }

    /// Makes a client one of those present, and lets another one come: who is present, the last one among them, reads up
    /// to its announcement, which ends whatever came before.
    pub(super) fn newcomer(
        &mut self,
        mut client: RecordingClient,
        read_size: ReadSize,
    ) -> Result<RecordingClient, Aborted> {
        if self.verdicts.contains_key(&Rule::Doorbells) {
            client.drop_doorbells();
        }
        self.present.push(client);
        let newcomer = self.join(read_size)?;
        if let (Some(first), [_, _, memory]) = (self.present.first(), &newcomer.log[..])
            && let (Ok(one), Ok(other)) = (memory::object(&first.log[2].fds[0]), memory::object(&memory.fds[0]))
        {
            self.judge(Rule::SameMemory, memory::same(&one, &other));
        }
        self.all_read_until_announced(newcomer.id(), Rule::JoinNotices)?;
        Ok(newcomer)
    }

    pub(super) fn all_read_until_announced(&mut self, id: i64, rule: Rule) -> Result<(), Aborted> {
        self.all_read(rule, |message| message.is_join_notice(id), &format!("when peer {id} came"))
    }

    pub(super) fn all_read(
        &mut self,
        rule: Rule,
        wanted: impl Fn(&super::recorder::RecordedMessage) -> bool,
        when: &str,
    ) -> Result<(), Aborted> {
        let mut failure: Option<(i64, RecordingError)> = None;
        self.present.iter_mut().for_each(RecordingClient::begin_step);
        for client in &mut self.present {
            if let Err(error) = client.read_until(&wanted) {
                failure = Some((client.id(), error));
                break;
            }
        }
        self.judge_descriptors();
        if self.verdicts.get(&Rule::OneDescriptor).is_some_and(|(verdict, _)| *verdict == Verdict::Fail) {
            return Err(Aborted(Rule::OneDescriptor));
        }
        match failure {
            Some((id, error)) => Err(self.abort_with(rule, &format!("client {id}, {when}"), &error)),
            None => Ok(()),
        }
    }

    fn judge_descriptors(&mut self) {
        let messages = self.present.iter().flat_map(|client| &client.log);
        let surplus = messages.map(|message| message.descriptors).find(|count| *count > 1);
        self.judge(Rule::OneDescriptor, surplus.map_or(Ok(()), |count| Err(format!("one came with {count}"))));
    }

    fn judge_memory(&mut self, client: &RecordingClient) {
        let fd = &client.log[2].fds[0];
        let object = memory::object(fd);
        match object {
            Err(detail) => {
                self.judge(Rule::Memory, Err(detail));
                for rule in [Rule::MemorySize, Rule::MemorySeals, Rule::SameMemory] {
                    self.verdicts.insert(rule, (Verdict::Skip, "there is no memory to judge".into()));
                }
            }
            Ok(stat) => {
                let size = memory::size(&stat).and_then(|size| self.matches_server_status(size));
                self.memory = size.as_ref().ok().and_then(|size| Some((fd.try_clone().ok()?, *size)));
                self.judge(Rule::MemorySize, size.map(|_| ()));
                match memory::missing_seals(fd) {
                    None => self.judge(Rule::MemorySeals, Ok(())),
                    // The protocol does not ask for it, and POSIX shared memory cannot be sealed.
                    Some(missing) => _ = self.verdicts.insert(Rule::MemorySeals, (Verdict::Note, missing)),
                }
            }
        }
    }

    /// Compares the memory's size with the server's status, if there is one: an object may have been truncated before this
    /// check, to a size that is a power of two as well.
    fn matches_server_status(&self, size: u64) -> Result<u64, String> {
        match status::find(&self.socket, self.timeout) {
            Some(status) => memory::check_size(size, status.memory.size_bytes),
            None => Ok(size),
        }
    }

    /// At the end: whether another process truncated or enlarged the memory meanwhile.
    fn judge_constant_size(&mut self) {
        if let Some((fd, size)) = self.memory.take() {
            self.judge(Rule::MemorySize, memory::check_size_now(&fd, size));
        }
    }

    /// When two clients are present and a third has come: the first two know all of their hand-over. By the first, who was
    /// alone, all are counted.
    fn judge_handshakes(&mut self) {
        let (first, second) = (&self.present[0], &self.present[1]);
        let (first_end, second_end) = (handshake_end(first, second.id()), second.log.len() - 1);
        let own = handshake::vectors(handshake::of(&first.log, first_end)).get(&first.id()).copied().unwrap_or(0);
        let joined = notices::joined(&first.log[first_end..], second.id(), own);
        self.vectors = Some(own);
        for (at, end) in [(0, first_end), (1, second_end)] {
            let handshake_results = self.handshake_results(&self.present[at], end, at);
            self.judge_handshake_results(handshake_results);
        }
        self.judge(Rule::JoinNotices, joined);
    }

    /// The hand-over of a client that is present, which ends where the newcomer that it read of last was announced.
    pub(super) fn judge_last_handshake(&mut self) {
        let at = self.present.len() - 1;
        let client = &self.present[at];
        let handshake_results = self.handshake_results(client, client.log.len() - 1, at);
        self.judge_handshake_results(handshake_results);
    }

    /// The hand-over of a client that came after all who are present, and is not one of them: it reads up to the last of its
    /// own vectors.
    pub(super) fn judge_handshake(&mut self, client: &mut RecordingClient) -> Result<(), Aborted> {
        client.drop_doorbells();
        client.begin_step();
        let (own, vectors) = (client.id(), self.vectors.unwrap_or(0));
        for received in 0..vectors {
            // Of the two rules, the one that is broken if this was all.
            let rule = if received == 0 { Rule::HandshakeOrder } else { Rule::EqualVectors };
            let read = client.read_until(|message| message.is_join_notice(own));
            let when = format!("client {own}, which was handshake_results {} of its own", plural(received, "vector"));
            read.map_err(|error| self.abort_with(rule, &when, &error))?;
        }
        let handshake_results = self.handshake_results(client, client.log.len(), self.present.len());
        self.judge_handshake_results(handshake_results);
        Ok(())
    }

    /// What a client was handshake_results until then, when so many of those present were there before it: whether in order, and with how
    /// many vectors.
    fn handshake_results(
        &self,
        client: &RecordingClient,
        end: usize,
        before: usize,
    ) -> (Result<(), String>, Result<(), String>) {
        let messages = handshake::of(&client.log, end);
        let ids: Vec<i64> = self.present[..before].iter().map(RecordingClient::id).collect();
        let order = handshake::order(messages, client.id(), &self.gone);
        let order = order.and_then(|()| handshake::names(messages, client.id(), &ids));
        (order, handshake::equal_vectors(&handshake::vectors(messages), self.vectors.unwrap_or(0)))
    }

    fn judge_handshake_results(&mut self, (order, equal): (Result<(), String>, Result<(), String>)) {
        self.judge(Rule::HandshakeOrder, order);
        self.judge(Rule::EqualVectors, equal);
    }

    fn judge_doorbells(&mut self) {
        let mut kinds = Ok(());
        let mut flags = Ok(());
        for client in &self.present {
            kinds = kinds.and_then(|()| doorbells::are_eventfds(&client.log[INIT_MESSAGES..]));
            flags = doorbells::are_non_blocking(&client.log[INIT_MESSAGES..]).and(flags);
        }
        let (first, second) = (&self.present[0], &self.present[1]);
        let pairs = [(first, second), (second, first), (first, first), (second, second)];
        let rung = kinds.is_ok().then(|| pairs.into_iter().try_for_each(|(from, to)| doorbells::ring(from, to)));
        self.judge(Rule::Eventfds, kinds);
        match rung {
            Some(rung) => {
                self.judge(Rule::NonBlocking, flags);
                self.judge(Rule::Doorbells, rung);
            }
            None => {
                for rule in [Rule::NonBlocking, Rule::Doorbells] {
                    self.verdicts.insert(rule, (Verdict::Skip, "there are others than eventfds".into()));
                }
            }
        }
    }

    /// Lets a client leave that is not among those present, who must hear of it.
    pub(super) fn sees_leave(&mut self, client: RecordingClient) -> Result<i64, Aborted> {
        let id = client.id();
        drop(client);
        self.all_read(Rule::LeaveNotices, |message| message.is_leave_notice(id), &format!("when peer {id} left"))?;
        self.gone.insert(id);
        Ok(id)
    }

    /// The fourth client: since it came, nobody may have heard again of the one that left.
    fn settle(&mut self, fourth: RecordingClient, left: i64) -> Result<RecordingClient, Aborted> {
        let (fourth_id, vectors) = (fourth.id(), self.vectors.unwrap_or(0));
        self.all_read_until_announced(fourth_id, Rule::JoinNotices)?;
        for at in 0..self.present.len() {
            let log = &self.present[at].log[..self.present[at].log.len() - 1];
            let (left, joined) = (notices::left(log, left), notices::joined(log, left, vectors));
            self.judge(Rule::LeaveNotices, left);
            self.judge(Rule::JoinNotices, joined);
        }
        let fifth = self.newcomer(fourth, ReadSize::Byte)?;
        self.judge_last_handshake();
        Ok(fifth)
    }
}

/// Judges a message of the greeting by its number and whether it has a descriptor.
type Judge = fn(i64, bool) -> Result<(), String>;

fn version(value: i64, has_fd: bool) -> Result<(), String> {
    match (value, has_fd) {
        (PROTOCOL_VERSION, false) => Ok(()),
        (PROTOCOL_VERSION, true) => Err("it came with a descriptor".into()),
        (other, _) => Err(format!("it is {other}")),
    }
}

fn own_id(value: i64, has_fd: bool) -> Result<(), String> {
    match (u16::try_from(value), has_fd) {
        (Ok(_), false) => Ok(()),
        (Ok(_), true) => Err("it came with a descriptor".into()),
        (Err(_), _) => Err(format!("it is {value}")),
    }
}

fn memory_message(value: i64, has_fd: bool) -> Result<(), String> {
    match (value, has_fd) {
        (MEMORY, true) => Ok(()),
        (MEMORY, false) => Err("it came without a descriptor".into()),
        (other, _) => Err(format!("it is {other}")),
    }
}

/// Where the first announcement of a newcomer stands in a log.
fn handshake_end(client: &RecordingClient, newcomer: i64) -> usize {
    let found = client.log.iter().skip(INIT_MESSAGES).position(|message| message.is_join_notice(newcomer));
    found.map_or(client.log.len(), |at| at + INIT_MESSAGES)
}
