//! Judging what those present are told of others.

use super::observer::Seen;

/// A newcomer: once per vector.
pub(super) fn joined(messages: &[Seen], id: i64, vectors: usize) -> Result<(), String> {
    let announced = messages.iter().filter(|seen| seen.announces(id)).count();
    if announced == vectors {
        Ok(())
    } else {
        Err(format!("peer {id} was announced {announced} times, with {vectors} vectors"))
    }
}

/// A departure: once, after the announcement.
pub(super) fn left(messages: &[Seen], id: i64) -> Result<(), String> {
    match messages.iter().filter(|seen| seen.tells_end_of(id)).count() {
        1 => Ok(()),
        count => Err(format!("the end of peer {id} was told {count} times")),
    }
}

/// A peer that came and went, to one who read late: everything, in order.
pub(super) fn whole_life(messages: &[Seen], id: i64, vectors: usize) -> Result<(), String> {
    let of_peer: Vec<bool> = messages.iter().filter(|seen| seen.value == id).map(|seen| !seen.fds.is_empty()).collect();
    let expected: Vec<bool> = std::iter::repeat_n(true, vectors).chain([false]).collect();
    if of_peer == expected {
        Ok(())
    } else {
        let told = of_peer.iter().filter(|announced| **announced).count();
        Err(format!(
            "of peer {id}, which came with {vectors} vectors and left, it was told {told} vectors and {} ends",
            of_peer.len() - told
        ))
    }
}
