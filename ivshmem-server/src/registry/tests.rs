//! Single cases of notifications, without sockets. `model` checks whole schedules.

mod model;

use super::*;

const BATCH_SIZE: usize = 64;

fn registry(max_peers: usize) -> Registry {
    Registry::new(Arc::new(new_eventfd().unwrap()), 2, max_peers)
}

fn registry_without_vectors(max_peers: usize) -> Registry {
    Registry::new(Arc::new(new_eventfd().unwrap()), 0, max_peers)
}

fn joined<const N: usize>(registry: &mut Registry) -> [ClientView; N] {
    [(); N].map(|()| registry.join(Credentials::default()).unwrap())
}

fn read_all(registry: &mut Registry, view: &mut ClientView) -> Vec<Notification> {
    let mut all = Vec::new();
    let mut notifications = VecDeque::new();
    while registry.next_batch(BATCH_SIZE, view, &mut notifications) == Batch::Ready {
        all.extend(notifications.drain(..));
    }
    all
}

/// All notifications for a client, abbreviated.
fn summary(registry: &mut Registry, view: &mut ClientView) -> String {
    let abbreviate = |notification| match notification {
        Notification::Version => "version".into(),
        Notification::OwnId(id) => format!("id {id}"),
        Notification::Memory(_) => "memory".into(),
        Notification::Doorbells(doorbells) => format!("+{}", doorbells.peer),
        Notification::Left(id) => format!("-{id}"),
    };
    read_all(registry, view).into_iter().map(abbreviate).collect::<Vec<String>>().join(" ")
}

#[test]
fn sends_the_other_peers_before_the_clients_own_vectors() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    assert_eq!(summary(&mut registry, &mut views[0]), "version id 0 memory +0 +1 +2");
    assert_eq!(summary(&mut registry, &mut views[1]), "version id 1 memory +0 +1 +2");
    assert_eq!(summary(&mut registry, &mut views[2]), "version id 2 memory +0 +1 +2");
}

#[test]
fn notifies_of_each_leave_once() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    summary(&mut registry, &mut views[2]);
    registry.leave(&views[1]);
    assert_eq!(summary(&mut registry, &mut views[2]), "-1");
    assert_eq!(summary(&mut registry, &mut views[2]), "");
}

#[test]
fn omits_peers_that_left_before_the_client_was_notified() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    registry.leave(&views[0]);
    registry.leave(&views[2]);
    assert_eq!(summary(&mut registry, &mut views[1]), "version id 1 memory +1");
}

#[test]
fn close_notifies_each_client_of_all_leaves() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    for view in &mut views {
        summary(&mut registry, view);
    }
    let [mut late] = joined(&mut registry);
    let _kept = registry.close_all();
    let summaries = views.each_mut().map(|view| summary(&mut registry, view));
    assert_eq!(summaries, ["-1 -2", "-0 -2", "-0 -1"]);
    assert_eq!(summary(&mut registry, &mut late), "version id 3 memory +3");
    assert_eq!(registry.next_batch(BATCH_SIZE, &mut late, &mut VecDeque::new()), Batch::Closed);
}

#[test]
fn a_leave_lowers_the_peer_count_but_holds_the_id() {
    let mut registry = registry(2);
    let mut views = joined::<2>(&mut registry);
    assert!(matches!(registry.join(Credentials::default()), Err(JoinError::Full(2))));
    summary(&mut registry, &mut views[1]);
    registry.leave(&views[0]);
    let held = registry.join(Credentials::default()).unwrap();
    assert_eq!((held.id, registry.held_ids()), (PeerId(2), 1));
    registry.leave(&views[1]);
    assert_eq!(registry.join(Credentials::default()).unwrap().id, PeerId(0), "peer 2 was never notified of it");
}

#[test]
fn a_restarted_pair_gets_the_same_ids() {
    let mut registry = registry(2);
    for _ in 0..3 {
        let mut views = joined::<2>(&mut registry);
        assert_eq!(views.each_ref().map(|view| view.id), [0, 1].map(PeerId));
        for view in &mut views {
            summary(&mut registry, view);
        }
        for view in views {
            registry.leave(&view);
        }
        assert_eq!((registry.next_id(), registry.free_ids(), registry.held_ids()), (0, IDS, 0));
    }
}

#[test]
fn a_slow_client_is_not_notified_of_a_reused_id_twice() {
    let mut registry = registry(9);
    let [mut slow] = joined(&mut registry);
    assert_eq!(summary(&mut registry, &mut slow), "version id 0 memory +0");
    for _ in 0..3 {
        let [one, mut other] = joined::<2>(&mut registry);
        assert_eq!((one.id, other.id), (PeerId(1), PeerId(2)));
        summary(&mut registry, &mut other);
        registry.leave(&one);
        registry.leave(&other);
    }
    let [last] = joined(&mut registry);
    assert_eq!((last.id, summary(&mut registry, &mut slow).as_str()), (PeerId(1), "+1"));
    registry.leave(&last);
    assert_eq!(summary(&mut registry, &mut slow), "-1");
    assert_eq!(registry.join(Credentials::default()).unwrap().id, PeerId(2));
}

#[test]
fn without_a_free_id_the_error_names_the_holder() {
    let mut registry = registry_without_vectors(3);
    let [mut reader] = joined(&mut registry);
    for expected in 1..=u16::MAX {
        let view = registry.join(Credentials::default()).unwrap();
        assert_eq!(view.id, PeerId(expected));
        read_all(&mut registry, &mut reader);
        registry.leave(&view);
    }
    let error = registry.join(Credentials::default()).unwrap_err().to_string();
    assert!(error.contains("peer 0, which was notified of 65536 ids"), "{error}");
    assert_eq!((registry.next_id(), registry.free_ids(), registry.held_ids()), (IDS, 0, 65_535));
    assert_eq!(registry.departures.len(), 65_535, "one for each held id");
    registry.leave(&reader);
    assert_eq!((registry.free_ids(), registry.departures.len()), (IDS, 0));
    assert_eq!(registry.join(Credentials::default()).unwrap().id, PeerId(0));
}

/// Peers join and leave while one client reads nothing and another is replaced every 1,000 joins.
fn churn(joins: u32) {
    let mut registry = registry_without_vectors(4);
    let [_stuck, mut reader] = joined(&mut registry);
    for count in 0..joins {
        let mut view = registry.join(Credentials::default()).unwrap();
        registry.next_batch(BATCH_SIZE, &mut view, &mut VecDeque::new());
        registry.next_batch(BATCH_SIZE, &mut reader, &mut VecDeque::new());
        registry.leave(&view);
        if count % 1000 == 999 {
            registry.leave(&reader);
            reader = registry.join(Credentials::default()).unwrap();
            assert_eq!(reader.id, PeerId(1));
        }
        let kept = registry.departures.len();
        assert!(view.id <= PeerId(1002) && kept <= 1002, "after {count} joins: id {}, {kept} departures", view.id);
    }
}

#[test]
fn joins_and_leaves_use_up_neither_ids_nor_memory() {
    churn(20_000);
}

#[test]
#[ignore = "10,000,000 joins: some minutes, less with --release"]
fn ten_million_joins_use_up_neither_ids_nor_memory() {
    churn(10_000_000);
}

#[test]
fn an_unread_notification_keeps_no_descriptor_open() {
    let mut registry = registry(9);
    let [mut stuck, other] = joined(&mut registry);
    let notifications = read_all(&mut registry, &mut stuck);
    registry.leave(&other);
    let alive: Vec<bool> = notifications
        .iter()
        .filter_map(|notification| match notification {
            Notification::Doorbells(doorbells) => Some(doorbells.eventfds.upgrade().is_some()),
            _ => None,
        })
        .collect();
    assert_eq!(alive, [true, false]);
}

#[test]
fn the_status_counts_pending_notifications() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    let queued = |registry: &Registry| registry.peers().iter().map(|peer| peer.queued_notices).collect::<Vec<_>>();
    // Each client has two others to be notified of.
    assert_eq!(queued(&registry), [2, 2, 2]);
    summary(&mut registry, &mut views[1]);
    assert_eq!(queued(&registry), [2, 0, 2]);
    registry.leave(&views[0]);
    assert_eq!(queued(&registry), [1, 2]);
}
