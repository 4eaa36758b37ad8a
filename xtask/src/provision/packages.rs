//! What the machine must have, which Debian or Ubuntu package brings it, and how it gets installed.
//!
//! Looked for are the programs and files themselves: where they came from does not matter.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::shown;
use super::error::ProvisionError;

/// One thing the machine must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// What to look for.
    pub(crate) need: Need,
    /// The package that brings it.
    pub(crate) package: String,
    /// What it is needed for, to complete "… : ".
    pub(crate) purpose: &'static str,
}

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// A program on the search path.
    Program(String),
    /// A file of this name in one of the folders for libraries.
    Library(&'static str),
}

/// Where libraries are on an x86-64 machine: Debian's folder, then that of others.
const LIBRARY_FOLDERS: [&str; 5] =
    ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"];

impl Requirement {
    /// A program and the package that brings it.
    pub(crate) fn program(name: &str, package: &str, purpose: &'static str) -> Self {
        Self { need: Need::Program(name.to_owned()), package: package.to_owned(), purpose }
    }

    fn library(file: &'static str, package: &str, purpose: &'static str) -> Self {
        Self { need: Need::Library(file), package: package.to_owned(), purpose }
    }

    /// The program's or the file's name.
    pub(crate) fn name(&self) -> &str {
        match &self.need {
            Need::Program(name) => name,
            Need::Library(file) => file,
        }
    }

    /// Where it is, if the machine has it.
    pub(crate) fn found(&self) -> Option<PathBuf> {
        match &self.need {
            Need::Program(name) => program(name),
            Need::Library(file) => {
                LIBRARY_FOLDERS.iter().map(|folder| Path::new(folder).join(file)).find(|path| path.is_file())
            }
        }
    }
}

/// Everything that `vm`, `bench` and `test` need.
pub(crate) fn requirements() -> Vec<Requirement> {
    vec![
        Requirement::program("qemu-system-x86_64", "qemu-system-x86", "runs the guest"),
        Requirement::program("apt-get", "apt", "fetches the guest's kernel"),
        Requirement::program("dpkg-deb", "dpkg", "unpacks the guest's kernel"),
        Requirement::program("xz", "xz-utils", "unpacks the guest's kernel"),
        Requirement::program("cc", "gcc", "links the guest's programs"),
        Requirement::program("gcc", "gcc", "builds the guest's kernel module"),
        Requirement::program("make", "make", "builds the guest's kernel module"),
        Requirement::program("strip", "binutils", "builds the guest's kernel module"),
        Requirement::library("libelf.so.1", "libelf1", "checks the guest's kernel module (objtool)"),
        Requirement::library("libc.a", "libc6-dev", "makes the guest's program static"),
    ]
}

/// What of `requirements` the machine lacks.
pub(crate) fn missing(requirements: Vec<Requirement>) -> Vec<Requirement> {
    requirements.into_iter().filter(|requirement| requirement.found().is_none()).collect()
}

/// Finds a program on the search path, and in the folders for administrators that a user's path often lacks.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file())
}

/// Whether packages may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// By `--yes`, by being root, or in CI.
    Given,
    /// Only after a typed yes on a terminal.
    Ask,
    /// Not by a command that promises to change nothing.
    Never,
}

impl Consent {
    /// The rule of all commands.
    pub(crate) fn new(yes: bool) -> Self {
        if yes || is_root() || in_ci() { Self::Given } else { Self::Ask }
    }
}

/// Sees to it that the machine has `requirements`, installing what is missing when that is allowed.
pub(crate) fn ensure(
    requirements: Vec<Requirement>,
    consent: Consent,
    progress: &dyn Fn(&str),
) -> Result<(), ProvisionError> {
    let missing = missing(requirements);
    if missing.is_empty() {
        return Ok(());
    }
    let what = list(&missing);
    let Some(mut install) = install_command(&missing) else {
        return Err(ProvisionError::NoApt { what });
    };
    let command = shown(&install);
    let may = match consent {
        Consent::Given => true,
        Consent::Ask => said_yes(&what, &command),
        Consent::Never => false,
    };
    if !may {
        return Err(ProvisionError::PackagesMissing { what, command });
    }

    if !has_package_lists() {
        update(progress)?;
    }
    progress(&command);
    let mut status = run_visibly(&mut install)?;
    if !status.success() {
        // Old lists name versions that the mirror no longer has.
        update(progress)?;
        progress(&command);
        status = run_visibly(&mut install)?;
    }
    if !status.success() {
        return Err(ProvisionError::InstallFailed { command, status });
    }
    let still = self::missing(missing);
    if still.is_empty() {
        return Ok(());
    }
    let what = format!("{} (although the packages were installed)", list(&still));
    Err(ProvisionError::PackagesMissing { what, command })
}

/// The command line that installs `missing`, for a person to type.
pub(crate) fn install_line(missing: &[Requirement]) -> Option<String> {
    install_command(missing).map(|command| shown(&command))
}

fn install_command(missing: &[Requirement]) -> Option<Command> {
    let mut packages: Vec<&str> = missing.iter().map(|requirement| requirement.package.as_str()).collect();
    packages.sort_unstable();
    packages.dedup();
    let mut command = apt_get()?;
    command.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    Some(command)
}

fn update(progress: &dyn Fn(&str)) -> Result<(), ProvisionError> {
    let Some(mut command) = apt_get() else { return Ok(()) };
    command.arg("update");
    progress(&shown(&command));
    // A source that fails need not be the one that is needed: the installation decides.
    run_visibly(&mut command).map(|_| ())
}

/// `apt-get` with the rights to install, asking nothing.
fn apt_get() -> Option<Command> {
    program("apt-get")?;
    let mut command = if is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        if in_ci() {
            sudo.arg("-n");
        }
        sudo.arg("env");
        sudo
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Some(command)
}

/// What apt says goes to standard error: standard output is for data.
fn run_visibly(command: &mut Command) -> Result<std::process::ExitStatus, ProvisionError> {
    command
        .stdout(std::io::stderr())
        .status()
        .map_err(|source| ProvisionError::Spawn { command: shown(command), source })
}

fn said_yes(what: &str, command: &str) -> bool {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return false;
    }
    crate::out::ask(&format!("Missing on this machine: {what}\nRun `{command}`? [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok() && is_yes(&answer)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

fn list(missing: &[Requirement]) -> String {
    missing
        .iter()
        .map(|requirement| format!("{} ({})", requirement.name(), requirement.purpose))
        .collect::<Vec<_>>()
        .join(", ")
}

fn has_package_lists() -> bool {
    std::fs::read_dir("/var/lib/apt/lists")
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages")))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_once_although_it_brings_two_things() {
        let gcc = |name| Requirement::program(name, "gcc", "compiles");
        let line = install_line(&[gcc("gcc"), gcc("cc"), Requirement::program("make", "make", "makes")]);
        // Only on machines with apt is there a line at all.
        if let Some(line) = line {
            assert!(line.ends_with("apt-get install --yes --no-install-recommends gcc make"), "{line}");
        }
    }

    #[test]
    fn programs_and_libraries_that_exist_nowhere_are_missing() {
        let all = vec![
            Requirement::program("sh", "dash", "is everywhere"),
            Requirement::program("no-such-program", "none", "tests"),
            Requirement::library("libnothing.so.99", "none", "tests"),
        ];
        let names: Vec<_> = missing(all).iter().map(|requirement| requirement.name().to_owned()).collect();
        assert_eq!(names, ["no-such-program", "libnothing.so.99"]);
    }

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        assert!(is_yes("y\n") && is_yes("Yes\n"));
        assert!(!is_yes("\n") && !is_yes("no\n") && !is_yes("yesterday\n") && !is_yes(""));
    }
}
