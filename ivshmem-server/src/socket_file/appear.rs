//! Makes a listening socket appear at its path at once.
//!
//! A socket's path is visible from bind(2) on, and refuses connections until listen(2). A program that waits for the path and
//! connects at once meets that moment a few times in a thousand starts on a busy machine, even if the calls follow each other
//! directly. To bind elsewhere and rename would hide it, but the kernel would go on showing the other path (`ss -xl`).
//!
//! So the socket is bound where its path leads to another folder: a child process has a mount namespace of its own, in which
//! an empty folder covers the socket's folder. The child binds and listens there, and then the socket is renamed into its
//! place. The kernel shows the path that was given, and a client that finds it is served. Without a right to namespaces (in
//! some containers and sandboxes) the child binds in place, and the moment remains.
//!
//! The child also has an umask of its own, which must not count: the server's belongs to all of its threads.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, bind, listen};
use rustix::process::{fchdir, umask};

/// The exit status of a child that has bound the socket to its path.
const IN_PLACE: i32 = 0;
/// The exit status of a child that has bound it in the covering folder.
const COVERED: i32 = 1;
/// The exit status of a child that failed: this plus the error's number.
const FAILED: i32 = 2;

/// Binds a socket to a path where nothing is, and listens. The file gets the mode of the socket itself.
pub(super) fn bind_and_listen(socket: &OwnedFd, path: &Path, address: &SocketAddrUnix, backlog: i32) -> io::Result<()> {
    let place = Place::of(path)?;
    let cover = Cover::create(&place);
    // SAFETY: the child makes only system calls, on what was prepared before the fork, and never returns.
    #[expect(unsafe_code, reason = "no safe fork exists")]
    match unsafe { fork() }? {
        ForkResult::Child => end_child(bind_in_child(socket, address, backlog, &place, cover.as_ref())),
        ForkResult::Parent { child } => match (wait(child)?, cover) {
            (IN_PLACE, _) => own(socket, backlog),
            (COVERED, Some(cover)) => {
                own(socket, backlog)?;
                cover.uncover()
            }
            (status, _) => Err(io::Error::from_raw_os_error(status - FAILED)),
        },
    }
}

/// Makes this process the one that clients see as their peer (`SO_PEERCRED` in
/// [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)): it is the one that called listen(2) last.
fn own(socket: &OwnedFd, backlog: i32) -> io::Result<()> {
    Ok(listen(socket, backlog)?)
}

/// Ends without the exit handlers of the server.
fn end_child(status: i32) -> ! {
    // SAFETY: it takes a number and does not return.
    #[expect(unsafe_code, reason = "std's exit runs handlers of the server")]
    unsafe {
        nix::libc::_exit(status)
    }
}

fn wait(child: Pid) -> io::Result<i32> {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, status)) => return Ok(status),
            Ok(ended) => return Err(io::Error::other(format!("the process that binds it: {ended:?}"))),
            Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn bind_in_child(
    socket: &OwnedFd,
    address: &SocketAddrUnix,
    backlog: i32,
    place: &Place,
    cover: Option<&Cover<'_>>,
) -> i32 {
    umask(Mode::empty());
    let is_covered = cover.is_some_and(|cover| cover.lay(place).is_ok());
    match bind(socket, address).and_then(|()| listen(socket, backlog)) {
        Ok(()) if is_covered => COVERED,
        Ok(()) => IN_PLACE,
        Err(errno) => FAILED + errno.raw_os_error(),
    }
}

/// A path's folder, and its name in there.
struct Place {
    folder: OwnedFd,
    folder_path: CString,
    name: CString,
    /// The path is a name in the current folder.
    is_bare: bool,
}

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder_path = parent.unwrap_or(Path::new("."));
        Ok(Self {
            folder: openat(CWD, folder_path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?,
            folder_path: CString::new(folder_path.as_os_str().as_bytes())?,
            name: CString::new(name.as_bytes())?,
            is_bare: parent.is_none(),
        })
    }
}

/// An empty folder within the socket's folder, on the same file system. Removed when dropped.
struct Cover<'p> {
    place: &'p Place,
    name: CString,
    path: CString,
    folder: OwnedFd,
}

impl<'p> Cover<'p> {
    /// None where it cannot be made.
    fn create(place: &'p Place) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(".ivshmem-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = CString::new([place.folder_path.to_bytes(), b"/", name.as_bytes()].concat()).ok()?;
        let name = CString::new(name).ok()?;
        mkdirat(&place.folder, &name, Mode::RWXU).ok()?;
        let opened = openat(&place.folder, &name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        if opened.is_err() {
            let _ = unlinkat(&place.folder, &name, AtFlags::REMOVEDIR);
        }
        Some(Self { place, name, path, folder: opened.ok()? })
    }

    /// Makes the path lead here, for this process only. To be called in the child.
    fn lay(&self, place: &Place) -> nix::Result<()> {
        const NONE: Option<&CStr> = None;
        if place.is_bare {
            return fchdir(&self.folder).map_err(|errno| nix::Error::from_raw(errno.raw_os_error()));
        }
        match unshare(CloneFlags::CLONE_NEWNS) {
            // A mount must not propagate to other namespaces.
            Ok(()) => mount(NONE, c"/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?,
            // In a new user namespace it does not. There every user may mount.
            Err(_) => unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?,
        }
        mount(Some(self.path.as_c_str()), place.folder_path.as_c_str(), NONE, MsFlags::MS_BIND, NONE)
    }

    /// Moves the socket to its path.
    fn uncover(&self) -> io::Result<()> {
        let (from, to, name) = (&self.folder, &self.place.folder, &self.place.name);
        let moved = match renameat_with(from, name, to, name, RenameFlags::NOREPLACE) {
            // The file system cannot rename without replacing.
            Err(Errno::INVAL) => renameat(from, name, to, name),
            moved => moved,
        };
        moved.map_err(|errno| {
            let _ = unlinkat(from, name, AtFlags::empty());
            io::Error::from(errno)
        })
    }
}

impl Drop for Cover<'_> {
    fn drop(&mut self) {
        let _ = unlinkat(&self.place.folder, &self.name, AtFlags::REMOVEDIR);
    }
}
