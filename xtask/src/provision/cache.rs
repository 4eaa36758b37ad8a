//! The cache of provisioning: unpacked packages, built modules, archives.
//!
//! Entries appear atomically: they are created under a temporary name and renamed. The name of a built entry contains a digest
//! of its inputs, so an existing entry is valid without a check. A downloaded entry stays until it is removed. A lock admits
//! one process at a time.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use crate::files::{self, PathContext as _, entries};

/// Number of old archives and modules that are kept.
pub(crate) const KEPT: usize = 4;
/// Prefix of unfinished entries. The holder of the lock may remove them.
pub(crate) const PARTIAL: &str = ".partial-";

/// The locked cache directory.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    lock: File,
}

impl Cache {
    /// Creates `root` if needed, and waits for the lock.
    pub(crate) fn open(root: &Path, progress: &dyn Fn(&str)) -> anyhow::Result<Self> {
        fs::create_dir_all(root).at("create", root)?;
        let path = root.join("lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).at("create", &path)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            progress("waiting for another run that prepares the guest");
            flock(&lock, FlockOperation::LockExclusive).at("lock", &path)?;
        }
        let cache = Self { root: root.to_path_buf(), lock };
        cache.sweep()?;
        Ok(cache)
    }

    /// Makes `command` hold the lock too: if this process is killed, the next run waits until the orphan has ended. The empty
    /// lock file becomes its standard input.
    pub(crate) fn hold_while<'a>(&self, command: &'a mut Command) -> anyhow::Result<&'a mut Command> {
        let lock = self.lock.try_clone().at("duplicate the lock of", &self.root)?;
        Ok(command.stdin(lock))
    }

    /// The path of an entry, which may not exist.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The directory `name`. If it does not exist, `fill` creates its content.
    pub(crate) fn folder(&self, name: &str, fill: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        if path.is_dir() {
            mark_used(&path);
            return Ok(path);
        }
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&self.root)
            .at("create", &self.root)?;
        fill(partial.path())?;
        fs::rename(partial.path(), &path).at("create", &path)?;
        Ok(path)
    }

    /// The file `name`. If it does not exist, it is created with `content`.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        if path.is_file() {
            mark_used(&path);
        } else {
            self.replace(name, content)?;
        }
        Ok(path)
    }

    /// Replaces the file `name` atomically.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        files::replace(&path, &format!("{PARTIAL}{name}"), content).at("create", &path)?;
        Ok(path)
    }

    /// Removes all but the newest `keep` entries with this prefix.
    pub(crate) fn keep_newest(&self, prefix: &str, keep: usize) -> anyhow::Result<()> {
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

    /// Removes an entry if it exists.
    pub(crate) fn discard(&self, name: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        if path.exists() { remove(&path) } else { Ok(()) }
    }

    /// Removes the unfinished entries of killed runs.
    fn sweep(&self) -> anyhow::Result<()> {
        for path in entries(&self.root)? {
            if name_starts_with(&path, PARTIAL) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Makes a reused entry new for `keep_newest`. Errors are ignored: the entry is only rebuilt earlier.
fn mark_used(path: &Path) {
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

fn name_starts_with(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
}

fn remove(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.at("remove", path)
}

/// The digest of an entry's inputs, for its name.
#[derive(Clone, Default)]
pub(crate) struct Key(Sha256);

impl Key {
    /// Adds an input. Lengths are hashed too: ("ab", "c") and ("a", "bc") differ.
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
    fn directory_is_filled_once() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path());
        for content in ["first", "second"] {
            let path =
                cache.folder("entry", |partial| fs::write(partial.join("a"), content).at("write", partial)).unwrap();
            assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "first");
        }
    }

    #[test]
    fn failed_fill_leaves_no_entry() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path());
        let failed = cache.folder("entry", |partial| {
            fs::write(partial.join("half"), "x").unwrap();
            anyhow::bail!("test")
        });
        assert!(failed.is_err());
        assert!(!cache.path("entry").exists());
    }

    #[test]
    fn sweeps_unfinished_entries_of_killed_runs() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join(format!("{PARTIAL}abc"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("half"), "x").unwrap();
        let cache = cache(root.path());
        assert!(!left.exists());
        assert!(!cache.path("entry").exists());
    }

    #[test]
    fn second_run_waits_for_the_first() {
        let root = tempfile::tempdir().unwrap();
        let first = cache(root.path());
        let progress = std::sync::mpsc::channel();
        let path = root.path().to_path_buf();
        let second = std::thread::spawn(move || {
            let cache = Cache::open(&path, &|text| progress.0.send(text.to_owned()).unwrap()).unwrap();
            assert!(cache.path("made by the first").exists());
        });
        assert!(progress.1.recv().unwrap().contains("waiting"));
        first.replace("made by the first", b"").unwrap();
        drop(first);
        second.join().unwrap();
    }

    #[test]
    fn orphan_holds_the_lock_until_it_ends() {
        let root = tempfile::tempdir().unwrap();
        let first = cache(root.path());
        let mut command = Command::new("sh");
        command.args(["-c", "read line < go; touch done"]).current_dir(root.path());
        assert!(Command::new("mkfifo").arg(root.path().join("go")).status().unwrap().success());
        let mut orphan = first.hold_while(&mut command).unwrap().spawn().unwrap();
        // The command holds a copy of the lock.
        drop(command);
        drop(first);
        let progress = std::sync::mpsc::channel();
        let path = root.path().to_path_buf();
        let second = std::thread::spawn(move || {
            let cache = Cache::open(&path, &|text| progress.0.send(text.to_owned()).unwrap()).unwrap();
            assert!(cache.path("done").exists());
        });
        assert!(progress.1.recv().unwrap().contains("waiting"));
        fs::write(root.path().join("go"), "\n").unwrap();
        orphan.wait().unwrap();
        second.join().unwrap();
    }

    #[test]
    fn keeps_only_the_newest_entries() {
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
    fn keeps_an_old_entry_that_is_used_again() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path());
        for (age, name) in [(30, "a-old"), (10, "a-new")] {
            let path = cache.replace(name, b"").unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            File::open(path).unwrap().set_modified(time).unwrap();
        }
        cache.file("a-old", b"not made again").unwrap();
        cache.keep_newest("a-", 1).unwrap();
        assert!(cache.path("a-old").exists() && !cache.path("a-new").exists());
    }

    #[test]
    fn keys_separate_their_inputs() {
        let key = |parts: &[&str]| parts.iter().fold(Key::default(), Key::with).hex();
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_eq!(key(&[]).len(), 32);
    }
}
