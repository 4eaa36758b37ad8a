//! Makes a listening socket appear at its path at once.
//!
//! A socket's path is visible from bind(2) on, and refuses connections until listen(2). A program that waits for the path and
//! connects at once meets that moment a few times in a thousand starts on a busy machine, even if the calls follow each other
//! directly. To bind another path and rename would hide it, but the kernel would go on showing that path (`ss -xl`).
//!
//! So the given path is bound within a hidden directory, next to the final place, that has the path's directories in it. A
//! child process takes the hidden directory for its root, or for its current directory if the path is relative, and binds.
//! The server then listens and renames the socket into its place. The kernel shows the path that was given, and a client that
//! finds it is served.
//!
//! The child needs a right to chroot(2), or to a user namespace of its own. Where it has neither, or is killed for the attempt
//! by a filter of system calls, the server binds in place, and the moment remains.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat, renameat_with};
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, bind, getsockname, listen};
use rustix::process::{chroot, fchdir, geteuid};

/// Binds a socket to a path where nothing is, and listens. The file has the permissions `mode`, unless it had to be bound in
/// place.
pub(super) fn bind_and_listen(
    socket: &OwnedFd,
    path: &Path,
    address: &SocketAddrUnix,
    mode: u32,
    backlog: i32,
) -> io::Result<()> {
    let hidden = Hidden::create(path).ok().filter(|hidden| hidden.bind(socket, address));
    if hidden.is_none() {
        bind(socket, address)?;
    }
    // In this process: its id is what clients get from SO_PEERCRED.
    listen(socket, backlog)?;
    hidden.map_or(Ok(()), |hidden| hidden.reveal(path, mode))
}

/// A hidden directory within the socket's directory, on the same file system. Removed when dropped.
struct Hidden {
    root: PathBuf,
    /// The root, with a lock that tells later starts that this one is not over.
    root_fd: File,
    /// The current directory of the child that binds.
    start: File,
    /// Where the socket is when it is bound.
    bound: PathBuf,
    is_absolute: bool,
}

impl Hidden {
    fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = parent_of(path);
        let (root, root_fd) = Self::create_root(parent, name)?;
        let inside = lay_out(&root, parent).and_then(|(start, folder)| Ok((File::open(start)?, folder)));
        match inside {
            Ok((start, folder)) => {
                Ok(Self { bound: folder.join(name), root, root_fd, start, is_absolute: path.is_absolute() })
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&root);
                Err(error)
            }
        }
    }

    /// The name depends on the socket's only, so the next start removes what a start that was killed left. It has a second
    /// choice, since another user may have taken the first.
    fn create_root(parent: &Path, name: &std::ffi::OsStr) -> io::Result<(PathBuf, File)> {
        let mut result = Err(io::ErrorKind::AlreadyExists.into());
        for suffix in [".bind".to_owned(), format!(".bind-{}", std::process::id())] {
            let root = parent.join(OsString::from_iter([".".as_ref(), name, suffix.as_ref()]));
            remove_stale(&root);
            result = private_dir(&root).and_then(|()| {
                let fd = File::open(&root)?;
                flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
                Ok((root, fd))
            });
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Binds in a child process. Returns whether that succeeded. The socket itself shows it, so that neither a killed child nor
    /// an ignored SIGCHLD, which leaves no status to wait for, is mistaken.
    fn bind(&self, socket: &OwnedFd, address: &SocketAddrUnix) -> bool {
        // SAFETY: the child makes only system calls, on what was prepared before the fork, and never returns.
        #[expect(unsafe_code, reason = "no safe fork exists")]
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                let _ = self.enter().and_then(|()| bind(socket, address));
                // SAFETY: it takes a number and does not return. std's exit would run the exit handlers of the server.
                unsafe { nix::libc::_exit(0) }
            }
            Ok(ForkResult::Parent { child }) => {
                while waitpid(child, None) == Err(nix::Error::EINTR) {}
                is_bound(socket)
            }
            Err(_) => false,
        }
    }

    /// Makes the path lead into the hidden directory, for this process only. To be called in the child.
    fn enter(&self) -> Result<(), Errno> {
        if self.is_absolute {
            fchdir(&self.root_fd)?;
            chroot(c".").or_else(|_| {
                // In a user namespace of its own every process may.
                unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
                chroot(c".")
            })?;
        }
        fchdir(self.start.as_fd())
    }

    /// Moves the socket to its path, with the permissions `mode`.
    fn reveal(&self, path: &Path, mode: u32) -> io::Result<()> {
        // The umask, and default ACLs, may have taken some away.
        fs::set_permissions(&self.bound, Permissions::from_mode(mode))?;
        match renameat_with(CWD, &self.bound, CWD, path, RenameFlags::NOREPLACE) {
            // The file system cannot rename without replacing.
            Err(Errno::INVAL) => Ok(renameat(CWD, &self.bound, CWD, path)?),
            moved => Ok(moved?),
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The directory that a path's last name is in.
pub(super) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates the directories of `path` within `root`. Returns the one that `path` starts from, and the one that it leads to.
fn lay_out(root: &Path, path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let ups = path.components().filter(|component| *component == Component::ParentDir).count();
    // A relative path may lead above its start, which must not lead out of the hidden directory.
    let mut start = root.to_owned();
    if path.is_relative() {
        for _ in 0..ups {
            start.push("up");
            private_dir(&start)?;
        }
    }
    let mut at = start.clone();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                at.push(name);
                private_dir(&at).or_else(|error| if at.is_dir() { Ok(()) } else { Err(error) })?;
            }
            // The root's parent is the root.
            Component::ParentDir if at != root => drop(at.pop()),
            Component::ParentDir | Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Ok((start, at))
}

fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Removes the hidden directory of a start that was killed.
fn remove_stale(root: &Path) {
    let is_ours = |found: fs::Metadata| found.is_dir() && found.uid() == geteuid().as_raw();
    if !fs::symlink_metadata(root).is_ok_and(is_ours) {
        return;
    }
    if let Ok(fd) = File::open(root)
        && flock(&fd, FlockOperation::NonBlockingLockExclusive).is_ok()
    {
        let _ = fs::remove_dir_all(root);
    }
}

fn is_bound(socket: &OwnedFd) -> bool {
    getsockname(socket)
        .and_then(SocketAddrUnix::try_from)
        .is_ok_and(|address| address.path_bytes().is_some_and(|path| !path.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_out_the_directories_of_a_path_within_the_root() {
        for (path, start, leads_to) in [
            ("/", "", ""),
            ("/run/x", "", "run/x"),
            ("/../run/../run", "", "run"),
            (".", "", ""),
            ("./a/../b", "up", "up/b"),
            ("../../a", "up/up", "a"),
            ("a/../../b", "up/up", "up/b"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            let found = lay_out(root, Path::new(path)).unwrap();
            assert_eq!(found, (root.join(start), root.join(leads_to)), "{path}");
            assert!(found.0.is_dir() && found.1.is_dir(), "{path}");
        }
    }
}
