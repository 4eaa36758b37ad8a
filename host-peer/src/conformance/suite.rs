//! Runs the steps of the check and evaluates the rules.
//!
//! A step that cannot be completed ends the check: later rules are skipped. A failure is thus never the consequence of
//! another one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use proto::session::Session;
use proto::wire::REFUSAL;

use super::handshake::{self, handshake_end};
use super::recorder::{INIT_MESSAGES, ReadSize, RecordingClient, RecordingError};
use super::rule::{ConformanceReport, Rule, RuleResult, Verdict};
use super::{doorbells, memory, notices};
use client::ClientError;
use client::fd_limit;
use client::plural::plural;
use client::status;

/// The failed rule that ends the check.
pub(super) struct Aborted(pub(super) Rule);

/// The state of a check.
pub(super) struct ConformanceSuite {
    pub(super) socket: PathBuf,
    pub(super) timeout: Duration,
    verdicts: BTreeMap<Rule, (Verdict, String)>,
    pub(super) vectors: Option<usize>,
    /// Clients that stay connected and must receive every notice.
    pub(super) present: Vec<RecordingClient>,
    /// Ids of clients that left, reported to the connected ones.
    pub(super) gone: BTreeSet<i64>,
    /// The reason of a refusal, if the server refused a client.
    pub(super) refused: Option<String>,
    /// Whether the socket sent a status document in place of the handshake.
    is_status_socket: bool,
    /// The memory when the first client received it.
    memory: Option<(OwnedFd, u64)>,
}

impl ConformanceSuite {
    /// Connects to the server and checks it.
    pub(super) fn begin(socket: &Path, timeout: Duration) -> Result<Self, ClientError> {
        // Every client holds the doorbells of all others.
        let _ = fd_limit::raise_limit();
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
        suite.check_constant_size();
        if let Err(Aborted(rule)) = ended {
            let why = match suite.refused {
                Some(_) => "not reached, because the server refused a client".to_owned(),
                None => format!("not reached, because of {}", rule.id()),
            };
            // The reason of a refusal appears once, at the first skipped rule.
            let mut reason = suite.refused.clone();
            for &rule in Rule::value_variants() {
                let skip = || (Verdict::Skip, reason.take().unwrap_or_else(|| why.clone()));
                suite.verdicts.entry(rule).or_insert_with(skip);
            }
        }
        Ok(suite)
    }

    pub(super) fn finish(mut self) -> ConformanceReport {
        let record = |&rule: &Rule| {
            let verdict_and_detail = self.verdicts.remove(&rule);
            let (verdict, detail) = verdict_and_detail.unwrap_or_else(|| (Verdict::Skip, "not checked".into()));
            RuleResult { rule, title: rule.title(), verdict, detail }
        };
        let rules = Rule::value_variants().iter().map(record).collect();
        ConformanceReport { socket: self.socket, vectors: self.vectors, refused: self.refused.is_some(), rules }
    }

    fn run(&mut self, first: RecordingClient) -> Result<(), Aborted> {
        let first = self.read_init_messages(first)?;
        self.check_memory(&first);
        let second = self.next_client(first, ReadSize::Message)?;
        let mut third = self.next_client(second, ReadSize::Message)?;
        self.check_handshakes();
        self.check_doorbells();
        self.present.iter_mut().for_each(RecordingClient::drop_doorbells);
        self.check_handshake(&mut third)?;
        let third_id = self.sees_leave(third)?;
        let fourth = self.join(ReadSize::Message)?;
        let fifth = self.settle(fourth, third_id)?;
        self.check_split_reading(fifth)?;
        self.check_slow_reader()?;
        self.check_early_disconnects()?;
        // An id may be reused only after all clients that knew its peer left, and the first clients stay.
        self.record(Rule::NoReuse, Ok(()));
        Ok(())
    }

    pub(super) fn record(&mut self, rule: Rule, outcome: Result<(), String>) {
        match (outcome, self.verdicts.get(&rule)) {
            (Ok(()), None) => _ = self.verdicts.insert(rule, (Verdict::Pass, String::new())),
            (Ok(()), Some(_)) | (Err(_), Some((Verdict::Fail, _))) => {}
            (Err(detail), _) => _ = self.verdicts.insert(rule, (Verdict::Fail, detail)),
        }
    }

    pub(super) fn abort(&mut self, rule: Rule, detail: impl Display) -> Aborted {
        self.record(rule, Err(detail.to_string()));
        Aborted(rule)
    }

    /// Ends the check because of an error. A lost descriptor may be caused by this process, so the rule is skipped.
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

    /// Connects and reads the init messages.
    pub(super) fn join(&mut self, read_size: ReadSize) -> Result<RecordingClient, Aborted> {
        let client = RecordingClient::connect(&self.socket, self.timeout, read_size)
            .map_err(|error| self.abort(Rule::Version, format!("cannot connect again: {error}")))?;
        self.read_init_messages(client)
    }

    fn read_init_messages(&mut self, mut client: RecordingClient) -> Result<RecordingClient, Aborted> {
        let mut session = Session::new();
        for (index, rule) in [Rule::Version, Rule::OwnId, Rule::Memory].into_iter().enumerate() {
            client.read().map_err(|error| self.abort_with(rule, "", &error))?;
            let message = &client.log[index];
            if rule == Rule::Version {
                self.is_status_socket = status::is_status_document(message.value);
                if message.value == REFUSAL && message.descriptors == 0 {
                    return Err(self.refuse());
                }
            }
            if message.descriptors > 1 {
                let surplus = format!("a message has {} descriptors", message.descriptors);
                return Err(self.abort(Rule::OneDescriptor, surplus));
            }
            let fd = (message.descriptors > 0).then_some(());
            session.feed(message.value, fd).map_err(|error| self.abort(rule, error))?;
            self.record(rule, Ok(()));
        }
        let taken = self.present.iter().any(|other| other.id() == client.id());
        let unique = if taken { Err(format!("two clients received id {}", client.id())) } else { Ok(()) };
        self.record(Rule::UniqueIds, unique);
        // The clients can no longer be distinguished.
        if taken {
            return Err(Aborted(Rule::UniqueIds));
        }
        if self.gone.contains(&client.id()) {
            // Messages about the two peers cannot be distinguished.
            let reused = format!("id {} was reused while clients that knew its former peer are connected", client.id());
            return Err(self.abort(Rule::NoReuse, reused));
        }
        Ok(client)
    }

    /// Adds a client to the connected ones and joins another one. All connected clients read up to its announcement,
    /// which ends the earlier messages.
    pub(super) fn next_client(
        &mut self,
        mut client: RecordingClient,
        read_size: ReadSize,
    ) -> Result<RecordingClient, Aborted> {
        if self.verdicts.contains_key(&Rule::Doorbells) {
            client.drop_doorbells();
        }
        self.present.push(client);
        let next_client = self.join(read_size)?;
        if let (Some(first), [_, _, memory]) = (self.present.first(), &next_client.log[..])
            && let (Ok(one), Ok(other)) = (memory::object(&first.log[2].fds[0]), memory::object(&memory.fds[0]))
        {
            self.record(Rule::SameMemory, memory::same(&one, &other));
        }
        self.all_read_until_announced(next_client.id(), Rule::JoinNotices)?;
        Ok(next_client)
    }

    pub(super) fn all_read_until_announced(&mut self, id: i64, rule: Rule) -> Result<(), Aborted> {
        self.all_read(rule, |message| message.is_join_notice(id), &format!("when peer {id} joined"))
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
        self.check_descriptors();
        if self.verdicts.get(&Rule::OneDescriptor).is_some_and(|(verdict, _)| *verdict == Verdict::Fail) {
            return Err(Aborted(Rule::OneDescriptor));
        }
        match failure {
            Some((id, error)) => Err(self.abort_with(rule, &format!("client {id}, {when}"), &error)),
            None => Ok(()),
        }
    }

    fn check_descriptors(&mut self) {
        let messages = self.present.iter().flat_map(|client| &client.log);
        let surplus = messages.map(|message| message.descriptors).find(|count| *count > 1);
        self.record(
            Rule::OneDescriptor,
            surplus.map_or(Ok(()), |count| Err(format!("a message has {count} descriptors"))),
        );
    }

    fn check_memory(&mut self, client: &RecordingClient) {
        let fd = &client.log[2].fds[0];
        let object = memory::object(fd);
        match object {
            Err(detail) => {
                self.record(Rule::Memory, Err(detail));
                for rule in [Rule::MemorySize, Rule::MemorySeals, Rule::SameMemory] {
                    self.verdicts.insert(rule, (Verdict::Skip, "no valid memory".into()));
                }
            }
            Ok(stat) => {
                // The object may have been truncated before, to another power of two. Only the server's status shows that.
                let status = status::find(&self.socket, self.timeout);
                let original = status.as_ref().map(|status| status.memory.size_bytes);
                let size = memory::size(&stat).and_then(|size| memory::check_size(size, original.unwrap_or(size)));
                self.memory = size.as_ref().ok().and_then(|size| Some((fd.try_clone().ok()?, *size)));
                if size.is_ok() && original.is_none() && memory::may_shrink(fd) {
                    self.verdicts.insert(Rule::MemorySize, (Verdict::Note, memory::unknown_size(&self.socket)));
                }
                self.record(Rule::MemorySize, size.map(|_| ()));
                match memory::missing_seals(fd) {
                    None => self.record(Rule::MemorySeals, Ok(())),
                    // The protocol does not require seals, and POSIX shared memory cannot have them.
                    Some(missing) => _ = self.verdicts.insert(Rule::MemorySeals, (Verdict::Note, missing)),
                }
            }
        }
    }

    /// At the end: checks that no process changed the size during the check.
    fn check_constant_size(&mut self) {
        if let Some((fd, size)) = self.memory.take() {
            self.record(Rule::MemorySize, memory::check_size_now(&fd, size));
        }
    }

    /// With two connected clients and a third: the handshake of the first two is complete. The vectors of the first,
    /// which was alone, give the number for all.
    fn check_handshakes(&mut self) {
        let (first, second) = (&self.present[0], &self.present[1]);
        let (first_end, second_end) = (handshake_end(first, second.id()), second.log.len() - 1);
        let own = handshake::vectors(handshake::of(&first.log, first_end)).get(&first.id()).copied().unwrap_or(0);
        let joined = notices::joined(&first.log[first_end..], second.id(), own);
        self.vectors = Some(own);
        for (at, end) in [(0, first_end), (1, second_end)] {
            let results = self.handshake_results(&self.present[at], end, at);
            self.record_handshake(results);
        }
        self.record(Rule::JoinNotices, joined);
    }

    /// Checks the handshake of the last connected client. It ends at the announcement of the next client.
    pub(super) fn check_last_handshake(&mut self) {
        let at = self.present.len() - 1;
        let client = &self.present[at];
        let results = self.handshake_results(client, client.log.len() - 1, at);
        self.record_handshake(results);
    }

    /// Checks the handshake of a client that joined last and is not in `present`: reads up to its last own vector.
    pub(super) fn check_handshake(&mut self, client: &mut RecordingClient) -> Result<(), Aborted> {
        client.drop_doorbells();
        client.begin_step();
        let (own, vectors) = (client.id(), self.vectors.unwrap_or(0));
        for received in 0..vectors {
            // The rule that is violated if no further vector arrives.
            let rule = if received == 0 { Rule::HandshakeOrder } else { Rule::EqualVectors };
            let read = client.read_until(|message| message.is_join_notice(own));
            let when = format!("client {own}, after {} of its own", plural(received, "vector"));
            read.map_err(|error| self.abort_with(rule, &when, &error))?;
        }
        let results = self.handshake_results(client, client.log.len(), self.present.len());
        self.record_handshake(results);
        Ok(())
    }

    /// Order and vector counts of the handshake of a client that found the first `before` clients connected.
    fn handshake_results(
        &self,
        client: &RecordingClient,
        end: usize,
        before: usize,
    ) -> (Result<(), String>, Result<(), String>) {
        let messages = handshake::of(&client.log, end);
        let ids: Vec<i64> = self.present[..before].iter().map(RecordingClient::id).collect();
        let order = handshake::order(messages, client.id(), &self.gone);
        let order = order.and_then(|()| handshake::check_peer_list(messages, client.id(), &ids));
        (order, handshake::equal_vectors(&handshake::vectors(messages), self.vectors.unwrap_or(0)))
    }

    fn record_handshake(&mut self, (order, equal): (Result<(), String>, Result<(), String>)) {
        self.record(Rule::HandshakeOrder, order);
        self.record(Rule::EqualVectors, equal);
    }

    fn check_doorbells(&mut self) {
        let mut kinds = Ok(());
        let mut flags = Ok(());
        for client in &self.present {
            kinds = kinds.and_then(|()| doorbells::are_eventfds(&client.log[INIT_MESSAGES..]));
            flags = doorbells::are_non_blocking(&client.log[INIT_MESSAGES..]).and(flags);
        }
        let (first, second) = (&self.present[0], &self.present[1]);
        let pairs = [(first, second), (second, first), (first, first), (second, second)];
        let rung = kinds.is_ok().then(|| pairs.into_iter().try_for_each(|(from, to)| doorbells::ring(from, to)));
        self.record(Rule::Eventfds, kinds);
        match rung {
            Some(rung) => {
                self.record(Rule::NonBlocking, flags);
                self.record(Rule::Doorbells, rung);
            }
            None => {
                for rule in [Rule::NonBlocking, Rule::Doorbells] {
                    self.verdicts.insert(rule, (Verdict::Skip, "some doorbells are not eventfds".into()));
                }
            }
        }
    }

    /// Disconnects a client; the connected ones must be notified.
    pub(super) fn sees_leave(&mut self, client: RecordingClient) -> Result<i64, Aborted> {
        let id = client.id();
        drop(client);
        self.all_read(Rule::LeaveNotices, |message| message.is_leave_notice(id), &format!("when peer {id} left"))?;
        self.gone.insert(id);
        Ok(id)
    }

    /// After the fourth client joined, no client may have received another notice of the one that left.
    fn settle(&mut self, fourth: RecordingClient, left: i64) -> Result<RecordingClient, Aborted> {
        let (fourth_id, vectors) = (fourth.id(), self.vectors.unwrap_or(0));
        self.all_read_until_announced(fourth_id, Rule::JoinNotices)?;
        for at in 0..self.present.len() {
            let log = &self.present[at].log[..self.present[at].log.len() - 1];
            let (left, joined) = (notices::left(log, left), notices::joined(log, left, vectors));
            self.record(Rule::LeaveNotices, left);
            self.record(Rule::JoinNotices, joined);
        }
        let fifth = self.next_client(fourth, ReadSize::Byte)?;
        self.check_last_handshake();
        Ok(fifth)
    }
}
