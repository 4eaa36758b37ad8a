//! The notices for each client, without a socket: single cases. `model` checks whole schedules.

use super::*;

fn registry(max_peers: usize) -> Registry {
    Registry::new(Arc::new(new_eventfd().unwrap()), 2, max_peers)
}

fn registry_without_vectors(max_peers: usize) -> Registry {
    Registry::new(Arc::new(new_eventfd().unwrap()), 0, max_peers)
}

fn joined<const N: usize>(registry: &mut Registry) -> [ClientView; N] {
    [(); N].map(|()| registry.join(None).unwrap())
}

fn drawn(registry: &mut Registry, view: &mut ClientView) -> Vec<Notification> {
    let mut told = Vec::new();
    let mut notifications = VecDeque::new();
    while registry.next_batch(view, &mut notifications) == Batch::Ready {
        told.extend(notifications.drain(..));
    }
    told
}

/// What a client was told, in short.
fn told(registry: &mut Registry, view: &mut ClientView) -> String {
    let word = |notification| match notification {
        Notification::Version => "version".into(),
        Notification::OwnId(id) => format!("id {id}"),
        Notification::Memory(_) => "memory".into(),
        Notification::Doorbells(bells) => format!("+{}", bells.peer),
        Notification::Left(id) => format!("-{id}"),
    };
    drawn(registry, view).into_iter().map(word).collect::<Vec<String>>().join(" ")
}

#[test]
fn a_newcomer_hears_of_the_others_before_itself() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    assert_eq!(told(&mut registry, &mut views[0]), "version id 0 memory +0 +1 +2");
    assert_eq!(told(&mut registry, &mut views[1]), "version id 1 memory +0 +1 +2");
    assert_eq!(told(&mut registry, &mut views[2]), "version id 2 memory +0 +1 +2");
}

#[test]
fn a_peer_that_stays_is_notified_once_of_each_leave() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    told(&mut registry, &mut views[2]);
    registry.leave(&views[1]);
    assert_eq!(told(&mut registry, &mut views[2]), "-1");
    assert_eq!(told(&mut registry, &mut views[2]), "");
}

#[test]
fn a_peer_that_left_before_it_was_drawn_is_left_out() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    registry.leave(&views[0]);
    registry.leave(&views[2]);
    assert_eq!(told(&mut registry, &mut views[1]), "version id 1 memory +1");
}

#[test]
fn at_the_end_everybody_hears_that_all_others_left_of_whom_it_heard() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    for view in &mut views {
        told(&mut registry, view);
    }
    let [mut late] = joined(&mut registry);
    let _kept = registry.close_all();
    let words = views.each_mut().map(|view| told(&mut registry, view));
    assert_eq!(words, ["-1 -2", "-0 -2", "-0 -1"]);
    assert_eq!(told(&mut registry, &mut late), "version id 3 memory +3");
    assert_eq!(registry.next_batch(&mut late, &mut VecDeque::new()), Batch::Closed);
}

#[test]
fn a_place_is_free_at_once_but_an_id_is_held_for_those_notified() {
    let mut registry = registry(2);
    let mut views = joined::<2>(&mut registry);
    assert!(matches!(registry.join(None), Err(Refusal::Full(2))));
    told(&mut registry, &mut views[1]);
    registry.leave(&views[0]);
    let held = registry.join(None).unwrap();
    assert_eq!((held.id, registry.held_ids()), (PeerId(2), 1));
    registry.leave(&views[1]);
    assert_eq!(registry.join(None).unwrap().id, PeerId(0), "it was never drawn for peer 2");
}

#[test]
fn a_pair_that_restarts_gets_the_same_ids() {
    let mut registry = registry(2);
    for _ in 0..3 {
        let mut views = joined::<2>(&mut registry);
        assert_eq!(views.each_ref().map(|view| view.id), [0, 1].map(PeerId));
        for view in &mut views {
            told(&mut registry, view);
        }
        for view in views {
            registry.leave(&view);
        }
        assert_eq!((registry.next_id(), registry.free_ids(), registry.held_ids()), (0, IDS, 0));
    }
}

#[test]
fn a_slow_client_is_not_confused_by_an_id_that_is_reused() {
    let mut registry = registry(9);
    let [mut slow] = joined(&mut registry);
    assert_eq!(told(&mut registry, &mut slow), "version id 0 memory +0");
    for _ in 0..3 {
        let [one, mut other] = joined::<2>(&mut registry);
        assert_eq!((one.id, other.id), (PeerId(1), PeerId(2)));
        told(&mut registry, &mut other);
        registry.leave(&one);
        registry.leave(&other);
    }
    let [last] = joined(&mut registry);
    assert_eq!((last.id, told(&mut registry, &mut slow).as_str()), (PeerId(1), "+1"));
    registry.leave(&last);
    assert_eq!(told(&mut registry, &mut slow), "-1");
    assert_eq!(registry.join(None).unwrap().id, PeerId(2));
}

#[test]
fn without_a_free_id_the_refusal_names_the_peer_that_holds_them() {
    let mut registry = registry_without_vectors(3);
    let [mut witness] = joined(&mut registry);
    for expected in 1..=u16::MAX {
        let view = registry.join(None).unwrap();
        assert_eq!(view.id, PeerId(expected));
        drawn(&mut registry, &mut witness);
        registry.leave(&view);
    }
    let refusal = registry.join(None).unwrap_err().to_string();
    assert!(refusal.contains("peer 0, which was notified of 65536 ids"), "{refusal}");
    assert_eq!((registry.next_id(), registry.free_ids(), registry.held_ids()), (IDS, 0, 65_535));
    assert_eq!(registry.departures.len(), 65_535, "one for each id that is held");
    registry.leave(&witness);
    assert_eq!((registry.free_ids(), registry.departures.len()), (IDS, 0));
    assert_eq!(registry.join(None).unwrap().id, PeerId(0));
}

/// Peers that join and leave next to one that reads nothing and one that is replaced now and then.
fn churn(joins: u32) {
    let mut registry = registry_without_vectors(4);
    let [_stuck, mut reader] = joined(&mut registry);
    for count in 0..joins {
        let mut view = registry.join(None).unwrap();
        registry.next_batch(&mut view, &mut VecDeque::new());
        registry.next_batch(&mut reader, &mut VecDeque::new());
        registry.leave(&view);
        if count % 1000 == 999 {
            registry.leave(&reader);
            reader = registry.join(None).unwrap();
            assert_eq!(reader.id, PeerId(1));
        }
        let kept = registry.departures.len();
        assert!(view.id <= PeerId(1002) && kept <= 1002, "after {count} joins: id {}, {kept} departures", view.id);
    }
}

#[test]
fn joins_without_end_cost_neither_ids_nor_memory() {
    churn(20_000);
}

#[test]
#[ignore = "10,000,000 joins: some minutes, fewer with --release"]
fn ten_million_joins_cost_neither_ids_nor_memory() {
    churn(10_000_000);
}

#[test]
fn one_that_does_not_read_keeps_no_descriptors_of_those_who_left() {
    let mut registry = registry(9);
    let [mut stuck, other] = joined(&mut registry);
    let notifications = drawn(&mut registry, &mut stuck);
    registry.leave(&other);
    let alive: Vec<bool> = notifications
        .iter()
        .filter_map(|notification| match notification {
            Notification::Doorbells(bells) => Some(bells.eventfds.upgrade().is_some()),
            _ => None,
        })
        .collect();
    assert_eq!(alive, [true, false]);
}

#[test]
fn the_status_counts_what_is_still_to_be_told() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    let queued = |registry: &Registry| registry.peers().iter().map(|peer| peer.queued_notices).collect::<Vec<_>>();
    // The peer list of each has those that joined before it.
    assert_eq!(queued(&registry), [2, 2, 2]);
    told(&mut registry, &mut views[1]);
    assert_eq!(queued(&registry), [2, 0, 2]);
    registry.leave(&views[0]);
    assert_eq!(queued(&registry), [1, 2]);
}
