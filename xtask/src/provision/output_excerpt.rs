//! Shortens the output of a failed program to the lines that name the cause.

use std::fs;
use std::path::Path;

/// Output with up to this many lines is shown completely.
const SHORT: usize = 8;
/// Lines shown of longer output.
const SHOWN: usize = 10;

/// Phrases in lines that name a cause, in lower case.
const CAUSES: [&str; 17] = [
    "error:",
    "error[",
    "error -",
    "failed:",
    "not found",
    "no such file",
    "no rule to make",
    "missing separator",
    "permission denied",
    "no space left",
    "read-only file system",
    "out of memory",
    "killed",
    "undefined reference",
    "cannot find",
    "could not resolve",
    "unmet dependencies",
];
/// Prefixes of lines that name a cause, from apt and kernel builds.
const PREFIXES: [&str; 3] = ["E: ", "ERROR", "FAILED"];

/// The lines that name the cause, or the last lines if none is recognized.
fn excerpt(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    if lines.len() <= SHORT {
        return lines.join("\n");
    }
    let causes: Vec<&str> = lines.iter().copied().filter(|line| names_cause(line)).take(SHOWN).collect();
    if causes.is_empty() { lines[lines.len().saturating_sub(SHOWN)..].join("\n") } else { causes.join("\n") }
}

fn names_cause(line: &str) -> bool {
    // A consequence: make reports each level above a failed command.
    if line.starts_with("make") && line.contains("*** [") {
        return false;
    }
    // Compiler command lines may contain -Werror, and warnings may quote anything.
    let lower = line.to_lowercase();
    if lower.contains("warning:") || lower.starts_with("w: ") {
        return false;
    }
    PREFIXES.iter().any(|prefix| line.starts_with(prefix)) || CAUSES.iter().any(|words| lower.contains(words))
}

/// The output of a failed program, as an error shows it. If lines are dropped, the complete output is written to
/// `folder`/`program`.log. Errors of writing the log are ignored.
pub(crate) fn excerpt_with_log(output: &str, folder: &Path, program: &str) -> String {
    let excerpt = excerpt(output);
    if output.lines().filter(|line| !line.trim().is_empty()).count() <= excerpt.lines().count() {
        return excerpt;
    }
    let path = folder.join(program).with_extension("log");
    match fs::create_dir_all(folder).and_then(|()| fs::write(&path, output)) {
        Ok(()) => format!("{excerpt}\nfull log: {}", path.display()),
        Err(_) => excerpt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Recorded: kernel 6.12's headers without pahole, the same with an error in the source, and apt without a network.
    const PAHOLE: &str = include_str!("output_excerpt/make-pahole.txt");
    const COMPILER: &str = include_str!("output_excerpt/make-compiler.txt");
    const APT: &str = include_str!("output_excerpt/apt-network.txt");

    #[test]
    fn finds_missing_program_in_a_kernel_build() {
        assert_eq!(excerpt(PAHOLE), "/bin/sh: 1: pahole: not found");
    }

    #[test]
    fn finds_compiler_error_without_its_consequences() {
        let shown = excerpt(COMPILER);
        assert!(
            shown.starts_with("/src/target/vm/.partial-abc/build/uio_pci_msix.c:135:8: error: unknown type"),
            "{shown}"
        );
        assert_eq!(shown.lines().count(), 3, "{shown}");
    }

    #[test]
    fn finds_failed_downloads_with_their_reason() {
        let shown = excerpt(APT);
        assert!(shown.lines().all(|line| line.starts_with("E: Failed to fetch")), "{shown}");
        assert_eq!(shown.lines().count(), 3);
    }

    #[test]
    fn warnings_and_make_levels_are_not_causes() {
        assert!(!names_cause("x.c:1:2: warning: 'error: not found' is unused"));
        assert!(!names_cause("make[1]: *** [Makefile:1941: modules] Error 2"));
        assert!(names_cause("make: *** No rule to make target 'modules'.  Stop."));
        assert!(names_cause("ERROR: modpost: \"uio_event_notify\" [x.ko] undefined!"));
    }

    #[test]
    fn long_output_without_cause_is_cut_to_its_end() {
        assert_eq!(excerpt("one\n\ntwo\n"), "one\ntwo");
        let long = (0..40).map(|number| number.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(excerpt(&long).lines().count(), SHOWN);
        assert!(excerpt(&long).ends_with("39"));
    }

    #[test]
    fn log_contains_the_complete_output() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        let failed = excerpt_with_log(PAHOLE, &logs, "make");
        let log = logs.join("make.log");
        assert_eq!(failed, format!("/bin/sh: 1: pahole: not found\nfull log: {}", log.display()));
        assert_eq!(fs::read_to_string(log).unwrap(), PAHOLE);
    }

    #[test]
    fn short_output_needs_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let failed = excerpt_with_log("no luck\n", &folder.path().join("logs"), "make");
        assert_eq!(failed, "no luck");
        assert!(!folder.path().join("logs").exists());
    }
}
