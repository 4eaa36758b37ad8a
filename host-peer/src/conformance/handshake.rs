//! Checks the handshake: the init messages, the peer list, then the client's own vectors.

use std::collections::{BTreeMap, BTreeSet};

use client::plural::plural;

use super::recorder::{INIT_MESSAGES, RecordedMessage, RecordingClient};

/// The messages after the init messages, up to `end`, where the next client is announced.
pub(super) fn of(log: &[RecordedMessage], end: usize) -> &[RecordedMessage] {
    &log[INIT_MESSAGES.min(end)..end]
}

/// Announced vectors per peer.
pub(super) fn vectors(messages: &[RecordedMessage]) -> BTreeMap<i64, usize> {
    let mut vectors = BTreeMap::new();
    for message in messages.iter().filter(|message| message.descriptors > 0) {
        *vectors.entry(message.value).or_default() += 1;
    }
    vectors
}

/// Connected peers first, then the client itself, peer by peer. Ids in `gone` must not appear.
pub(super) fn order(messages: &[RecordedMessage], own: i64, gone: &BTreeSet<i64>) -> Result<(), String> {
    let mut finished = BTreeSet::new();
    let mut current = None;
    for message in messages.iter().filter(|message| message.descriptors > 0) {
        let id = message.value;
        if u16::try_from(id).is_err() {
            return Err(format!("{id} was announced, which is not a peer id"));
        }
        if gone.contains(&id) {
            return Err(format!("client {own} received peer {id}, which had left"));
        }
        if current != Some(id) {
            if finished.contains(&id) {
                return Err(format!("client {own} received the vectors of peer {id} in two parts"));
            }
            finished.extend(current);
            current = Some(id);
        }
    }
    if messages.iter().any(|message| message.is_leave_notice(own)) {
        return Err(format!("client {own} received its own id without a descriptor"));
    }
    match current {
        Some(id) if id == own => Ok(()),
        Some(id) => Err(format!("client {own} received peer {id} after its own vectors, or never its own")),
        None => Err(format!("client {own} received no vectors")),
    }
}

/// All known connected peers must appear. Other peers may appear too.
pub(super) fn check_peer_list(messages: &[RecordedMessage], own: i64, present: &[i64]) -> Result<(), String> {
    match present.iter().find(|&&id| !messages.iter().any(|message| message.is_join_notice(id))) {
        Some(id) => Err(format!("client {own} did not receive peer {id}, which was connected before")),
        None => Ok(()),
    }
}

/// All peers have the same number of vectors.
pub(super) fn equal_vectors(vectors: &BTreeMap<i64, usize>, expected: usize) -> Result<(), String> {
    match vectors.iter().find(|(_, count)| **count != expected) {
        Some((id, count)) => {
            Err(format!("peer {id} was announced with {}, others with {expected}", plural(*count, "vector")))
        }
        None => Ok(()),
    }
}

/// Index of the first announcement of a new client.
pub(super) fn handshake_end(client: &RecordingClient, next_client: i64) -> usize {
    let found = client.log.iter().skip(INIT_MESSAGES).position(|message| message.is_join_notice(next_client));
    found.map_or(client.log.len(), |at| at + INIT_MESSAGES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(ids: &[i64]) -> Vec<RecordedMessage> {
        ids.iter()
            .map(|&value| RecordedMessage { value, descriptors: 1, fds: Vec::new(), fd_with_byte: None })
            .collect()
    }

    #[test]
    fn connected_peers_come_first_peer_by_peer() {
        let none = BTreeSet::new();
        assert_eq!(order(&announced(&[0, 0, 1, 1, 2, 2]), 2, &none), Ok(()));
        for wrong in [&[2, 2, 0, 0][..], &[0, 1, 0, 2], &[2, 0, 2], &[0, 0], &[], &[0, 70_000, 2]] {
            assert!(order(&announced(wrong), 2, &none).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn detects_a_missing_peer() {
        assert_eq!(check_peer_list(&announced(&[0, 0, 1, 1, 7, 2, 2]), 2, &[0, 1]), Ok(()));
        assert!(check_peer_list(&announced(&[0, 0, 2, 2]), 2, &[0, 1]).unwrap_err().contains("peer 1"));
    }

    #[test]
    fn rejects_a_peer_that_left() {
        let gone = BTreeSet::from([1]);
        assert!(order(&announced(&[0, 1, 2]), 2, &gone).unwrap_err().contains("peer 1"));
    }

    #[test]
    fn names_peer_with_different_vector_count() {
        let counts = vectors(&announced(&[0, 0, 1, 2, 2]));
        assert!(equal_vectors(&counts, 2).unwrap_err().contains("peer 1 was announced with 1"));
    }
}
