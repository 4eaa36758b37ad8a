//! Makes a socket visible at its path only when it already listens.
//!
//! bind(2) makes the path visible, but connections are refused until listen(2). On a busy machine, a program that waits for the
//! path and then connects is refused in a few of a thousand starts, even if the two calls follow each other directly. A
//! socket that is bound to another path and renamed avoids this, but the kernel would show the other path (`ss -xl`).
//!
//! So the given path is bound inside a hidden directory next to the final path. The hidden directory contains the directories
//! of the path. A child process uses it as its root, or as its current directory if the path is relative, and binds. The
//! server then listens and renames the socket to its path. The kernel shows the given path, and a client that finds it is
//! served.
//!
//! The child needs permission for chroot(2) or for a new user namespace. Without it, or if a system call filter kills the
//! child, the server binds in place, and early connections may be refused.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat, renameat_with};
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, bind, getsockname, listen};
use rustix::process::{chroot, fchdir, geteuid};

use super::parent_of;

/// Binds a socket to a free path and listens. The file has the permissions `mode`, unless it was bound in place.
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
    // Not in the child: clients get the id of the listening process from SO_PEERCRED.
    listen(socket, backlog)?;
    hidden.map_or(Ok(()), |hidden| hidden.reveal(path, mode))
}

/// A hidden directory in the socket's directory. Removed when dropped.
struct Hidden {
    root: PathBuf,
    /// The root, locked to show other starts that it is in use.
    root_fd: File,
    /// The child's current directory.
    start: File,
    /// Path of the bound socket.
    bound: PathBuf,
    is_absolute: bool,
}

impl Hidden {
    fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = parent_of(path);
        let (root, root_fd) = Self::create_root(parent, name)?;
        let created = create_path(&root, parent).and_then(|(start, directory)| Ok((File::open(start)?, directory)));
        match created {
            Ok((start, directory)) => {
                Ok(Self { bound: directory.join(name), root, root_fd, start, is_absolute: path.is_absolute() })
            }
            Err(error) => {
                remove_own(&root);
                Err(error)
            }
        }
    }

    /// The name depends only on the socket's name, so a start can remove the hidden directory of a killed one. The second
    /// name is used if another user owns the first.
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

    /// Binds in a child process. Returns whether that succeeded, as the socket itself shows: a child has no exit status if
    /// SIGCHLD is ignored.
    fn bind(&self, socket: &OwnedFd, address: &SocketAddrUnix) -> bool {
        // SAFETY: the child makes only system calls, with data prepared before the fork, and never returns.
        #[expect(unsafe_code, reason = "no safe fork exists")]
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                let _ = self.enter().and_then(|()| bind(socket, address));
                // SAFETY: takes a number and does not return. std's exit would run the exit handlers of the server.
                unsafe { nix::libc::_exit(0) }
            }
            Ok(ForkResult::Parent { child }) => {
                while waitpid(child, None) == Err(nix::Error::EINTR) {}
                is_bound(socket)
            }
            Err(_) => false,
        }
    }

    /// Makes the path resolve inside the hidden directory. Called in the child.
    fn enter(&self) -> Result<(), Errno> {
        if self.is_absolute {
            fchdir(&self.root_fd)?;
            chroot(c".").or_else(|_| {
                // A new user namespace gives the permission.
                unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
                chroot(c".")
            })?;
        }
        fchdir(self.start.as_fd())
    }

    /// Moves the socket to its path, with the permissions `mode`.
    fn reveal(&self, path: &Path, mode: u32) -> io::Result<()> {
        // The umask or a default ACL may have removed some.
        fs::set_permissions(&self.bound, Permissions::from_mode(mode))?;
        match renameat_with(CWD, &self.bound, CWD, path, RenameFlags::NOREPLACE) {
            // The file system does not support NOREPLACE.
            Err(Errno::INVAL) => Ok(renameat(CWD, &self.bound, CWD, path)?),
            moved => Ok(moved?),
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        remove_own(&self.root);
    }
}

/// Creates the directories of `path` inside `root`. Returns the directory where `path` starts, and the one that it names.
fn create_path(root: &Path, path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let ups = path.components().filter(|component| *component == Component::ParentDir).count();
    // A relative path may go above its start. That must not leave the hidden directory.
    let mut start = root.to_owned();
    if path.is_relative() {
        for _ in 0..ups {
            start.push("up");
            private_dir(&start)?;
        }
    }
    let mut current = start.clone();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                current.push(name);
                private_dir(&current).or_else(|error| if current.is_dir() { Ok(()) } else { Err(error) })?;
            }
            // The parent of the root is the root.
            Component::ParentDir if current != root => drop(current.pop()),
            Component::ParentDir | Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Ok((start, current))
}

fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Removes the hidden directory of a killed start.
fn remove_stale(root: &Path) {
    let is_own = |metadata: fs::Metadata| metadata.is_dir() && metadata.uid() == geteuid().as_raw();
    if !fs::symlink_metadata(root).is_ok_and(is_own) {
        return;
    }
    if let Ok(fd) = File::open(root)
        && flock(&fd, FlockOperation::NonBlockingLockExclusive).is_ok()
    {
        remove_own(root);
    }
}

/// Removes a hidden directory with the directories and the socket that a start creates in it. Keeps other files and their
/// directories: a user's directory may have the same name.
fn remove_own(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_own(&entry.path()),
            Ok(kind) if kind.is_socket() => _ = fs::remove_file(entry.path()),
            _ => {}
        }
    }
    let _ = fs::remove_dir(root);
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
    fn creates_the_directories_of_a_path_in_the_root() {
        for (path, start, end) in [
            ("/", "", ""),
            ("/run/x", "", "run/x"),
            ("/../run/../run", "", "run"),
            (".", "", ""),
            ("./a/../b", "up", "up/b"),
            ("../../a", "up/up", "a"),
            ("a/../../b", "up/up", "up/b"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path();
            let created = create_path(root, Path::new(path)).unwrap();
            assert_eq!(created, (root.join(start), root.join(end)), "{path}");
            assert!(created.0.is_dir() && created.1.is_dir(), "{path}");
        }
    }
}
