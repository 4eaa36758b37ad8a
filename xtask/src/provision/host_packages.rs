//! Finds required tools on this host and installs missing packages.
//!
//! It looks for the programs and files, not for packages.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::exit_status::missing_dependency;
use crate::provision::command::cannot_start;
use crate::provision::host::HostDistro;
use crate::provision::host::tool::{GUEST, MODULE_BUILD, Tool};

/// Library directories on x86-64: Debian's first.
const LIBRARY_FOLDERS: [&str; 5] =
    ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"];

/// All tools for a guest with the distribution's kernel.
pub(crate) fn requirements(distro: &HostDistro) -> Vec<Tool> {
    GUEST.into_iter().chain(MODULE_BUILD).chain(distro.repository_tools()).collect()
}

/// The path of a tool, if it is installed.
pub(crate) fn found(tool: &Tool) -> Option<PathBuf> {
    if tool.is_library {
        return LIBRARY_FOLDERS.iter().map(|folder| Path::new(folder).join(&*tool.name)).find(|path| path.is_file());
    }
    program(&tool.name)
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
    distro: &HostDistro,
    tools: &[Tool],
    policy: InstallPolicy,
    progress: &dyn Fn(&str),
) -> anyhow::Result<()> {
    let missing = missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    let what = list(&missing);
    let Some(command) = install_tools(distro, &missing) else {
        let distro = &distro.name;
        return Err(missing_dependency(format!(
            "missing on this host: {what}\ninstall them with the package manager of {distro}, then run again"
        )));
    };
    let refused = |what: &str| {
        missing_dependency(format!("missing on this host: {what}\ninstall with:  {command}\n(or run again with --yes)"))
    };
    let is_permitted = match policy {
        _ if !has_manager(&command) => false,
        InstallPolicy::Given => true,
        InstallPolicy::Ask => confirm(&what, &command),
        InstallPolicy::Never => false,
    };
    if !is_permitted {
        return Err(refused(&what));
    }

    // Best effort: the source of packages that failed may be irrelevant.
    let refresh =
        || distro.refresh().map(|command| run_inherited(&with_sudo(command.to_owned()), progress)).transpose();
    if !distro.has_lists() {
        refresh()?;
    }
    let mut status = run_inherited(&command, progress)?;
    // Old lists contain versions that the mirror has removed.
    if !status.success() && refresh()?.is_some() {
        status = run_inherited(&command, progress)?;
    }
    if !status.success() {
        return Err(missing_dependency(format!(
            "`{command}` ended with {status}; see its messages above, fix the cause and run it by hand"
        )));
    }
    let still_missing = self::missing(&missing);
    if still_missing.is_empty() {
        return Ok(());
    }
    Err(refused(&format!("{} (although the packages were installed)", list(&still_missing))))
}

/// A hint for a missing tool: the command that installs it, or its name.
pub(crate) fn hint(distro: &HostDistro, tool: &Tool) -> String {
    install_tools(distro, std::slice::from_ref(tool))
        .unwrap_or_else(|| format!("install {} with the package manager of {}", tool.name, distro.name))
}

/// The command that installs `missing`; `None` if a package is unknown.
fn install_tools(distro: &HostDistro, missing: &[Tool]) -> Option<String> {
    let mut packages = missing.iter().map(|tool| distro.package(tool)).collect::<Option<Vec<_>>>()?;
    packages.sort_unstable();
    packages.dedup();
    install_command(distro, &packages)
}

/// The command that installs packages.
pub(crate) fn install_command(distro: &HostDistro, packages: &[String]) -> Option<String> {
    distro.install(packages).map(with_sudo)
}

/// Adds sudo if needed.
fn with_sudo(command: String) -> String {
    match (is_root(), in_ci()) {
        (true, _) => command,
        (false, true) => format!("sudo -n {command}"),
        (false, false) => format!("sudo {command}"),
    }
}

/// Whether the package manager of a command is installed.
fn has_manager(command: &str) -> bool {
    let is_wrapper = |word: &&str| ["sudo", "-n", "env"].contains(word) || word.contains('=');
    command.split(' ').find(|word| !is_wrapper(word)).is_some_and(|manager| program(manager).is_some())
}

/// Runs the package manager with its messages on standard error, because standard output is for data.
fn run_inherited(command: &str, progress: &dyn Fn(&str)) -> anyhow::Result<std::process::ExitStatus> {
    progress(command);
    let mut words = command.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdout(std::io::stderr()).status().with_context(|| cannot_start(&command))
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
    missing.iter().map(|tool| format!("{} ({})", tool.name, tool.purpose)).collect::<Vec<_>>().join(", ")
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
    use crate::provision::host::distro::Family;

    #[test]
    fn package_with_two_tools_occurs_once() {
        let debian = HostDistro { name: "Debian".to_owned(), family: Some(Family::Debian) };
        let command =
            install_tools(&debian, &[MODULE_BUILD[0].clone(), GUEST[1].clone(), MODULE_BUILD[1].clone()]).unwrap();
        assert!(command.ends_with("apt-get install --yes --no-install-recommends gcc make"), "{command}");
    }

    #[test]
    fn nonexistent_tool_is_missing() {
        let none = Tool::compiler("no-such-program".to_owned());
        assert_eq!(missing(&[Tool::compiler("sh".to_owned()), none.clone()]), [none]);
    }

    #[test]
    fn detects_absent_package_manager() {
        assert!(has_manager("sudo -n env A=b sh install x"));
        assert!(!has_manager("sudo env A=b no-such-manager install x"));
    }

    #[test]
    fn only_yes_confirms() {
        assert!(is_yes("y\n") && is_yes("Yes\n"));
        assert!(!is_yes("\n") && !is_yes("no\n") && !is_yes("yesterday\n") && !is_yes(""));
    }
}
