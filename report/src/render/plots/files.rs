//! `plots/<name>.svg` and `plots/<name>.png` in a run's folder.

use std::fs;
use std::io;
use std::path::Path;

use super::{ALL, Plot, png};
use crate::io::error::ReportError;
use crate::io::write::replace;

/// The folder of the plots in a run's folder.
pub(crate) const FOLDER: &str = "plots";

/// The names in that folder that are this program's to write and to remove.
pub(crate) fn file_names() -> impl Iterator<Item = String> {
    ALL.iter().flat_map(|(name, _)| ["svg", "png"].map(|ending| format!("{name}.{ending}")))
}

/// Writes every plot both ways. Those of an earlier rendering that this one does not have are removed, so that none is
/// left that shows other data.
pub fn write_into(dir: &Path, plots: &[Plot]) -> Result<(), ReportError> {
    let folder = dir.join(FOLDER);
    if !plots.is_empty() {
        fs::create_dir_all(&folder).map_err(|source| ReportError::Write { path: folder.clone(), source })?;
    }
    for plot in plots {
        replace(&folder.join(format!("{}.svg", plot.name)), |out| out.write_all(plot.svg.as_bytes()))?;
        let pixels = || png(&plot.svg).map_err(io::Error::other);
        replace(&folder.join(format!("{}.png", plot.name)), |out| out.write_all(&pixels()?))?;
    }
    let stale = ALL.iter().map(|(name, _)| *name).filter(|name| plots.iter().all(|plot| plot.name != *name));
    for path in stale.flat_map(|name| ["svg", "png"].map(|ending| folder.join(format!("{name}.{ending}")))) {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(ReportError::Write { path, source }),
            _ => {}
        }
    }
    Ok(())
}
