//! Checks a run's paths before reading or writing: they may belong to another user or lead outside the directory.

use std::fs;
use std::path::Path;

use crate::io::error::ReportError;
use crate::io::file_names::{DAMAGED_RESULT_FILE, HTML_FILE, MEASURED_FILE, PLAN_FILE, SAMPLES_FILE, TEXT_FILE};
use crate::io::read::exists;
use crate::render::export;
use crate::render::plots;

use bench_model::journal;

/// Checks every path that rendering reads or writes. Inputs may be links to files. Outputs are regular files or
/// missing: links are neither replaced nor followed. The directory itself may be a link, as `results/latest` is.
pub(crate) fn check_paths(dir: &Path) -> Result<(), ReportError> {
    for name in [MEASURED_FILE, journal::FILE_NAME, SAMPLES_FILE, PLAN_FILE] {
        let path = dir.join(name);
        if exists(&path) && !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(ReportError::NoFile { path });
        }
    }
    let texts = [TEXT_FILE, HTML_FILE, DAMAGED_RESULT_FILE];
    let ours = export::file_names().chain(texts);
    let mut written: Vec<_> = ours.map(|name| dir.join(name)).collect();
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    written.extend(entries.filter(|path| path.extension().is_some_and(|ending| ending == "hgrm")));
    let plots = dir.join(plots::DIRECTORY);
    if let Ok(metadata) = plots.symlink_metadata() {
        if !metadata.is_dir() {
            return Err(ReportError::NotRegularFile { path: plots, wanted: "a directory" });
        }
        written.extend(plots::file_names().map(|name| plots.join(name)));
    }
    let is_other = |path: &&std::path::PathBuf| path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file());
    match written.iter().find(is_other) {
        Some(path) => Err(ReportError::NotRegularFile { path: path.clone(), wanted: "a regular file" }),
        None => Ok(()),
    }
}
