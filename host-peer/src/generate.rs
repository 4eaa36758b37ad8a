//! Man pages and completions, from the same definition as `--help`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Command, Subcommand};
use clap_complete::Shell;

/// What to generate.
#[derive(Debug, Subcommand)]
pub(crate) enum Generate {
    /// Writes a man page for the command and for each verb
    Man {
        /// The folder for them, such as /usr/local/share/man/man1
        folder: PathBuf,
    },
    /// Writes a shell's completions to stdout
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Generates it.
pub(crate) fn generate(what: &Generate, mut command: Command) -> anyhow::Result<()> {
    match what {
        Generate::Man { folder } => man_pages(folder, command),
        Generate::Completions { shell } => {
            let name = command.get_name().to_owned();
            clap_complete::generate(*shell, &mut command, name, &mut io::stdout().lock());
            Ok(())
        }
    }
}

fn man_pages(folder: &Path, command: Command) -> anyhow::Result<()> {
    let failed = || format!("cannot write man pages to {}", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(command, folder).with_context(failed)
}
