//! Which users and groups may connect, in addition to the socket's permissions.

use nix::unistd::{Group, User};
use thiserror::Error;
use tokio::net::UnixStream;

/// A client's process, user and group when it connected, as the kernel reports them
/// (`SO_PEERCRED` in [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) pid: Option<i32>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Credentials {
    /// `None` if the kernel does not report them.
    pub(crate) fn from_stream(stream: &UnixStream) -> Option<Self> {
        let credentials = stream.peer_cred().ok()?;
        Some(Self { pid: credentials.pid(), uid: credentials.uid(), gid: credentials.gid() })
    }
}

/// The allowed users and groups. If both lists are empty, every process that can open the socket is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// User ids.
    pub uids: Vec<u32>,
    /// Group ids. Only a client's primary group counts, because `SO_PEERCRED` reports no other.
    pub gids: Vec<u32>,
}

impl Access {
    /// Whether a client may join. Root is not an exception.
    pub(crate) fn allows(&self, credentials: Option<Credentials>) -> bool {
        if self.uids.is_empty() && self.gids.is_empty() {
            return true;
        }
        credentials.is_some_and(|Credentials { uid, gid, .. }| self.uids.contains(&uid) || self.gids.contains(&gid))
    }
}

/// A text that is neither the name nor the number of a user or group.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown {kind}: give the name of a {kind} of this machine, or a number from 0 to 4294967295")]
pub struct UnknownUserError {
    kind: &'static str,
}

/// Parses a user: an id, or a name ([getpwnam(3)](https://man7.org/linux/man-pages/man3/getpwnam.3.html)).
pub fn parse_uid(text: &str) -> Result<u32, UnknownUserError> {
    let by_name = |name: &str| User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
    text.parse().ok().or_else(|| by_name(text)).ok_or(UnknownUserError { kind: "user" })
}

/// Parses a group in the same way.
pub fn parse_gid(text: &str) -> Result<u32, UnknownUserError> {
    let by_name = |name: &str| Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
    text.parse().ok().or_else(|| by_name(text)).ok_or(UnknownUserError { kind: "group" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_numbers_and_names() {
        for parse in [parse_uid, parse_gid] {
            assert_eq!((parse("64055"), parse("root")), (Ok(64055), Ok(0)));
            for text in ["", "-1", "4294967296", "no such name", "a\0b"] {
                assert!(parse(text).is_err(), "{text:?}");
            }
        }
    }

    #[test]
    fn allows_only_listed_users_and_groups_not_even_root() {
        let client = |uid, gid| Some(Credentials { pid: None, uid, gid });
        let access = Access { uids: vec![64055], gids: vec![36] };
        assert!(access.allows(client(64055, 1)));
        assert!(access.allows(client(1, 36)));
        assert!(!access.allows(client(36, 64055)));
        assert!(!access.allows(client(0, 0)));
        assert!(!access.allows(None));
    }

    #[test]
    fn allows_all_without_a_list() {
        assert!(Access::default().allows(None));
    }
}
