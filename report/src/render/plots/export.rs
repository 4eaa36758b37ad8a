//! Writes `plots/<name>.svg` and `plots/<name>.png`.

use std::fs;
use std::io;
use std::path::Path;

use super::{ALL, Plot, RETIRED, png};
use crate::io::error::ReportError;
use crate::io::write::replace;

/// The subdirectory of the plots.
pub(crate) const DIRECTORY: &str = "plots";

/// Files in that directory that this program may overwrite and remove.
pub(crate) fn file_names() -> impl Iterator<Item = String> {
    names().flat_map(|name| ["svg", "png"].map(|ending| format!("{name}.{ending}")))
}

fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, ..)| *name).chain(RETIRED)
}

/// Writes each plot as SVG and PNG. Removes plots of an earlier rendering that this run does not have: they would show
/// other data.
pub fn write_into(dir: &Path, plots: &[Plot]) -> Result<(), ReportError> {
    let directory = dir.join(DIRECTORY);
    if !plots.is_empty() {
        fs::create_dir_all(&directory).map_err(|source| ReportError::Write { path: directory.clone(), source })?;
    }
    for plot in plots {
        replace(&directory.join(format!("{}.svg", plot.name)), |out| out.write_all(plot.svg.as_bytes()))?;
        replace(&directory.join(format!("{}.png", plot.name)), |out| out.write_all(&png(&plot.svg)?))?;
    }
    let stale = names().filter(|name| plots.iter().all(|plot| plot.name != *name));
    for path in stale.flat_map(|name| ["svg", "png"].map(|ending| directory.join(format!("{name}.{ending}")))) {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(ReportError::Write { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}
