//! Man pages and completions, from the same definition as `--help`.

use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use cli_common::man_pages::write_pages;
use cli_common::output;

use crate::qemu_client::QemuClientArguments;

/// Writes a page for the program, each visible command, and `ivshmem-client`.
pub(crate) fn write(folder: &Path, command: Command) -> anyhow::Result<()> {
    for command in [command, QemuClientArguments::command()] {
        write_pages(command, folder)
            .with_context(|| format!("cannot write man pages to {0}. Hint: mkdir -p {0}", folder.display()))?;
    }
    Ok(())
}

/// Prints completions to stdout.
pub(crate) fn completions(shell: Shell, mut command: Command) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    // Generated in memory: clap_complete panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    Ok(output::print(&String::from_utf8_lossy(&script))?)
}
