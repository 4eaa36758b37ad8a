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
        let Some((&verb, arguments)) = words.split_first() else { return Ok(None) };
        let command = match (verb, arguments) {
            ("help" | "?", []) => Self::Help,
            ("dump", []) => Self::Dump,
            ("peers", []) => Self::Peers,
            ("quit" | "exit", []) => Self::Quit,
            ("int", arguments) => Self::Ring { target: target(arguments)?, count: 1 },
            ("ring", arguments) => ring(arguments)?,
            ("wait", arguments) => wait(arguments)?,
            ("read", [offset, len]) => read(offset, len)?,
            ("read", _) => return Err(CommandError::Usage("read OFFSET LEN")),
            ("write", [offset, hex @ ..]) if !hex.is_empty() => write(offset, hex)?,
            ("write", _) => return Err(CommandError::Usage("write OFFSET HEX")),
            _ => return Err(CommandError::Unknown(line.trim().to_owned())),
        };
        Ok(Some(command))
    }
}

fn target(arguments: &[&str]) -> Result<Target, CommandError> {
    let usage = CommandError::Usage("int PEER VECTOR, int PEER all, or int all");
    let parsed = match arguments {
        ["all"] => Some(Target::All),
        [peer, "all"] => peer.parse().ok().map(|peer| Target::AllOf(PeerId(peer))),
        [peer, vector] => one(peer, vector),
        _ => None,
    };
    parsed.ok_or(usage)
}

fn one(peer: &str, vector: &str) -> Option<Target> {
    Some(Target::One(PeerId(peer.parse().ok()?), Vector(vector.parse().ok()?)))
}

fn ring(arguments: &[&str]) -> Result<ShellCommand, CommandError> {
    let parsed = match arguments {
        [peer, vector] => one(peer, vector).map(|target| (target, 1)),
        [peer, vector, count] => one(peer, vector).zip(number::in_range(1_u64..)(count).ok()),
        _ => None,
    };
    let (target, count) = parsed.ok_or(CommandError::Usage("ring PEER VECTOR [N]"))?;
    Ok(ShellCommand::Ring { target, count })
}

fn wait(arguments: &[&str]) -> Result<ShellCommand, CommandError> {
    let vector = |word: &str| word.parse().ok().map(Vector);
    let time = |word: &str| duration::parse(word).ok();
    let parsed = match arguments {
        [] => Some((None, None)),
        [word] => match vector(word) {
            Some(vector) => Some((Some(vector), None)),
            None => time(word).map(|time| (None, Some(time))),
        },
        [word, limit] => vector(word).zip(time(limit)).map(|(vector, time)| (Some(vector), Some(time))),
        _ => None,
    };
    let (vector, timeout) = parsed.ok_or(CommandError::Usage("wait [VECTOR] [TIME]"))?;
    Ok(ShellCommand::Wait { vector, timeout })
}

fn read(offset: &str, len: &str) -> Result<ShellCommand, CommandError> {
    let usage = || CommandError::Usage("read OFFSET LEN");
    let (offset, len) = (size::parse(offset).map_err(|_| usage())?, size::parse(len).map_err(|_| usage())?);
    if len > MAX_READ { Err(CommandError::TooMuch(len)) } else { Ok(ShellCommand::Read { offset, len }) }
}

fn write(offset: &str, hex: &[&str]) -> Result<ShellCommand, CommandError> {
    let offset = size::parse(offset).map_err(|_| CommandError::Usage("write OFFSET HEX"))?;
    let digits = hex.concat();
    let no_hex = || CommandError::NoHex(digits.clone());
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(no_hex());
    }
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).map_err(|_| no_hex())?;
        u8::from_str_radix(pair, 16).map_err(|_| no_hex())
    });
    Ok(ShellCommand::Write { offset, bytes: pairs.collect::<Result<_, _>>()? })
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
