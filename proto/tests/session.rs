//! The client's state machine against a model of a server, and against nonsense.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto::session::{Event, Session, SessionError};
use proto::wire::{MEMORY, PeerId, REFUSAL, Vector};

/// What happens on a server after the client joined.
#[derive(Debug, Clone)]
enum Happening {
    Join { vectors: u16 },
    Leave { of_the_present: prop::sample::Index },
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        (1..5_u16).prop_map(|vectors| Happening::Join { vectors }),
        any::<prop::sample::Index>().prop_map(|of_the_present| Happening::Leave { of_the_present }),
    ];
    prop::collection::vec(happening, 0..60)
}

/// A descriptor that remembers whose it is.
type Tag = (i64, u16);

fn announce(id: i64, vectors: u16) -> impl Iterator<Item = (i64, Option<Tag>)> {
    (0..vectors).map(move |vector| (id, Some((id, vector))))
}

proptest! {
    #[test]
    fn an_orderly_server_is_understood(
        before in 0..10_i64,
        vectors in 1..5_u16,
        happenings in happenings(),
    ) {
        let own = before;
        let mut present: BTreeMap<i64, u16> = (0..before).map(|id| (id, vectors)).collect();
        let mut messages = vec![(0, None), (own, None), (MEMORY, Some((MEMORY, 0)))];
        messages.extend((0..=own).flat_map(|id| announce(id, vectors)));
        let mut next_id = own + 1;
        for happening in happenings {
            match happening {
                Happening::Join { vectors } => {
                    messages.extend(announce(next_id, vectors));
                    present.insert(next_id, vectors);
                    next_id += 1;
                }
                Happening::Leave { of_the_present } if !present.is_empty() => {
                    let id = *of_the_present.get(&present.keys().copied().collect::<Vec<_>>());
                    present.remove(&id);
                    messages.push((id, None));
                }
                Happening::Leave { .. } => {}
            }
        }

        let mut session = Session::new();
        let mut known: BTreeMap<i64, u16> = BTreeMap::new();
        let mut own_vectors = 0;
        for (value, fd) in messages {
            match session.feed(value, fd).unwrap() {
                Event::VersionAgreed => prop_assert_eq!(value, 0),
                Event::Joined(id) => prop_assert_eq!(id.to_wire(), own),
                Event::Memory(fd) => prop_assert_eq!(fd, (MEMORY, 0)),
                Event::OwnVector { vector, fd } => {
                    prop_assert_eq!(fd, (own, vector.0));
                    own_vectors += 1;
                }
                Event::PeerVector { peer, vector: Vector(vector), fd } => {
                    prop_assert_eq!(fd, (peer.to_wire(), vector));
                    *known.entry(peer.to_wire()).or_default() += 1;
                }
                Event::PeerLeft(PeerId(id)) => {
                    prop_assert!(known.remove(&i64::from(id)).is_some());
                }
            }
        }
        prop_assert_eq!(own_vectors, vectors);
        prop_assert_eq!(known, present);
    }

    #[test]
    fn nonsense_is_an_error_or_an_event_but_never_a_panic(
        messages in prop::collection::vec((-2..6_i64, any::<Option<u8>>()), 0..100),
    ) {
        let mut session = Session::new();
        for (value, fd) in messages {
            let has_fd = fd.is_some();
            match session.feed(value, fd) {
                Ok(Event::VersionAgreed | Event::Joined(_) | Event::PeerLeft(_)) => {
                    prop_assert!(!has_fd);
                }
                Ok(_) => prop_assert!(has_fd),
                Err(error) => prop_assert!(error.to_string().contains("expected")),
            }
        }
    }

    #[test]
    fn only_version_zero_is_accepted(value in any::<i64>()) {
        let answer = Session::new().feed::<()>(value, None);
        let expected = match value {
            0 => Ok(Event::VersionAgreed),
            REFUSAL => Err(SessionError::Refused),
            other => Err(SessionError::WrongVersion(other)),
        };
        prop_assert_eq!(answer, expected);
    }
}
