//! Who may connect, beside what the socket's permissions say.

use nix::unistd::{Group, User};
use thiserror::Error;
use tokio::net::UnixStream;

/// Who a client was when it connected: what the kernel says, not what the client says
/// (`SO_PEERCRED` in [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) pid: Option<i32>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Credentials {
    /// `None` where the kernel does not say.
    pub(crate) fn of(stream: &UnixStream) -> Option<Self> {
        let found = stream.peer_cred().ok()?;
        Some(Self { pid: found.pid(), uid: found.uid(), gid: found.gid() })
    }
}

/// The users and groups that are let in. With neither, everybody who can open the socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// User ids.
    pub uids: Vec<u32>,
    /// Group ids; a client's primary group is compared, which is all that `SO_PEERCRED` says.
    pub gids: Vec<u32>,
}

impl Access {
    /// One of the listed users, or of a listed group, if anything is listed. Root is no exception.
    pub(crate) fn admits(&self, credentials: Option<Credentials>) -> bool {
        if self.uids.is_empty() && self.gids.is_empty() {
            return true;
        }
        credentials.is_some_and(|Credentials { uid, gid, .. }| self.uids.contains(&uid) || self.gids.contains(&gid))
    }
}

/// A text that stands for nobody.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("this machine knows no {kind} of this name, and a number is from 0 to 4294967295")]
pub struct UnknownUserError {
    kind: &'static str,
}

/// A user's id: the number, or what the machine's databases have for the name
/// ([getpwnam(3)](https://man7.org/linux/man-pages/man3/getpwnam.3.html)).
pub fn uid(text: &str) -> Result<u32, UnknownUserError> {
    let by_name = |name: &str| User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
    text.parse().ok().or_else(|| by_name(text)).ok_or(UnknownUserError { kind: "user" })
}

/// A group's id, in the same way.
pub fn gid(text: &str) -> Result<u32, UnknownUserError> {
    let by_name = |name: &str| Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
    text.parse().ok().or_else(|| by_name(text)).ok_or(UnknownUserError { kind: "group" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_have_numbers_and_names() {
        for of in [uid, gid] {
            assert_eq!((of("64055"), of("root")), (Ok(64055), Ok(0)));
            for nobody in ["", "-1", "4294967296", "no such name", "a\0b"] {
                assert!(of(nobody).is_err(), "{nobody:?}");
            }
        }
    }

    #[test]
    fn a_listed_user_or_group_is_let_in_and_nobody_else_not_even_root() {
        let who = |uid, gid| Some(Credentials { pid: None, uid, gid });
        let access = Access { uids: vec![64055], gids: vec![36] };
        assert!(access.admits(who(64055, 1)));
        assert!(access.admits(who(1, 36)));
        assert!(!access.admits(who(36, 64055)));
        assert!(!access.admits(who(0, 0)));
        assert!(!access.admits(None));
    }

    #[test]
    fn without_a_list_the_sockets_permissions_decide() {
        assert!(Access::default().admits(None));
    }
}
