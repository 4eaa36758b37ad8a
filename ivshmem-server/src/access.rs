//! Which users and groups may connect, in addition to the socket's permissions.

use clap::Args;
use nix::unistd::{Group, User};
use tokio::net::UnixStream;

/// A client's process, user and group when it connected, as the kernel reports them
/// (`SO_PEERCRED` in [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) pid: Option<i32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

impl Credentials {
    pub(crate) fn from_stream(stream: &UnixStream) -> Self {
        stream.peer_cred().map_or_else(
            |_| Self::default(),
            |peer| Self { pid: peer.pid(), uid: Some(peer.uid()), gid: Some(peer.gid()) },
        )
    }
}

/// The allowed users and groups. If both lists are empty, every process that can open the socket is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Access {
    /// Allow this user, by number or name; repeatable. Without this and --allow-gid, all users that can open the socket are
    /// allowed
    #[arg(long = "allow-uid", value_name = "USER", num_args = 1.., value_delimiter = ',', value_parser = parse_uid)]
    pub uids: Vec<u32>,

    // Only the primary group counts, because `SO_PEERCRED` reports no other.
    /// Allow users with this primary group, by number or name; repeatable
    #[arg(long = "allow-gid", value_name = "GROUP", num_args = 1.., value_delimiter = ',', value_parser = parse_gid)]
    pub gids: Vec<u32>,
}

impl Access {
    /// Whether a client may join. Root is not an exception.
    pub(crate) fn allows(&self, Credentials { uid, gid, .. }: Credentials) -> bool {
        let is_listed = |list: &[u32], id: Option<u32>| id.is_some_and(|id| list.contains(&id));
        (self.uids.is_empty() && self.gids.is_empty()) || is_listed(&self.uids, uid) || is_listed(&self.gids, gid)
    }
}

/// Parses a user: an id, or a name ([getpwnam(3)](https://man7.org/linux/man-pages/man3/getpwnam.3.html)).
fn parse_uid(text: &str) -> Result<u32, String> {
    let by_name = |name: &str| User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
    text.parse().ok().or_else(|| by_name(text)).ok_or_else(|| unknown("user"))
}

/// Parses a group in the same way.
fn parse_gid(text: &str) -> Result<u32, String> {
    let by_name = |name: &str| Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
    text.parse().ok().or_else(|| by_name(text)).ok_or_else(|| unknown("group"))
}

fn unknown(kind: &str) -> String {
    format!("unknown {kind}: give the name of a {kind} of this machine, or a number from 0 to 4294967295")
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
        let client = |uid, gid| Credentials { pid: None, uid: Some(uid), gid: Some(gid) };
        let access = Access { uids: vec![64055], gids: vec![36] };
        assert!(access.allows(client(64055, 1)));
        assert!(access.allows(client(1, 36)));
        assert!(!access.allows(client(36, 64055)));
        assert!(!access.allows(client(0, 0)));
        assert!(!access.allows(Credentials::default()));
    }

    #[test]
    fn allows_all_without_a_list() {
        assert!(Access::default().allows(Credentials::default()));
    }
}
