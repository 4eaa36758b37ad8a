//! A run's folder: made and tried before anything is measured.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::exit_status::usage;
use crate::workspace::workspace_root;

/// Makes the folder: the one asked for, or `results/<date>-<modes>` to which [`point_latest`] will point. `folders` are those
/// that the run will make in it. An unusable folder that was asked for is wrong usage.
pub(super) fn create(asked: Option<&Path>, modes: &str, folders: &[&str]) -> anyhow::Result<PathBuf> {
    if let Some(path) = asked {
        let unusable = |error: std::io::Error| usage(format!("{}: {error}", cannot(path)));
        fs::create_dir_all(path).map_err(unusable)?;
        tempfile::tempfile_in(path).map(drop).map_err(unusable)?;
        let occupied = ["result.json"].into_iter().chain(folders.iter().copied()).any(|name| path.join(name).exists());
        if occupied {
            let path = path.display();
            return Err(usage(format!(
                "{path} holds a run already; name another folder with --out, or remove that one"
            )));
        }
        return fs::canonicalize(path).map_err(unusable);
    }
    let results = workspace_root().join("results");
    fs::create_dir_all(&results).with_context(|| cannot(&results))?;
    let date = jiff::ZonedDateTime::now().strftime("%Y%m%d-%H%M%S").to_string();
    // Two runs may begin in one second: whoever makes the folder has it.
    for attempt in 1..100 {
        let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
        let name = format!("{date}-{modes}{suffix}");
        let path = results.join(&name);
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| cannot(&path)),
        }
    }
    anyhow::bail!("cannot find a free name in {}", results.display())
}

fn cannot(path: &Path) -> String {
    format!("cannot write results to {}; name a folder that can be written with --out DIR", path.display())
}

/// Writes a file whole or not at all: a full disk must not leave half of it under its name.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    let written = fs::write(&partial, content).and_then(|()| fs::rename(&partial, path));
    written.with_context(|| {
        // Best effort: the first error is the cause.
        let _ = fs::remove_file(&partial);
        format!("cannot write {}", path.display())
    })
}

/// Lets `results/latest` point to a run of the default folder. A convenience: a run is worth keeping even where the link
/// cannot be made.
pub(super) fn point_latest(run: &Path) {
    let results = workspace_root().join("results");
    let Ok(name) = run.strip_prefix(&results) else { return };
    let temporary = results.join(format!(".latest-{}", std::process::id()));
    if symlink(name, &temporary).is_ok() && fs::rename(&temporary, results.join("latest")).is_err() {
        let _ = fs::remove_file(&temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_status::Failure;

    #[test]
    fn a_folder_that_holds_a_run_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        assert!(create(Some(folder.path()), "poll", &["igb_uio"]).is_ok());
        for (name, of_drivers) in [("result.json", &[][..]), ("igb_uio", &["uio_pci_msix", "igb_uio"])] {
            fs::write(folder.path().join(name), "{}").unwrap();
            let error = create(Some(folder.path()), "poll", of_drivers).unwrap_err();
            assert!(error.is::<Failure>() && error.to_string().contains("--out"), "{error}");
            fs::remove_file(folder.path().join(name)).unwrap();
        }
    }

    #[test]
    fn file_that_finds_no_room_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        write_whole(&path, b"{}").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        // A directory in its place cannot be replaced by a file.
        let occupied = folder.path().join("commands.sh");
        fs::create_dir_all(occupied.join("in the way")).unwrap();
        let error = format!("{:#}", write_whole(&occupied, b"#!/bin/sh").unwrap_err());
        assert!(error.contains("commands.sh"), "{error}");
        assert!(!folder.path().join("commands.partial").exists());
    }

    #[test]
    fn a_folder_below_a_file_names_the_cure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for unusable in [file.path().join("run"), file.path().to_owned(), "/proc/x".into(), "".into()] {
            let error = create(Some(&unusable), "poll", &[]).unwrap_err();
            assert!(error.is::<Failure>(), "status 2: {error}");
            assert!(error.to_string().contains("--out DIR"), "{error}");
        }
    }
}
