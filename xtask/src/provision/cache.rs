//! The folder of what has been made ready: downloads unpacked, modules built, archives written.
//!
//! Entries appear whole or not at all: they are made under a temporary name and renamed. A name says what is inside (a
//! digest of what it was made from), so an entry that exists is right and is never looked into again. One run at a time
//! works here; another one waits.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use crate::provision::error::ProvisionError;
use crate::provision::files::entries;

/// Archives and modules that are kept for the next change back.
pub(crate) const KEPT: usize = 4;
/// Marks entries that are not finished. Whoever holds the lock may remove them.
const PARTIAL: &str = ".partial-";

/// The folder, and the lock on it as long as this lives.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    lock: File,
}

impl Cache {
    /// Opens `root`, creating it where needed, and waits until no other run works in it.
    pub(crate) fn open(root: &Path, progress: &dyn Fn(&str)) -> Result<Self, ProvisionError> {
        fs::create_dir_all(root).map_err(ProvisionError::io("create", root))?;
        let path = root.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(ProvisionError::io("create", &path))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            progress("another run makes the guest ready; waiting for it");
            flock(&lock, FlockOperation::LockExclusive)
                .map_err(|error| ProvisionError::io("lock", &path)(error.into()))?;
        }
        let cache = Self { root: root.to_path_buf(), lock };
        cache.sweep()?;
        Ok(cache)
    }

    /// Lets `command` hold the lock too: should this process be killed, the next run waits until the orphan has ended,
    /// instead of working against it. The lock file, which is empty, becomes its standard input.
    pub(crate) fn hold_while<'a>(&self, command: &'a mut Command) -> Result<&'a mut Command, ProvisionError> {
        let lock = self.lock.try_clone().map_err(ProvisionError::io("duplicate the lock of", &self.root))?;
        Ok(command.stdin(lock))
    }

    /// Where an entry is or would be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder `name`, made by `fill` if it is not there yet.
    pub(crate) fn folder<E: From<ProvisionError>>(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let path = self.path(name);
        if path.is_dir() {
            mark_used(&path);
            return Ok(path);
        }
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&self.root)
            .map_err(ProvisionError::io("create", &self.root))?;
        fill(partial.path())?;
        fs::rename(partial.path(), &path).map_err(ProvisionError::io("create", &path))?;
        Ok(path)
    }

    /// The file `name`, written with what `content` returns if it is not there yet.
    pub(crate) fn file<E: From<ProvisionError>>(
        &self,
        name: &str,
        content: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<PathBuf, E> {
        let path = self.path(name);
        if path.is_file() {
            mark_used(&path);
        } else {
            let content = content()?;
            self.replace(name, &content)?;
        }
        Ok(path)
    }

    /// Writes the file `name` anew; a reader sees the old content or the new, nothing between.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> Result<PathBuf, ProvisionError> {
        let path = self.path(name);
        let mut partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(&self.root)
            .map_err(ProvisionError::io("create", &self.root))?;
        partial.write_all(content).map_err(ProvisionError::io("write", &path))?;
        partial.persist(&path).map_err(|error| ProvisionError::io("create", &path)(error.error))?;
        Ok(path)
    }

    /// Keeps the newest `keep` entries whose names start with `prefix`, so that years of rebuilding do not fill the disk.
    pub(crate) fn keep_newest(&self, prefix: &str, keep: usize) -> Result<(), ProvisionError> {
        let mut dated: Vec<_> = entries(&self.root)?
            .into_iter()
            .filter(|path| name_starts_with(path, prefix))
            .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
            .collect();
        dated.sort();
        for (_, path) in dated.iter().rev().skip(keep) {
            remove(path)?;
        }
        Ok(())
    }

    /// Removes an entry, if it is there.
    pub(crate) fn discard(&self, name: &str) -> Result<(), ProvisionError> {
        let path = self.path(name);
        if path.exists() { remove(&path) } else { Ok(()) }
    }

    /// Removes what killed runs left behind.
    fn sweep(&self) -> Result<(), ProvisionError> {
        for path in entries(&self.root)? {
            if name_starts_with(&path, PARTIAL) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Makes an old entry that is in use again a new one for `keep_newest`. Should it fail, the entry is only made again sooner.
fn mark_used(path: &Path) {
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

fn name_starts_with(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
}

fn remove(path: &Path) -> Result<(), ProvisionError> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
        .map_err(ProvisionError::io("remove", path))
}

/// Collects what an entry is made from into its name.
#[derive(Clone, Default)]
pub(crate) struct Key(Sha256);

impl Key {
    /// Adds a part. Lengths are hashed too: ("ab", "c") and ("a", "bc") differ.
    #[must_use]
    pub(crate) fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// 32 hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        self.0.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(root: &Path) -> Cache {
        Cache::open(root, &|_| {}).unwrap()
    }

    #[test]
    fn a_folder_is_filled_once() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path());
        for content in ["first", "second"] {
            let path = cache
                .folder("entry", |partial| {
                    fs::write(partial.join("a"), content).map_err(ProvisionError::io("write", partial))
                })
                .unwrap();
            assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "first");
        }
    }

    #[test]
    fn a_failed_fill_leaves_no_entry() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path());
        let failed = cache.folder("entry", |partial| {
            fs::write(partial.join("half"), "x").unwrap();
            Err(ProvisionError::Architecture("test"))
        });
        assert!(failed.is_err());
        assert!(!cache.path("entry").exists());
    }

    #[test]
    fn what_a_killed_run_left_is_swept_and_not_taken_for_an_entry() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join(format!("{PARTIAL}abc"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("half"), "x").unwrap();
        let cache = cache(root.path());
        assert!(!left.exists());
        assert!(!cache.path("entry").exists());
    }

    #[test]
    fn a_second_run_waits_until_the_first_is_done() {
        let root = tempfile::tempdir().unwrap();
        let first = cache(root.path());
        let told = std::sync::mpsc::channel();
        let path = root.path().to_path_buf();
        let second = std::thread::spawn(move || {
            let cache = Cache::open(&path, &|text| told.0.send(text.to_owned()).unwrap()).unwrap();
            assert!(cache.path("made by the first").exists());
        });
        assert!(told.1.recv().unwrap().contains("waiting"));
        first.replace("made by the first", b"").unwrap();
        drop(first);
        second.join().unwrap();
    }

    #[test]
    fn an_orphan_keeps_the_lock_until_it_ends() {
        let root = tempfile::tempdir().unwrap();
        let first = cache(root.path());
        let mut command = Command::new("sh");
        command.args(["-c", "read line < go; touch done"]).current_dir(root.path());
        assert!(Command::new("mkfifo").arg(root.path().join("go")).status().unwrap().success());
        let mut orphan = first.hold_while(&mut command).unwrap().spawn().unwrap();
        // The command has a copy of its own.
        drop(command);
        drop(first);
        let told = std::sync::mpsc::channel();
        let path = root.path().to_path_buf();
        let second = std::thread::spawn(move || {
            let cache = Cache::open(&path, &|text| told.0.send(text.to_owned()).unwrap()).unwrap();
            assert!(cache.path("done").exists());
        });
        assert!(told.1.recv().unwrap().contains("waiting"));
        fs::write(root.path().join("go"), "\n").unwrap();
        orphan.wait().unwrap();
        second.join().unwrap();
    }

    #[test]
    fn only_the_newest_entries_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path());
        for (age, name) in [(30, "a-old"), (20, "a-mid"), (10, "a-new"), (40, "b-old")] {
            let path = cache.replace(name, b"").unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            File::open(path).unwrap().set_modified(time).unwrap();
        }
        cache.keep_newest("a-", 2).unwrap();
        let left = ["a-old", "a-mid", "a-new", "b-old"].map(|name| cache.path(name).exists());
        assert_eq!(left, [false, true, true, true]);
    }

    #[test]
    fn an_old_entry_that_is_used_again_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path());
        for (age, name) in [(30, "a-old"), (10, "a-new")] {
            let path = cache.replace(name, b"").unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            File::open(path).unwrap().set_modified(time).unwrap();
        }
        cache.file("a-old", || Err(ProvisionError::Architecture("not made again"))).unwrap();
        cache.keep_newest("a-", 1).unwrap();
        assert!(cache.path("a-old").exists() && !cache.path("a-new").exists());
    }

    #[test]
    fn keys_tell_parts_apart() {
        let key = |parts: &[&str]| parts.iter().fold(Key::default(), Key::with).hex();
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_eq!(key(&[]).len(), 32);
    }
}
