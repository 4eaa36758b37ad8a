//! Judging what those present are told of others.

use super::handshake::INIT_MESSAGES;
use super::recorder::RecordedMessage;
use client::plural::plural;

/// A newcomer: once per vector.
pub(super) fn joined(messages: &[RecordedMessage], id: i64, vectors: usize) -> Result<(), String> {
    let announced = messages.iter().filter(|message| message.is_join_notice(id)).count();
    if announced == vectors {
        Ok(())
    } else {
        Err(format!("peer {id} was announced {}, with {}", plural(announced, "time"), plural(vectors, "vector")))
    }
}

/// A departure: once, after the announcement.
pub(super) fn left(messages: &[RecordedMessage], id: i64) -> Result<(), String> {
    match messages.iter().filter(|message| message.is_leave_notice(id)).count() {
        1 => Ok(()),
        count => Err(format!("the end of peer {id} was told {}", plural(count, "time"))),
    }
}

/// What one client was told of a peer, compared with what another one, who read all the time, was told. Of a peer that
/// left before the client read, it may be told nothing at all: what it knows at the end is the same.
pub(super) fn alike(late: &[RecordedMessage], prompt: &[RecordedMessage], id: i64) -> Result<(), String> {
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
    let describe = |told: &[bool]| {
        let vectors = told.iter().filter(|announced| **announced).count();
        format!("{} and {}", plural(vectors, "vector"), plural(told.len() - vectors, "end"))
    };
    Err(format!("of peer {id} it was told {}, and others {}", describe(&late), describe(&prompt)))
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
    fn a_message_that_one_missed_is_told_by_numbers() {
        let prompt = log(&[(7, 1), (8, 1), (7, 1), (7, 0)]);
        assert_eq!(alike(&log(&[(7, 1), (7, 1), (7, 0), (8, 1)]), &prompt, 7), Ok(()));
        let missed = alike(&log(&[(7, 1), (7, 0)]), &prompt, 7).unwrap_err();
        assert_eq!(missed, "of peer 7 it was told 1 vector and 1 end, and others 2 vectors and 1 end");
        assert!(alike(&log(&[(7, 1), (7, 0), (7, 1)]), &prompt, 7).is_err(), "the order counts");
    }

    #[test]
    fn a_peer_that_left_may_be_left_out_as_a_whole_and_one_that_stays_may_not() {
        assert_eq!(alike(&log(&[(8, 1)]), &log(&[(7, 1), (8, 1), (7, 0)]), 7), Ok(()));
        assert!(alike(&log(&[(8, 1)]), &log(&[(7, 1), (8, 1)]), 7).is_err());
    }

    #[test]
    fn what_is_told_once_too_often_or_never_is_named() {
        assert_eq!(left(&log(&[(7, 1), (7, 0)]), 7), Ok(()));
        assert!(left(&log(&[(7, 0), (7, 0)]), 7).is_err());
        assert!(left(&log(&[(8, 0)]), 7).is_err());
        assert_eq!(joined(&log(&[(7, 1), (7, 1), (7, 0)]), 7, 2), Ok(()));
        assert!(joined(&log(&[(7, 1)]), 7, 2).is_err());
    }
}
