//! Finds required tools on this host and installs missing packages.
//!
//! It looks for the programs and files, not for packages.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::child::command_line;
use crate::provision::error::ProvisionError;
use crate::provision::host::distro::{HostDistro, Tool};

/// Library directories on x86-64: Debian's first.
const LIBRARY_FOLDERS: [&str; 5] =
    ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"];

/// Tools for any guest.
pub(crate) const GUEST: [Tool; 3] = [Tool::Qemu, Tool::Cc, Tool::LibC];
/// Tools for building a kernel module.
pub(crate) const MODULE_BUILD: [Tool; 4] = [Tool::Gcc, Tool::Make, Tool::Strip, Tool::LibElf];

/// All tools for a guest with the distribution's kernel.
pub(crate) fn requirements(distro: &dyn HostDistro) -> Vec<Tool> {
    let mut tools = GUEST.to_vec();
    tools.extend(MODULE_BUILD);
    tools.extend(distro.repository_tools());
    tools
}

/// The path of a tool, if it is installed.
pub(crate) fn found(tool: &Tool) -> Option<PathBuf> {
    if tool.is_library() {
        return LIBRARY_FOLDERS.iter().map(|folder| Path::new(folder).join(tool.name())).find(|path| path.is_file());
    }
    program(tool.name())
}

fn missing(tools: &[Tool]) -> Vec<Tool> {
    tools.iter().filter(|tool| found(tool).is_none()).cloned().collect()
}

/// Finds a program in PATH and in the sbin directories, which a user's PATH often lacks.
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
    /// With `--yes`, as root, or in CI.
    Given,
    /// After confirmation on a terminal.
    Ask,
    /// Never.
    Never,
}

impl InstallPolicy {
    /// The policy of all commands.
    pub(crate) fn new(yes: bool) -> Self {
        if yes || is_root() || in_ci() { Self::Given } else { Self::Ask }
    }
}

/// Installs missing tools if the policy permits.
pub(crate) fn ensure(
    distro: &dyn HostDistro,
    tools: &[Tool],
    policy: InstallPolicy,
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
    let is_permitted = match policy {
        _ if !has_manager(&words) => false,
        InstallPolicy::Given => true,
        InstallPolicy::Ask => confirm(&what, &command),
        InstallPolicy::Never => false,
    };
    if !is_permitted {
        return Err(ProvisionError::PackagesMissing { what, command });
    }

    if !distro.has_lists() {
        refresh(distro, progress)?;
    }
    progress(&command);
    let mut status = run_inherited(&mut to_command(&words))?;
    if !status.success() && distro.refresh().is_some() {
        // Old lists contain versions that the mirror has removed.
        refresh(distro, progress)?;
        progress(&command);
        status = run_inherited(&mut to_command(&words))?;
    }
    if !status.success() {
        return Err(ProvisionError::InstallFailed { command, status });
    }
    let still_missing = self::missing(&missing);
    if still_missing.is_empty() {
        return Ok(());
    }
    let what = format!("{} (although the packages were installed)", list(&still_missing));
    Err(ProvisionError::PackagesMissing { what, command })
}

/// A hint for a missing tool: the command that installs it, or its name.
pub(crate) fn hint(distro: &dyn HostDistro, tool: &Tool) -> String {
    match install_words(distro, std::slice::from_ref(tool)) {
        Some(words) => words.join(" "),
        None => format!("install {} with the package manager of {}", tool.name(), distro.name()),
    }
}

/// The command that installs `missing`; `None` if a package is unknown.
fn install_words(distro: &dyn HostDistro, missing: &[Tool]) -> Option<Vec<String>> {
    let mut packages = missing.iter().map(|tool| distro.package(tool)).collect::<Option<Vec<_>>>()?;
    packages.sort_unstable();
    packages.dedup();
    distro.install(&packages).map(with_sudo)
}

/// The command that installs the packages `names`.
pub(crate) fn install_line(distro: &dyn HostDistro, names: &[String]) -> Option<String> {
    distro.install(names).map(|words| with_sudo(words).join(" "))
}

/// Adds sudo if needed.
fn with_sudo(words: Vec<String>) -> Vec<String> {
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

/// Whether the package manager of a command is installed.
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
    let Some(words) = distro.refresh().map(with_sudo) else { return Ok(()) };
    progress(&words.join(" "));
    // Best effort: the failed source may be irrelevant.
    run_inherited(&mut to_command(&words)).map(|_| ())
}

/// Runs the package manager with its messages on standard error, because standard output is for data.
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
    crate::ui::prompt(&format!("Missing on this host: {what}\nRun `{command}`? [y/N] "));
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
    fn package_with_two_tools_occurs_once() {
        let debian = Debian::new("Debian".to_owned());
        let words = install_words(&debian, &[Tool::Gcc, Tool::Cc, Tool::Make]).unwrap();
        assert!(words.join(" ").ends_with("apt-get install --yes --no-install-recommends gcc make"), "{words:?}");
    }

    #[test]
    fn nonexistent_tool_is_missing() {
        let none = Tool::Compiler("no-such-program".to_owned());
        assert_eq!(missing(&[Tool::Manager("sh"), none.clone()]), [none]);
    }

    #[test]
    fn detects_absent_package_manager() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(has_manager(&words("sudo -n env A=b sh install x")));
        assert!(!has_manager(&words("sudo env A=b no-such-manager install x")));
    }

    #[test]
    fn only_yes_confirms() {
        assert!(is_yes("y\n") && is_yes("Yes\n"));
        assert!(!is_yes("\n") && !is_yes("no\n") && !is_yes("yesterday\n") && !is_yes(""));
    }
}
