//! What clients are told, without a socket: single cases, and random schedules against a model.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn registry(max_peers: usize) -> Registry {
    Registry::new(Arc::new(new_eventfd().unwrap()), 2, max_peers)
}

fn joined<const N: usize>(registry: &mut Registry) -> [View; N] {
    [(); N].map(|()| registry.join(None).unwrap())
}

fn drawn(registry: &Registry, view: &mut View) -> Vec<Notice> {
    let mut told = Vec::new();
    let mut notices = VecDeque::new();
    while registry.draw(view, &mut notices) == Drawn::Something {
        told.extend(notices.drain(..));
    }
    told
}

/// What a client was told, in short.
fn told(registry: &Registry, view: &mut View) -> String {
    let word = |notice| match notice {
        Notice::Version => "version".into(),
        Notice::YouAre(id) => format!("id {id}"),
        Notice::Memory(_) => "memory".into(),
        Notice::Doorbells(bells) => format!("+{}", bells.peer),
        Notice::Left(id) => format!("-{id}"),
    };
    drawn(registry, view).into_iter().map(word).collect::<Vec<String>>().join(" ")
}

#[test]
fn a_newcomer_hears_of_the_others_before_itself() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    assert_eq!(told(&registry, &mut views[0]), "version id 0 memory +0 +1 +2");
    assert_eq!(told(&registry, &mut views[1]), "version id 1 memory +0 +1 +2");
    assert_eq!(told(&registry, &mut views[2]), "version id 2 memory +0 +1 +2");
}

#[test]
fn who_stays_hears_once_of_each_who_left() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    told(&registry, &mut views[2]);
    registry.leave(PeerId(1));
    registry.leave(PeerId(1));
    assert_eq!(told(&registry, &mut views[2]), "-1");
}

#[test]
fn who_came_and_left_unheard_of_is_left_out() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    registry.leave(PeerId(0));
    registry.leave(PeerId(2));
    assert_eq!(told(&registry, &mut views[1]), "version id 1 memory +1");
}

#[test]
fn at_the_end_everybody_hears_that_all_others_left_of_whom_it_heard() {
    let mut registry = registry(9);
    let mut views = joined::<3>(&mut registry);
    for view in &mut views {
        told(&registry, view);
    }
    let [mut late] = joined(&mut registry);
    let _kept = registry.dissolve();
    let words = views.each_mut().map(|view| told(&registry, view));
    assert_eq!(words, ["-1 -2", "-0 -2", "-0 -1"]);
    assert_eq!(told(&registry, &mut late), "version id 3 memory +3");
    assert_eq!(registry.draw(&mut late, &mut VecDeque::new()), Drawn::Over);
}

#[test]
fn a_place_becomes_free_again_but_an_id_does_not() {
    let mut registry = registry(2);
    let _views = joined::<2>(&mut registry);
    assert!(matches!(registry.join(None), Err(Refusal::Full(2))));
    registry.leave(PeerId(0));
    assert_eq!(registry.join(None).unwrap().id, PeerId(2));
}

#[test]
fn after_the_last_id_nobody_is_taken_in_and_the_news_are_at_their_most() {
    let mut registry = registry(2);
    for expected in 0..=u16::MAX {
        let view = registry.join(None).unwrap();
        assert_eq!(view.id, PeerId(expected));
        registry.leave(view.id);
    }
    assert!(matches!(registry.join(None), Err(Refusal::OutOfIds)));
    assert_eq!(registry.news.len(), 131_072);
}

#[test]
fn one_that_does_not_read_keeps_no_descriptors_of_those_who_left() {
    let mut registry = registry(9);
    let [mut stuck, other] = joined(&mut registry);
    let notices = drawn(&registry, &mut stuck);
    registry.leave(other.id);
    let alive: Vec<bool> = notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Doorbells(bells) => Some(bells.eventfds.upgrade().is_some()),
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
    // One after the other came; the roster of each is of those before it.
    assert_eq!(queued(&registry), [2, 2, 2]);
    told(&registry, &mut views[1]);
    assert_eq!(queued(&registry), [2, 0, 2]);
    registry.leave(PeerId(0));
    assert_eq!(queued(&registry), [1, 2]);
}

/// What happens next: `Draw` and `Leave` name one of those present by its place.
#[derive(Debug, Clone)]
enum Step {
    Join,
    Leave(prop::sample::Index),
    /// A client reads; a client that is never drawn is one that stalls.
    Draw(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Join),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        3 => any::<prop::sample::Index>().prop_map(Step::Draw),
    ]
}

/// A client as the specification has it: it believes what it is told, and objects to what it must not be told.
struct Believer {
    view: View,
    heard: usize,
    believes: BTreeSet<PeerId>,
    ever: BTreeSet<PeerId>,
}

impl Believer {
    fn new(view: View) -> Self {
        Self { view, heard: 0, believes: BTreeSet::new(), ever: BTreeSet::new() }
    }

    fn hears(&mut self, registry: &Registry) {
        for notice in drawn(registry, &mut self.view) {
            match (self.heard, notice) {
                (0, Notice::Version) | (2, Notice::Memory(_)) => {}
                (1, Notice::YouAre(id)) => assert_eq!(id, self.view.id),
                (3.., Notice::Doorbells(bells)) => {
                    let own_told = self.ever.contains(&self.view.id);
                    assert!(own_told == (bells.peer > self.view.id), "{} hears of {}", self.view.id, bells.peer);
                    assert!(self.ever.last().is_none_or(|&last| last < bells.peer), "ids come in order and once");
                    self.ever.insert(bells.peer);
                    self.believes.insert(bells.peer);
                }
                (3.., Notice::Left(peer)) => {
                    assert!(self.believes.remove(&peer), "{} hears twice that {peer} left", self.view.id);
                    assert_ne!(peer, self.view.id);
                }
                (at, notice) => panic!("notice {at} is {notice:?}"),
            }
            self.heard += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_each_client_ends_up_believing_what_is_so(
        steps in prop::collection::vec(step(), 0..160),
        stop in any::<bool>(),
    ) {
        let mut registry = registry(40);
        let mut present: Vec<Believer> = Vec::new();
        let mut ids = BTreeSet::new();
        for step in steps {
            match step {
                Step::Join => {
                    let Ok(view) = registry.join(None) else {
                        prop_assert_eq!(present.len(), 40);
                        continue;
                    };
                    prop_assert!(ids.insert(view.id), "an id came twice");
                    present.push(Believer::new(view));
                }
                Step::Leave(which) if !present.is_empty() => {
                    let gone = present.swap_remove(which.index(present.len()));
                    registry.leave(gone.view.id);
                }
                Step::Draw(which) if !present.is_empty() => {
                    let reader = which.index(present.len());
                    present[reader].hears(&registry);
                }
                Step::Leave(_) | Step::Draw(_) => {}
            }
        }
        let mut expected: BTreeSet<PeerId> = present.iter().map(|believer| believer.view.id).collect();
        let kept = if stop { registry.dissolve() } else { Vec::new() };
        if stop {
            prop_assert_eq!(kept.len(), present.len());
            expected.clear();
        }
        for believer in &mut present {
            believer.hears(&registry);
            expected.extend(stop.then_some(believer.view.id));
            prop_assert_eq!(&believer.believes, &expected);
            expected.retain(|&id| !stop || id != believer.view.id);
        }
    }
}
