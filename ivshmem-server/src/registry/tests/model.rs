//! A model of the clients that checks whole schedules of joins, batches and leaves: exhaustively for a few clients, and at
//! random for many.
//!
//! The rules are those of QEMU's device: a client is notified of an id at most once in its life, and of a leave only for a
//! peer that is present for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::*;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// The server's policy.
    HoldWhileNotified,
    /// The unsafe policy: an id is free as soon as its owner left.
    LowestFree,
}

/// A client that detects notifications that would harm QEMU's device.
#[derive(Clone)]
struct ModelClient {
    view: ClientView,
    /// Notifications read so far.
    read: usize,
    /// Each id that it was ever notified of, with the owner's doorbells.
    notified: BTreeMap<PeerId, Weak<[OwnedFd]>>,
    /// The peers among them that left.
    departed: BTreeSet<PeerId>,
}

impl ModelClient {
    fn new(view: ClientView) -> Self {
        Self { view, read: 0, notified: BTreeMap::new(), departed: BTreeSet::new() }
    }

    fn read(&mut self, notification: Notification) -> Result<(), String> {
        let own = self.view.id;
        let at = self.read;
        self.read += 1;
        match (at, notification) {
            (0, Notification::Version) | (2, Notification::Memory(_)) => Ok(()),
            (1, Notification::OwnId(id)) if id == own => Ok(()),
            (3.., Notification::Doorbells(Doorbells { peer, eventfds })) => {
                match self.notified.insert(peer, eventfds) {
                    None => Ok(()),
                    Some(_) => Err(format!("client {own} is notified of id {peer} a second time")),
                }
            }
            (3.., Notification::Left(peer)) if peer == own => Err(format!("client {own} is notified of its own leave")),
            (3.., Notification::Left(_)) if !self.notified.contains_key(&own) => {
                Err(format!("client {own} is notified of a leave before its handshake is complete"))
            }
            (3.., Notification::Left(peer)) if self.notified.contains_key(&peer) && self.departed.insert(peer) => {
                Ok(())
            }
            (at, notice) => Err(format!("client {own} reads {notice:?} as notice {at}")),
        }
    }

    /// Takes and reads one batch. Returns whether there was a notification.
    fn read_batch(&mut self, registry: &mut Registry, limit: usize) -> Result<bool, String> {
        let mut notifications = VecDeque::new();
        let batch = registry.next_batch(limit, &mut self.view, &mut notifications);
        notifications.into_iter().try_for_each(|notification| self.read(notification))?;
        Ok(batch == Batch::Ready)
    }

    /// The peers that are present for this client, including itself, with the address of their doorbells.
    fn present(&self) -> Vec<(PeerId, usize)> {
        let present = self.notified.iter().filter(|(id, _)| !self.departed.contains(id));
        present.map(|(&id, eventfds)| (id, address(eventfds))).collect()
    }
}

fn address(eventfds: &Weak<[OwnedFd]>) -> usize {
    eventfds.as_ptr().cast::<()>().addr()
}

/// The server and its present clients, in the order in which they joined.
#[derive(Clone)]
struct ModelState {
    registry: Registry,
    clients: Vec<ModelClient>,
    policy: Policy,
}

impl ModelState {
    fn new(max_peers: usize, policy: Policy) -> Self {
        let memory = Arc::new(new_eventfd().unwrap());
        Self { registry: Registry::new(memory, 0, max_peers), clients: Vec::new(), policy }
    }

    fn join(&mut self) {
        self.clients.push(ModelClient::new(self.registry.join(Credentials::default()).unwrap()));
    }

    fn leave(&mut self, at: usize) {
        let leaving = self.clients.remove(at);
        self.registry.leave(&leaving.view);
        if self.policy == Policy::LowestFree {
            self.registry.ids.free_at_once(leaving.view.id);
        }
    }

    /// Lets each client read all notifications. Then exactly the present peers must be present for it.
    fn settle(&mut self) -> Result<(), String> {
        for client in &mut self.clients {
            while client.read_batch(&mut self.registry, 1)? {}
        }
        let members = self.registry.members.values();
        let mut present: Vec<_> =
            members.map(|member| (member.id, address(&Arc::downgrade(&member.eventfds)))).collect();
        present.sort_unstable();
        let inconsistent = self.clients.iter().find(|client| client.present() != present);
        inconsistent.map_or(Ok(()), |client| Err(format!("client {} does not know who is present", client.view.id)))
    }

    /// The state that determines all further steps, with stamps replaced by their order.
    fn state(&self) -> String {
        let registry = &self.registry;
        let members: Vec<_> = registry.members.values().map(|member| member.id.0).collect();
        let departures: Vec<_> = registry.departures.values().map(|id| id.0).collect();
        let between = registry.departures.keys().map(|&stamp| registry.members.range(..stamp).count());
        let clients = self.clients.iter().map(|client| {
            let view = &client.view;
            (
                view.phase as u8,
                registry.members.range(..view.joins_from).count(),
                registry.departures.range(..view.departures_from).count(),
                view.present.iter().collect::<Vec<_>>(),
                client.notified.keys().map(|id| id.0).collect::<Vec<_>>(),
            )
        });
        format!("{members:?}{departures:?}{:?}{:?}", between.collect::<Vec<_>>(), clients.collect::<Vec<_>>())
    }

    /// All possible next states, with the number of joins in the step.
    fn successors(&self, may_join: bool) -> Result<Vec<(Self, usize)>, String> {
        let mut next = Vec::new();
        if may_join && self.clients.len() < self.registry.max_peers() {
            let mut model = self.clone();
            model.join();
            next.push((model, 1));
        }
        for at in 0..self.clients.len() {
            let mut model = self.clone();
            model.leave(at);
            next.push((model, 0));
            let mut model = self.clone();
            if model.clients[at].read_batch(&mut model.registry, 1)? {
                next.push((model, 0));
            }
        }
        Ok(next)
    }
}

/// Tries all schedules with at most `present` clients at a time and `joins` joins in total. Returns the number of different
/// states.
fn search(policy: Policy, present: usize, joins: usize) -> Result<usize, String> {
    let mut queue = VecDeque::from([(ModelState::new(present, policy), 0)]);
    let mut states = HashSet::new();
    while let Some((model, joined)) = queue.pop_front() {
        model.clone().settle()?;
        for (next, more) in model.successors(joined < joins)? {
            if states.insert((joined + more, next.state())) {
                queue.push_back((next, joined + more));
            }
        }
    }
    Ok(states.len())
}

#[test]
fn no_schedule_of_few_clients_reuses_a_known_id() {
    for (present, joins, min_states) in [(2, 8, 3_000), (3, 5, 10_000), (4, 4, 3_000)] {
        let states = search(Policy::HoldWhileNotified, present, joins).unwrap();
        assert!(states > min_states, "only {states} states of {present} clients");
    }
}

#[test]
fn search_finds_the_fault_of_the_unsafe_policy() {
    let fault = search(Policy::LowestFree, 2, 3).unwrap_err();
    assert!(fault.contains("a second time"), "{fault}");
}

#[derive(Debug, Clone)]
enum ModelStep {
    Join,
    Leave(Index),
    /// A client reads a batch of at most this size. A client that never does so stalls.
    Read(Index, usize),
}

fn step() -> impl Strategy<Value = ModelStep> {
    prop_oneof![
        3 => Just(ModelStep::Join),
        3 => any::<Index>().prop_map(ModelStep::Leave),
        4 => (any::<Index>(), 1..70_usize).prop_map(|(who, limit)| ModelStep::Read(who, limit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_random_schedule_reuses_a_known_id(
        steps in prop::collection::vec(step(), 0..300),
        stop in any::<bool>(),
    ) {
        let mut model = ModelState::new(12, Policy::HoldWhileNotified);
        for step in steps {
            let present = model.clients.len();
            match step {
                ModelStep::Join if present < 12 => model.join(),
                ModelStep::Leave(who) if present > 0 => model.leave(who.index(present)),
                ModelStep::Read(who, limit) if present > 0 => {
                    let ModelState { registry, clients, .. } = &mut model;
                    clients[who.index(present)].read_batch(registry, limit).map_err(TestCaseError::fail)?;
                }
                ModelStep::Join | ModelStep::Leave(_) | ModelStep::Read(..) => {}
            }
        }
        if !stop {
            model.settle().map_err(TestCaseError::fail)?;
            for _ in 0..model.clients.len() {
                model.leave(0);
            }
            let registry = &model.registry;
            prop_assert_eq!((registry.free_ids(), registry.departures.len()), (IDS, 0));
            return Ok(());
        }
        let kept = model.registry.close_all();
        prop_assert_eq!(kept.len(), model.clients.len());
        for mut client in model.clients {
            while client.read_batch(&mut model.registry, 1).map_err(TestCaseError::fail)? {}
            let present: Vec<_> = client.present().iter().map(|&(id, _)| id).collect();
            prop_assert_eq!(present, [client.view.id], "at the end each client is alone");
        }
    }
}
