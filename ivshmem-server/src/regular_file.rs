//! Opens or creates the files that the server keeps at a path: the pid file and a POSIX shared memory object.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens the file, or creates it with the permissions `mode`. Returns whether it was created. `flag` gives the path or name.
///
/// Opens without `O_CREAT` first. With it, the kernel does not open an existing file of another user in a sticky
/// world-writable directory, even for root (`fs.protected_regular`, see
/// [proc_sys_fs(5)](https://man7.org/linux/man-pages/man5/proc_sys_fs.5.html)).
pub(crate) fn open_or_create(path: &Path, mode: u32, flag: &str) -> io::Result<(File, bool)> {
    loop {
        match open(path, flag) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened.map(|file| (file, false)),
        }
        match options().create_new(true).mode(mode).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => return created.map(|file| (file, true)).map_err(|error| explain(path, error, flag)),
        }
    }
}

/// Opens an existing file. Links and other file types, such as a FIFO, are refused.
pub(crate) fn open(path: &Path, flag: &str) -> io::Result<File> {
    let file = options().open(path).map_err(|error| explain(path, error, flag))?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular(flag)) }
}

fn options() -> OpenOptions {
    // Opening a FIFO without a reader would block.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags.bits().cast_signed());
    options
}

fn explain(path: &Path, error: io::Error, flag: &str) -> io::Error {
    match fs::symlink_metadata(path).map(|found| found.file_type()) {
        Ok(kind) if kind.is_symlink() => io::Error::other(format!(
            "it is a symbolic link, and links are not followed: remove it, or choose another {flag}"
        )),
        Ok(kind) if !kind.is_file() => not_regular(flag),
        _ => match error.kind() {
            kind @ (ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied) => io::Error::new(
                kind,
                format!("its directory must exist, and this user must be able to write the file there: {error}"),
            ),
            _ => error,
        },
    }
}

fn not_regular(flag: &str) -> io::Error {
    io::Error::other(format!("it is not a regular file: remove it, or choose another {flag}"))
}
