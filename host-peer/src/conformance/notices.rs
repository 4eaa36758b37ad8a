//! Checks the notices to connected clients.

use super::recorder::{INIT_MESSAGES, RecordedMessage};
use client::plural::plural;

/// A join: one notice per vector.
pub(super) fn joined(messages: &[RecordedMessage], id: i64, vectors: usize) -> Result<(), String> {
    let announced = messages.iter().filter(|message| message.is_join_notice(id)).count();
    if announced == vectors {
        Ok(())
    } else {
        Err(format!("peer {id} was announced {}, with {}", plural(announced, "time"), plural(vectors, "vector")))
    }
}

/// A leave: one notice.
pub(super) fn left(messages: &[RecordedMessage], id: i64) -> Result<(), String> {
    match messages.iter().filter(|message| message.is_leave_notice(id)).count() {
        1 => Ok(()),
        count => Err(format!("the leave of peer {id} was reported {}", plural(count, "time"))),
    }
}

/// Compares the notices of a late reader with those of a prompt one. Notices of a peer that left before the late client
/// read may be missing as a whole: the final state is the same.
pub(super) fn compare(late: &[RecordedMessage], prompt: &[RecordedMessage], id: i64) -> Result<(), String> {
    let of_peer = |log: &[RecordedMessage]| -> Vec<bool> {
        log.iter()
            .skip(INIT_MESSAGES)
            .filter(|message| message.value == id)
            .map(|message| message.descriptors > 0)
            .collect()
    };
    let (late, prompt) = (of_peer(late), of_peer(prompt));
    let left_out = late.is_empty() && prompt.last() == Some(&false);
    if late == prompt || left_out {
        return Ok(());
    }
    let describe = |messages: &[bool]| {
        let vectors = messages.iter().filter(|announced| **announced).count();
        format!("{} and {}", plural(vectors, "vector"), plural(messages.len() - vectors, "leave"))
    };
    Err(format!("for peer {id} it received {}, other clients {}", describe(&late), describe(&prompt)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(of_peer: &[(i64, usize)]) -> Vec<RecordedMessage> {
        let greeting = [(0, 0), (5, 0), (-1, 1)];
        let message = |&(value, descriptors): &(i64, usize)| RecordedMessage {
            value,
            descriptors,
            fds: Vec::new(),
            fd_with_byte: None,
        };
        greeting.iter().chain(of_peer).map(message).collect()
    }

    #[test]
    fn reports_missed_messages_by_number() {
        let prompt = log(&[(7, 1), (8, 1), (7, 1), (7, 0)]);
        assert_eq!(compare(&log(&[(7, 1), (7, 1), (7, 0), (8, 1)]), &prompt, 7), Ok(()));
        let missed = compare(&log(&[(7, 1), (7, 0)]), &prompt, 7).unwrap_err();
        assert_eq!(missed, "for peer 7 it received 1 vector and 1 leave, other clients 2 vectors and 1 leave");
        assert!(compare(&log(&[(7, 1), (7, 0), (7, 1)]), &prompt, 7).is_err(), "the order counts");
    }

    #[test]
    fn only_a_peer_that_left_may_be_missing() {
        assert_eq!(compare(&log(&[(8, 1)]), &log(&[(7, 1), (8, 1), (7, 0)]), 7), Ok(()));
        assert!(compare(&log(&[(8, 1)]), &log(&[(7, 1), (8, 1)]), 7).is_err());
    }

    #[test]
    fn detects_repeated_and_missing_notices() {
        assert_eq!(left(&log(&[(7, 1), (7, 0)]), 7), Ok(()));
        assert!(left(&log(&[(7, 0), (7, 0)]), 7).is_err());
        assert!(left(&log(&[(8, 0)]), 7).is_err());
        assert_eq!(joined(&log(&[(7, 1), (7, 1), (7, 0)]), 7, 2), Ok(()));
        assert!(joined(&log(&[(7, 1)]), 7, 2).is_err());
    }
}
