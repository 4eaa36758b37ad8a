//! Man pages and completions, from the same definition as `--help`.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

/// Writes a page for the command and for each verb that is not hidden.
pub(crate) fn man_pages(folder: &Path, command: Command) -> anyhow::Result<()> {
    let failed = || format!("cannot write man pages into {}", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(command, folder).with_context(failed)
}

/// Prints completions to stdout.
pub(crate) fn completions(shell: Shell, mut command: Command) {
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut io::stdout().lock());
}
