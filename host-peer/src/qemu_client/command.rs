//! Parses commands like QEMU's client.

/// The commands, as the client prints them at the start and on request.
pub(super) const HELP: &str = "dump: dump peers (including us)
int <peer> <vector>: notify one vector on a peer
int <peer> all: notify all vectors of a peer
int all: notify all vectors of all peers (excepting us)
";

/// A command. Numbers are wider than a peer id: an unknown peer is reported with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QemuCommand {
    Help,
    Dump,
    NotifyAll,
    NotifyPeer { peer: i64 },
    Notify { peer: i64, vector: i64 },
    Invalid,
}

impl QemuCommand {
    /// Parses a line; `None` if it is empty.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |word: &str| word.parse::<i64>().ok();
        Some(match words[..] {
            [] => return None,
            ["help" | "?"] => Self::Help,
            ["dump"] => Self::Dump,
            ["int", "all"] => Self::NotifyAll,
            // Without a vector, QEMU's client needs only the peer's number: `all` is optional.
            ["int", peer] | ["int", peer, "all"] => {
                number(peer).map_or(Self::Invalid, |peer| Self::NotifyPeer { peer })
            }
            ["int", peer, vector] => {
                number(peer).zip(number(vector)).map_or(Self::Invalid, |(peer, vector)| Self::Notify { peer, vector })
            }
            _ => Self::Invalid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_lines_like_qemus_client() {
        for (line, command) in [
            ("help", QemuCommand::Help),
            ("?", QemuCommand::Help),
            ("dump", QemuCommand::Dump),
            ("int all", QemuCommand::NotifyAll),
            ("int 3 all", QemuCommand::NotifyPeer { peer: 3 }),
            ("int 3", QemuCommand::NotifyPeer { peer: 3 }),
            ("int  3\t1 ", QemuCommand::Notify { peer: 3, vector: 1 }),
            ("int -1 0", QemuCommand::Notify { peer: -1, vector: 0 }),
            ("int 70000 0", QemuCommand::Notify { peer: 70_000, vector: 0 }),
        ] {
            assert_eq!(QemuCommand::parse(line), Some(command), "{line}");
        }
        for line in ["int", "int x", "int 1 x", "int 1 2 3", "dump 1", "quit", "INT ALL", "é"] {
            assert_eq!(QemuCommand::parse(line), Some(QemuCommand::Invalid), "{line}");
        }
        assert_eq!(QemuCommand::parse(" \t"), None);
    }
}
