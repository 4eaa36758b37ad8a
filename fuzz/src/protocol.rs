//! Properties of the parsers of the client-server protocol. Each compares a parser with a simpler model.

use std::collections::{BTreeMap, BTreeSet};

use proto::session::{Event, Session};
use proto::wire::{DecodeError, Decoder, MESSAGE_BYTES, Message, PeerId, Vector};

/// Decodes a stream in parts. The second half of the input is the stream, and each byte of the first half describes a part:
/// bits 0 to 2 are its maximum length, bit 3 attaches a descriptor, and if bits 4 to 7 are set, the part is too long.
///
/// A message is the next eight bytes with the descriptor of one of its parts. A second descriptor is an error, and so is an
/// incomplete message at the end.
pub fn decoder(data: &[u8]) {
    let (cuts, stream) = data.split_at(data.len() / 2);
    let mut decoder = Decoder::new();
    let (mut fed, mut descriptor) = (0, None);
    for (part, cut) in cuts.iter().enumerate() {
        let wanted = decoder.wanted();
        assert_eq!(wanted, MESSAGE_BYTES - fed % MESSAGE_BYTES);
        let rest = &stream[fed..];
        if cut >> 4 == 15 && rest.len() > wanted {
            let (given, error) = (wanted + 1, decoder.feed(&rest[..=wanted], None));
            assert_eq!(error, Err(DecodeError::Overread { given, wanted }));
            return;
        }
        let count = (usize::from(cut & 7) + 1).min(wanted).min(rest.len());
        if count == 0 {
            break;
        }
        let fd = (cut & 8 != 0).then_some(part);
        let result = decoder.feed(&rest[..count], fd);
        if fd.is_some() && descriptor.is_some() {
            assert_eq!(result, Err(DecodeError::SecondDescriptor));
            return;
        }
        descriptor = descriptor.or(fd);
        fed += count;
        let is_complete = fed.is_multiple_of(MESSAGE_BYTES);
        let expected = is_complete.then(|| {
            let bytes = stream[fed - MESSAGE_BYTES..fed].try_into().expect("eight bytes");
            Message { value: i64::from_le_bytes(bytes), fd: descriptor.take() }
        });
        assert_eq!(result, Ok(expected));
    }
    let expected = match fed % MESSAGE_BYTES {
        0 => Ok(()),
        received => Err(DecodeError::EndWithinMessage { received }),
    };
    assert_eq!(decoder.finish(), expected);
}

/// Messages to a client, three bytes each: two for the number, which is mostly small, and one for the descriptor.
///
/// A valid message gives the event of the model. An invalid message is an error.
pub fn session(data: &[u8]) {
    let mut session = Session::new();
    let mut model = Client::default();
    for (index, message) in data.chunks_exact(3).enumerate() {
        let value = match message[1] {
            0..=220 => i64::from(message[0] % 8) - 1,
            221..=240 => i64::from(message[0]) * 257,
            _ => i64::from(message[0]) << 48,
        };
        let fd = (message[2] & 1 == 1).then_some(index);
        let expected = model.expects(value, fd);
        let result = session.feed(value, fd);
        assert_eq!(result.as_ref().ok(), expected.as_ref(), "{value} with {fd:?}: {result:?}");
        if result.is_err() {
            return;
        }
    }
}

/// Model of a client, which counts the messages.
#[derive(Default)]
struct Client {
    messages: usize,
    own: Option<PeerId>,
    vectors: BTreeMap<PeerId, u16>,
    departed: BTreeSet<PeerId>,
}

impl Client {
    /// The event of a message; `None` if the protocol does not allow it.
    fn expects(&mut self, value: i64, fd: Option<usize>) -> Option<Event<usize>> {
        self.messages += 1;
        match (self.messages, fd) {
            (1, None) => (value == 0).then_some(Event::VersionAgreed),
            (2, None) => {
                self.own = PeerId::from_wire(value);
                self.own.map(Event::Joined)
            }
            (3, Some(fd)) => (value == -1).then_some(Event::Memory(fd)),
            (1..=3, _) => None,
            (_, Some(fd)) => {
                let peer = PeerId::from_wire(value).filter(|peer| !self.departed.contains(peer))?;
                let count = self.vectors.entry(peer).or_insert(0);
                let vector = Vector(*count);
                *count += 1;
                let own = self.own == Some(peer);
                Some(if own { Event::OwnVector { vector, fd } } else { Event::PeerVector { peer, vector, fd } })
            }
            (_, None) => {
                let peer = PeerId::from_wire(value).filter(|peer| self.own != Some(*peer))?;
                self.vectors.remove(&peer)?;
                self.departed.insert(peer);
                Some(Event::PeerLeft(peer))
            }
        }
    }
}
