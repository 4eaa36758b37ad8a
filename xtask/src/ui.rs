//! What the CLI prints, and how it prints paths. Nothing here panics when the reader has closed the pipe.

use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use cli_common::output;
pub(crate) use cli_common::output::print;
/// A failed line on stderr is ignored: the run does not depend on its messages.
pub(crate) use cli_common::output::print_error as status;

/// Prints one JSON document to stdout.
pub(crate) fn print_json(document: &impl serde::Serialize) -> anyhow::Result<()> {
    Ok(print(&(serde_json::to_string_pretty(document)? + "\n"))?)
}

/// Prints to stdout, with colours on a terminal only.
pub(crate) fn print_styled(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    Ok(output::ignore_closed_pipe(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?)
}

/// Prints a question to stderr, without a line end.
pub(crate) fn prompt(question: &str) {
    let _ = write!(io::stderr(), "{question}");
}

/// The shorter of the absolute path and the path relative to the current directory.
pub(crate) fn display_path(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    shortest(&absolute, &here).display().to_string()
}

/// The path relative to `here`, or absolute if that is shorter. Both arguments are absolute.
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
    fn displays_the_shorter_of_relative_and_absolute_path() {
        let shown = |path: &str, here: &str| shortest(Path::new(path), Path::new(here)).display().to_string();
        assert_eq!(shown("/srv/results/a", "/srv"), "results/a");
        assert_eq!(shown("/srv/results/a", "/srv/report"), "../results/a");
        assert_eq!(shown("/tmp/a", "/home/user/srv"), "/tmp/a");
        assert_eq!(shown("/srv", "/srv"), ".");
    }
}
