//! Judging what a newcomer is told: who is there, and who it is itself.

use std::collections::{BTreeMap, BTreeSet};

use super::recorder::RecordedMessage;
use client::plural::plural;

/// What comes before the first vector: version, id, memory.
pub(super) const INIT_MESSAGES: usize = 3;

/// The messages from the greeting to the last of the client's own vectors. `end` is where the first newcomer after it was
/// announced, behind which nothing belongs to the hand-over.
pub(super) fn of(log: &[RecordedMessage], end: usize) -> &[RecordedMessage] {
    &log[INIT_MESSAGES.min(end)..end]
}

/// How many vectors each peer was announced with.
pub(super) fn vectors(messages: &[RecordedMessage]) -> BTreeMap<i64, usize> {
    let mut vectors = BTreeMap::new();
    for message in messages.iter().filter(|message| message.descriptors > 0) {
        *vectors.entry(message.value).or_default() += 1;
    }
    vectors
}

/// Those present first, then the client itself, the vectors of each together. `gone` are ids that must not be named.
pub(super) fn order(messages: &[RecordedMessage], own: i64, gone: &BTreeSet<i64>) -> Result<(), String> {
    let mut finished = BTreeSet::new();
    let mut current = None;
    for message in messages.iter().filter(|message| message.descriptors > 0) {
        let id = message.value;
        if u16::try_from(id).is_err() {
            return Err(format!("{id} was announced, which is no id"));
        }
        if gone.contains(&id) {
            return Err(format!("client {own} was told of peer {id}, which had left"));
        }
        if current != Some(id) {
            if finished.contains(&id) {
                return Err(format!("client {own} was told of peer {id} in two parts"));
            }
            finished.extend(current);
            current = Some(id);
        }
    }
    if messages.iter().any(|message| message.is_leave_notice(own)) {
        return Err(format!("client {own} got its own id without a descriptor"));
    }
    match current {
        Some(id) if id == own => Ok(()),
        Some(id) => Err(format!("client {own} was told of peer {id} after itself, or never of itself")),
        None => Err(format!("client {own} was told no vector at all")),
    }
}

/// Those who were there before, whom a newcomer has no other way to learn of. Others, whom this examination does not know,
/// may be there as well.
pub(super) fn names(messages: &[RecordedMessage], own: i64, present: &[i64]) -> Result<(), String> {
    match present.iter().find(|&&id| !messages.iter().any(|message| message.is_join_notice(id))) {
        Some(id) => Err(format!("client {own} was not told of peer {id}, which was there before")),
        None => Ok(()),
    }
}

/// The same number for everybody.
pub(super) fn equal_vectors(vectors: &BTreeMap<i64, usize>, expected: usize) -> Result<(), String> {
    match vectors.iter().find(|(_, count)| **count != expected) {
        Some((id, count)) => {
            Err(format!("peer {id} was announced with {}, others with {expected}", plural(*count, "vector")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ids: &[i64]) -> Vec<RecordedMessage> {
        ids.iter()
            .map(|&value| RecordedMessage { value, descriptors: 1, fds: Vec::new(), fd_with_byte: None })
            .collect()
    }

    #[test]
    fn those_present_come_first_and_each_in_one_go() {
        let none = BTreeSet::new();
        assert_eq!(order(&told(&[0, 0, 1, 1, 2, 2]), 2, &none), Ok(()));
        for wrong in [&[2, 2, 0, 0][..], &[0, 1, 0, 2], &[2, 0, 2], &[0, 0], &[], &[0, 70_000, 2]] {
            assert!(order(&told(wrong), 2, &none).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn one_that_is_there_and_not_named_is_missed() {
        assert_eq!(names(&told(&[0, 0, 1, 1, 7, 2, 2]), 2, &[0, 1]), Ok(()));
        assert!(names(&told(&[0, 0, 2, 2]), 2, &[0, 1]).unwrap_err().contains("peer 1"));
    }

    #[test]
    fn one_that_left_is_not_named() {
        let gone = BTreeSet::from([1]);
        assert!(order(&told(&[0, 1, 2]), 2, &gone).unwrap_err().contains("peer 1"));
    }

    #[test]
    fn a_peer_with_another_number_of_vectors_is_named() {
        let counts = vectors(&told(&[0, 0, 1, 2, 2]));
        assert!(equal_vectors(&counts, 2).unwrap_err().contains("peer 1 was announced with 1"));
    }
}
