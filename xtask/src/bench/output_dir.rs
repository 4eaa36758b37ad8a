//! The directory of a run's results, created and checked before anything is measured.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::exit_status::usage;
use crate::files::{self, PathContext as _};
use crate::workspace::workspace_root;

/// Creates the directory: `--out`, or `results/<date>-<modes>`. `folders` are the subdirectories that the run will create. An
/// unusable `--out` is wrong usage.
pub(super) fn create(asked: Option<&Path>, modes: &str, folders: &[&str]) -> anyhow::Result<PathBuf> {
    if let Some(path) = asked {
        let unusable = |error: std::io::Error| usage(format!("{}: {error}", cannot(path)));
        fs::create_dir_all(path).map_err(unusable)?;
        tempfile::tempfile_in(path).map(drop).map_err(unusable)?;
        let occupied = ["result.json"].into_iter().chain(folders.iter().copied()).any(|name| path.join(name).exists());
        if occupied {
            let path = path.display();
            return Err(usage(format!(
                "{path} already contains a run; use another directory with --out, or remove this one"
            )));
        }
        return fs::canonicalize(path).map_err(unusable);
    }
    let results = workspace_root().join("results");
    fs::create_dir_all(&results).with_context(|| cannot(&results))?;
    let date = jiff::ZonedDateTime::now().strftime("%Y%m%d-%H%M%S").to_string();
    // Two runs may start within one second: the directory belongs to the one that creates it.
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
    format!("cannot write results to {}; use a writable directory with --out DIR", path.display())
}

/// Writes a file atomically: a full disk must not leave a partial file under this name.
pub(super) fn write_atomically(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    // A later run in this directory overwrites the file that a killed run leaves.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    files::replace(path, &format!(".{name}.partial"), content).at("write", path)
}

/// Points `results/latest` to a run in the default directory. Errors are ignored: the run is complete without the link.
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
    fn refuses_directory_with_a_run() {
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
    fn failed_write_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        fs::write(folder.path().join(".plan.json.partial"), "left by a killed run").unwrap();
        write_atomically(&path, b"{}").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        // A file cannot replace a directory.
        let occupied = folder.path().join("commands.sh");
        fs::create_dir_all(occupied.join("in the way")).unwrap();
        let error = format!("{:#}", write_atomically(&occupied, b"#!/bin/sh").unwrap_err());
        assert!(error.contains("commands.sh"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn unusable_directory_names_the_flag() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for unusable in [file.path().join("run"), file.path().to_owned(), "/proc/x".into(), "".into()] {
            let error = create(Some(&unusable), "poll", &[]).unwrap_err();
            assert!(error.is::<Failure>(), "status 2: {error}");
            assert!(error.to_string().contains("--out DIR"), "{error}");
        }
    }
}
