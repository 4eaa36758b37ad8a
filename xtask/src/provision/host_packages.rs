//! What the machine must have, and how missing packages get installed.
//!
//! Looked for are the programs and files themselves: their origin does not matter.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::child::command_line;
use crate::provision::error::ProvisionError;
use crate::provision::host::distro::{HostDistro, Tool};

/// Where libraries are on an x86-64 machine: Debian's folder, then that of others.
const LIBRARY_FOLDERS: [&str; 5] =
    ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"];

/// What every guest needs, whatever its kernel.
pub(crate) const GUEST: [Tool; 3] = [Tool::Qemu, Tool::Cc, Tool::LibC];
/// What building a kernel module needs.
pub(crate) const MODULE_BUILD: [Tool; 4] = [Tool::Gcc, Tool::Make, Tool::Strip, Tool::LibElf];

/// Everything that `vm`, `bench` and `test` need with a kernel of the distribution.
pub(crate) fn requirements(distro: &dyn HostDistro) -> Vec<Tool> {
    let mut tools = GUEST.to_vec();
    tools.extend(MODULE_BUILD);
    tools.extend(distro.repository_tools());
    tools
}

/// Where a tool is, if the machine has it.
pub(crate) fn found(tool: &Tool) -> Option<PathBuf> {
    if tool.is_library() {
        return LIBRARY_FOLDERS.iter().map(|folder| Path::new(folder).join(tool.name())).find(|path| path.is_file());
    }
    program(tool.name())
}

fn missing(tools: &[Tool]) -> Vec<Tool> {
    tools.iter().filter(|tool| found(tool).is_none()).cloned().collect()
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
pub(crate) enum InstallPolicy {
    /// By `--yes`, by being root, or in CI.
    Given,
    /// Only after a typed yes on a terminal.
    Ask,
    /// Not by a command that promises to change nothing.
    Never,
}

impl InstallPolicy {
    /// The rule of all commands.
    pub(crate) fn new(yes: bool) -> Self {
        if yes || is_root() || in_ci() { Self::Given } else { Self::Ask }
    }
}

/// Installs what is missing of `tools`, if that is allowed.
pub(crate) fn ensure(
    distro: &dyn HostDistro,
    tools: &[Tool],
    consent: InstallPolicy,
    progress: &dyn Fn(&str),
) -> Result<(), ProvisionError> {
    let missing = missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    let what = list(&missing);
    let Some(words) = install_words(distro, &missing) else {
        return Err(ProvisionError::NoInstaller { what, distro: distro.name().to_owned() });
    };
    let command = words.join(" ");
    let may = match consent {
        _ if !has_manager(&words) => false,
        InstallPolicy::Given => true,
        InstallPolicy::Ask => confirm(&what, &command),
        InstallPolicy::Never => false,
    };
    if !may {
        return Err(ProvisionError::PackagesMissing { what, command });
    }

    if !distro.has_lists() {
        refresh(distro, progress)?;
    }
    progress(&command);
    let mut status = run_inherited(&mut to_command(&words))?;
    if !status.success() && distro.refresh().is_some() {
        // Old lists name versions that the mirror no longer has.
        refresh(distro, progress)?;
        progress(&command);
        status = run_inherited(&mut to_command(&words))?;
    }
    if !status.success() {
        return Err(ProvisionError::InstallFailed { command, status });
    }
    let still = self::missing(&missing);
    if still.is_empty() {
        return Ok(());
    }
    let what = format!("{} (although the packages were installed)", list(&still));
    Err(ProvisionError::PackagesMissing { what, command })
}

/// What to do about a missing tool: the command that installs it, or what to look for.
pub(crate) fn hint(distro: &dyn HostDistro, tool: &Tool) -> String {
    match install_words(distro, std::slice::from_ref(tool)) {
        Some(words) => words.join(" "),
        None => format!("install {} with the package manager of {}", tool.name(), distro.name()),
    }
}

/// The command that installs `missing`; `None` if one of the packages is not known.
fn install_words(distro: &dyn HostDistro, missing: &[Tool]) -> Option<Vec<String>> {
    let mut packages = missing.iter().map(|tool| distro.package(tool)).collect::<Option<Vec<_>>>()?;
    packages.sort_unstable();
    packages.dedup();
    distro.install(&packages).map(with_rights)
}

/// The command that installs the packages `names`.
pub(crate) fn install_line(distro: &dyn HostDistro, names: &[String]) -> Option<String> {
    distro.install(names).map(|words| with_rights(words).join(" "))
}

/// A command with the rights to install.
fn with_rights(words: Vec<String>) -> Vec<String> {
    let mut all = Vec::new();
    if !is_root() {
        all.push("sudo".to_owned());
        if in_ci() {
            all.push("-n".to_owned());
        }
    }
    all.extend(words);
    all
}

/// Whether the machine has the package manager that a command calls.
fn has_manager(words: &[String]) -> bool {
    let is_wrapper = |word: &str| ["sudo", "-n", "env"].contains(&word) || word.contains('=');
    words.iter().find(|word| !is_wrapper(word)).is_some_and(|manager| program(manager).is_some())
}

fn to_command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn refresh(distro: &dyn HostDistro, progress: &dyn Fn(&str)) -> Result<(), ProvisionError> {
    let Some(words) = distro.refresh().map(with_rights) else { return Ok(()) };
    progress(&words.join(" "));
    // A source that fails need not be the one that is needed: the installation decides.
    run_inherited(&mut to_command(&words)).map(|_| ())
}

/// The package manager's messages go to standard error: standard output is for data.
fn run_inherited(command: &mut Command) -> Result<std::process::ExitStatus, ProvisionError> {
    command
        .stdout(std::io::stderr())
        .status()
        .map_err(|source| ProvisionError::Spawn { command: command_line(command), source })
}

fn confirm(what: &str, command: &str) -> bool {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return false;
    }
    crate::ui::prompt(&format!("Missing on this machine: {what}\nRun `{command}`? [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok() && is_yes(&answer)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

fn list(missing: &[Tool]) -> String {
    missing.iter().map(|tool| format!("{} ({})", tool.name(), tool.purpose())).collect::<Vec<_>>().join(", ")
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
    use crate::provision::host::Debian;

    #[test]
    fn a_package_is_named_once_although_it_brings_two_tools() {
        let debian = Debian::new("Debian".to_owned());
        let words = install_words(&debian, &[Tool::Gcc, Tool::Cc, Tool::Make]).unwrap();
        assert!(words.join(" ").ends_with("apt-get install --yes --no-install-recommends gcc make"), "{words:?}");
    }

    #[test]
    fn tools_that_exist_nowhere_are_missing() {
        let none = Tool::Compiler("no-such-program".to_owned());
        assert_eq!(missing(&[Tool::Manager("sh"), none.clone()]), [none]);
    }

    #[test]
    fn a_command_of_an_absent_package_manager_is_not_run() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(has_manager(&words("sudo -n env A=b sh install x")));
        assert!(!has_manager(&words("sudo env A=b no-such-manager install x")));
    }

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        assert!(is_yes("y\n") && is_yes("Yes\n"));
        assert!(!is_yes("\n") && !is_yes("no\n") && !is_yes("yesterday\n") && !is_yes(""));
    }
}
