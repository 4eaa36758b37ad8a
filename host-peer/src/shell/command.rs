//! Parses a line.

use std::time::Duration;

use cli_common::{duration, number, size};
use proto::wire::{PeerId, Vector};

/// The output of `help`.
pub(super) const HELP: &str = "\
help, ?                  list the commands
dump                     all peers with the descriptors of their vectors
int PEER VECTOR          ring a vector of a peer
int PEER all             ring all vectors of a peer
int all                  ring all vectors of all other peers
peers                    list the connected peers
ring PEER VECTOR [N]     ring a vector of a peer, N times
wait [VECTOR] [TIME]     wait until this peer is rung, such as wait 0 500ms
read OFFSET LEN          print bytes of the shared memory
write OFFSET HEX         write bytes, such as write 0x1000 de ad be ef
quit                     leave; so does the end of the input
several commands on a line: separate them with ;
# starts a comment, at the start of a line or after ;";

/// The commands, for completion.
pub(super) const WORDS: [&str; 10] = ["help", "?", "dump", "int", "peers", "ring", "wait", "read", "write", "quit"];

/// Upper limit of `read`; the command line has none.
pub(super) const MAX_READ: u64 = 64 << 10;

/// The doorbells to ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    One(PeerId, Vector),
    AllOf(PeerId),
    All,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ShellCommand {
    Help,
    Dump,
    Peers,
    Ring { target: Target, count: u64 },
    Wait { vector: Option<Vector>, timeout: Option<Duration> },
    Read { offset: u64, len: u64 },
    Write { offset: u64, bytes: Vec<u8> },
    Quit,
}

/// Why a line is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CommandError {
    /// The text of QEMU's example client.
    #[error("invalid command, type help: {0}")]
    Unknown(String),
    #[error("usage: {0}")]
    Usage(&'static str),
    #[error("{0} is not hexadecimal: two digits per byte are expected")]
    NoHex(String),
    #[error("cannot print {0} bytes: the limit is {MAX_READ}. Hint: `host-peer read` has no limit")]
    TooMuch(u64),
}

/// The commands of a line, up to a comment.
pub(super) fn commands(line: &str) -> impl Iterator<Item = &str> {
    line.split(';').take_while(|words| !words.trim_start().starts_with('#'))
}

impl ShellCommand {
    /// Parses a command; `None` if it is empty.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, CommandError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let usage = match words.first() {
            None => return Ok(None),
            Some(&"int") => "int PEER VECTOR, int PEER all, or int all",
            Some(&"ring") => "ring PEER VECTOR [N]",
            Some(&"wait") => "wait [VECTOR] [TIME]",
            Some(&"read") => "read OFFSET LEN",
            Some(&"write") => "write OFFSET HEX",
            Some(_) => {
                let plain = Self::without_arguments(&words);
                return plain.map(Some).ok_or_else(|| CommandError::Unknown(line.trim().to_owned()));
            }
        };
        let command = Self::with_arguments(&words).ok_or(CommandError::Usage(usage))??;
        Ok(Some(command))
    }

    fn without_arguments(words: &[&str]) -> Option<Self> {
        match words {
            ["help" | "?"] => Some(Self::Help),
            ["dump"] => Some(Self::Dump),
            ["peers"] => Some(Self::Peers),
            ["quit" | "exit"] => Some(Self::Quit),
            _ => None,
        }
    }

    /// `None` for wrong usage.
    fn with_arguments(words: &[&str]) -> Option<Result<Self, CommandError>> {
        let peer = |word: &str| word.parse().ok().map(PeerId);
        let vector = |word: &str| word.parse().ok().map(Vector);
        let time = |word| duration::parse(word).ok();
        let size = |word| size::parse(word).ok();
        let ring = |target, count| Self::Ring { target, count };
        Some(Ok(match *words {
            ["int", "all"] => ring(Target::All, 1),
            ["int", to, "all"] => ring(Target::AllOf(peer(to)?), 1),
            ["int" | "ring", to, at] => ring(Target::One(peer(to)?, vector(at)?), 1),
            ["ring", to, at, count] => {
                ring(Target::One(peer(to)?, vector(at)?), number::in_range(1..=u64::MAX)(count).ok()?)
            }
            ["wait"] => Self::Wait { vector: None, timeout: None },
            ["wait", word] => match vector(word) {
                None => Self::Wait { vector: None, timeout: Some(time(word)?) },
                vector => Self::Wait { vector, timeout: None },
            },
            ["wait", at, limit] => Self::Wait { vector: Some(vector(at)?), timeout: Some(time(limit)?) },
            ["read", offset, len] => match (size(offset)?, size(len)?) {
                (_, len) if len > MAX_READ => return Some(Err(CommandError::TooMuch(len))),
                (offset, len) => Self::Read { offset, len },
            },
            ["write", offset, ref hex @ ..] if !hex.is_empty() => {
                let offset = size(offset)?;
                let digits = hex.concat();
                return Some(match bytes(&digits) {
                    Some(bytes) => Ok(Self::Write { offset, bytes }),
                    None => Err(CommandError::NoHex(digits)),
                });
            }
            _ => return None,
        }))
    }
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect();
    let (pairs, []) = digits.as_deref()?.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> ShellCommand {
        ShellCommand::parse(line).unwrap().unwrap()
    }

    #[test]
    fn accepts_commands_of_the_example_client() {
        assert_eq!(parsed("help"), ShellCommand::Help);
        assert_eq!(parsed("?"), ShellCommand::Help);
        assert_eq!(parsed("dump"), ShellCommand::Dump);
        let ring = |target| ShellCommand::Ring { target, count: 1 };
        assert_eq!(parsed("int 3 1"), ring(Target::One(PeerId(3), Vector(1))));
        assert_eq!(parsed("int 3 all"), ring(Target::AllOf(PeerId(3))));
        assert_eq!(parsed("int all"), ring(Target::All));
    }

    #[test]
    fn wait_takes_optional_vector_and_time() {
        let wait = |vector: Option<u16>, ms: Option<u64>| ShellCommand::Wait {
            vector: vector.map(Vector),
            timeout: ms.map(Duration::from_millis),
        };
        assert_eq!(parsed("wait"), wait(None, None));
        assert_eq!(parsed("wait 1"), wait(Some(1), None));
        assert_eq!(parsed("wait 20ms"), wait(None, Some(20)));
        assert_eq!(parsed("wait 1 20ms"), wait(Some(1), Some(20)));
    }

    #[test]
    fn write_takes_hexadecimal_with_or_without_spaces() {
        let expected = ShellCommand::Write { offset: 4096, bytes: vec![0xde, 0xad, 0x01] };
        assert_eq!(parsed("write 0x1000 dead01"), expected);
        assert_eq!(parsed("write 4K de ad 01"), expected);
        assert_eq!(parsed("read 4K 0x10"), ShellCommand::Read { offset: 4096, len: 16 });
        assert_eq!(parsed("ring 3 1 9"), ShellCommand::Ring { target: Target::One(PeerId(3), Vector(1)), count: 9 });
    }

    #[test]
    fn reports_invalid_commands_and_skips_empty_lines() {
        assert_eq!(ShellCommand::parse("  "), Ok(None));
        assert_eq!(ShellCommand::parse("dump now"), Err(CommandError::Unknown("dump now".into())));
        assert_eq!(ShellCommand::parse("write 0 abc"), Err(CommandError::NoHex("abc".into())));
        assert_eq!(ShellCommand::parse("write 0 é1"), Err(CommandError::NoHex("é1".into())));
        assert_eq!(ShellCommand::parse("read 0 1G"), Err(CommandError::TooMuch(1 << 30)));
        for line in ["int", "int 1", "int x 0", "int 65536 0", "ring 1", "ring 1 0 0", "wait x", "read 1", "write 1"] {
            assert!(matches!(ShellCommand::parse(line), Err(CommandError::Usage(_))), "{line}");
        }
    }

    #[test]
    fn comment_ends_with_the_line() {
        let of = |line| commands(line).map(|words| ShellCommand::parse(words).unwrap()).collect::<Vec<_>>();
        assert_eq!(of("# list peers; quit"), []);
        assert_eq!(of("  #!/usr/bin/env -S host-peer shell"), []);
        assert_eq!(of("dump; # then; quit"), [Some(ShellCommand::Dump)]);
        assert_eq!(of("dump;;peers"), [Some(ShellCommand::Dump), None, Some(ShellCommand::Peers)]);
        assert!(ShellCommand::parse("int # 1").is_err(), "not a comment within a command");
    }

    #[test]
    fn help_has_every_completed_command() {
        for word in WORDS {
            assert!(HELP.lines().any(|line| line.split([' ', ',']).any(|w| w == word)), "{word}");
        }
    }
}
