//! Paths as they are said to a person.

use std::path::{Component, Path, PathBuf};

/// A path as short as it can be said from here.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    shortest(&absolute, &here).display().to_string()
}

/// From `here`, or from the root where that is shorter. Both are absolute.
fn shortest(path: &Path, here: &Path) -> PathBuf {
    let common = path.components().zip(here.components()).take_while(|(a, b)| a == b).count();
    let ups = here.components().skip(common).map(|_| Component::ParentDir);
    let relative: PathBuf = ups.chain(path.components().skip(common)).collect();
    if relative.as_os_str().is_empty() {
        return PathBuf::from(".");
    }
    if relative.as_os_str().len() < path.as_os_str().len() { relative } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_said_from_here_or_from_the_root_whichever_is_shorter() {
        let said = |path: &str, here: &str| shortest(Path::new(path), Path::new(here)).display().to_string();
        assert_eq!(said("/srv/results/a", "/srv"), "results/a");
        assert_eq!(said("/srv/results/a", "/srv/report"), "../results/a");
        assert_eq!(said("/tmp/a", "/home/somebody/srv"), "/tmp/a");
        assert_eq!(said("/srv", "/srv"), ".");
    }
}
