//! The guest's serial console, which QEMU writes to a file: fatal errors of the guest and its last lines.

use std::fs;
use std::path::{Path, PathBuf};

use bench_protocol::boot::{CONSOLE_PREFIX, ERROR};

/// Lines that an error shows.
const TAIL: usize = 12;

/// The console file.
#[derive(Debug)]
pub(crate) struct GuestConsole {
    path: PathBuf,
}

impl GuestConsole {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The output so far.
    pub(crate) fn text(&self) -> String {
        fs::read(&self.path).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Empties the file. Errors are ignored: the file only becomes longer.
    pub(crate) fn truncate(&self) {
        let _ = fs::OpenOptions::new().write(true).truncate(true).open(&self.path);
    }

    /// The fatal error: the init's error or the kernel's panic.
    pub(crate) fn fatal(&self) -> Option<String> {
        fatal_in(&self.text())
    }

    /// The last lines, without control characters.
    pub(crate) fn tail(&self) -> String {
        let text: String = self.text().chars().filter(|c| *c == '\n' || !c.is_control()).collect();
        last_lines(&text, TAIL)
    }
}

/// The last `count` lines of a text that are not blank.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn fatal_in(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let init_error = line.split_once(CONSOLE_PREFIX).and_then(|(_, rest)| rest.trim().strip_prefix(ERROR));
        let panic = line.find("Kernel panic").map(|at| &line[at..]);
        init_error.or(panic).map(|reason| reason.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_init_error_and_kernel_panic() {
        let own = "[    1.0] boot\nivshmem-doorbell: guest is up\nivshmem-doorbell: error: no device\r\n";
        assert_eq!(fatal_in(own).as_deref(), Some("no device"));
        let panic = "[    1.2] Kernel panic - not syncing: No working init found.";
        assert_eq!(fatal_in(panic).as_deref(), Some("Kernel panic - not syncing: No working init found."));
        assert_eq!(fatal_in("ivshmem-doorbell: guest is up\n"), None);
    }

    #[test]
    fn tail_has_neither_blank_lines_nor_control_characters() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(GuestConsole::new(file.path()).tail(), "");
        fs::write(file.path(), "\u{1b}[2Jone\r\n\r\ntwo\n").unwrap();
        assert_eq!(GuestConsole::new(file.path()).tail(), "[2Jone\ntwo");
        fs::write(file.path(), "line\n".repeat(20)).unwrap();
        assert_eq!(GuestConsole::new(file.path()).tail().lines().count(), TAIL);
    }
}
