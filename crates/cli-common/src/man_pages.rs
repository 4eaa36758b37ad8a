//! Man pages and completions from the same definitions as `--help`.
//!
//! `clap_mangen` puts the text below the flags of `--help` into one section EXTRA and joins its lines, which makes a paragraph of
//! the examples. Here each heading becomes a section, and examples keep their lines ([man-pages(7)](https://man7.org/linux/man-pages/man7/man-pages.7.html)).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, Command, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::output;

/// The heading whose lines are commands.
const EXAMPLES: &str = "EXAMPLES";

/// The commands for packagers.
#[derive(Debug, Subcommand)]
pub enum Packaging {
    /// Write the man pages to a directory, for packagers
    #[command(hide = true)]
    Man {
        /// An existing directory, such as /usr/local/share/man/man1
        directory: PathBuf,
    },
    /// Print shell completions, for packagers
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Packaging {
    /// Writes the man pages of the program, and of the command that it becomes under another file name; or prints completions.
    pub fn run(&self, mut program: Command, other_names: Option<Command>) -> anyhow::Result<()> {
        match self {
            Self::Man { directory } => std::iter::once(program)
                .chain(other_names)
                .try_for_each(|command| write_pages(command, directory))
                .map_err(|error| {
                    let directory = directory.display();
                    let hint = match error.kind() {
                        ErrorKind::NotFound => format!(" (mkdir -p {directory})"),
                        ErrorKind::NotADirectory => ": give the path of a directory".into(),
                        ErrorKind::PermissionDenied => ": this user must be able to write there".into(),
                        _ => String::new(),
                    };
                    anyhow::Error::from(error).context(format!("cannot write man pages to {directory}{hint}"))
                }),
            Self::Completions { shell } => {
                let name = program.get_name().to_owned();
                // Generated in memory: clap_complete panics if it cannot write.
                let mut script = Vec::new();
                clap_complete::generate(*shell, &mut program, name, &mut script);
                Ok(output::print(&String::from_utf8_lossy(&script))?)
            }
        }
    }
}

/// Writes a page for the command and one for each visible subcommand to a directory. It must exist, so a misspelled name is
/// an error.
fn write_pages(command: Command, directory: &Path) -> io::Result<()> {
    if !fs::metadata(directory)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    let mut command = command.disable_help_subcommand(true);
    // Sets the full names of the subcommands.
    command.build();
    write_page_and_subpages(&command, directory)
}

fn write_page_and_subpages(command: &Command, directory: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_page_and_subpages(subcommand, directory)?;
    }
    let after_help = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    let man = Man::new(command.clone().after_help(None::<&str>).after_long_help(None::<&str>));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|subcommand| !subcommand.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    sections(&after_help.unwrap_or_default()).to_writer(&mut page)?;
    if command.get_version().or_else(|| command.get_long_version()).is_some() {
        man.render_version_section(&mut page)?;
    }
    File::create(directory.join(man.get_filename()))?.write_all(&page)
}

/// The command with its options and their values. `clap_mangen` omits the values.
fn synopsis(command: &Command) -> Roff {
    let mut line = vec![bold(command.get_bin_name().unwrap_or_else(|| command.get_name()))];
    let visible: Vec<&Arg> = command.get_arguments().filter(|argument| !argument.is_hide_set()).collect();
    for option in visible.iter().filter(|argument| !argument.is_positional()) {
        let short = option.get_short().map(|short| format!("-{short}"));
        let long = option.get_long().map(|long| format!("--{long}"));
        let flags: Vec<String> = short.into_iter().chain(long).collect();
        let (open, close) = if option.is_required_set() { ("", "") } else { ("[", "]") };
        line.extend([roman(format!(" {open}")), bold(flags.join("|"))]);
        if option.get_action().takes_values() {
            line.extend([roman(" "), italic(value_names(option))]);
        }
        line.push(roman(close));
    }
    for argument in visible.iter().filter(|argument| argument.is_positional()) {
        let (open, close) = if argument.is_required_set() { ("", "") } else { ("[", "]") };
        line.extend([roman(format!(" {open}")), italic(value_names(argument)), roman(close)]);
    }
    if command.has_subcommands() {
        let (open, close) = if command.is_subcommand_required_set() { ("", "") } else { ("[", "]") };
        line.extend([roman(format!(" {open}")), italic("COMMAND"), roman(close)]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text(line);
    roff
}

fn value_names(argument: &Arg) -> String {
    let names = argument.get_value_names().map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
    names.map_or_else(|| argument.get_id().as_str().to_uppercase(), |names| names.join(" "))
}

/// Sections of the text below the flags: headings end with a colon, and their lines are indented.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    let (mut section, mut is_verbatim) = (String::new(), false);
    for line in text.lines() {
        let indented = line.strip_prefix("  ");
        let is_example = section == EXAMPLES && indented.is_some();
        if is_example != is_verbatim {
            roff.control(if is_example { "EX" } else { "EE" }, []);
            is_verbatim = is_example;
        }
        match (indented, line.strip_suffix(':')) {
            (Some(example), _) if is_example => roff.text([roman(example)]),
            // A term and its explanation.
            (Some(entry), _) => match entry.split_once("  ") {
                Some((term, explanation)) => {
                    roff.control("TP", []).text([bold(term)]).text([roman(explanation.trim_start())])
                }
                None => roff.text([roman(entry)]),
            },
            (None, Some(heading)) => {
                section = heading.to_uppercase();
                roff.control("SH", [section.as_str()])
            }
            (None, None) if line.is_empty() => continue,
            (None, None) => roff.control("PP", []).text([roman(line)]),
        };
    }
    if is_verbatim {
        roff.control("EE", []);
    }
    roff
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    const AFTER_HELP: &str = "Examples:
  command --flag value    # what for
  other … \\
      --more

Plain words.

Exit status:
  0  done
  1  failed

Notes:
  Takes this,
  and that.";

    #[test]
    fn examples_keep_their_lines() {
        let expected = ".SH EXAMPLES
.EX
command \\-\\-flag value    # what for
other … \\\\
    \\-\\-more
.EE
.PP
Plain words.
.SH \"EXIT STATUS\"
.TP
\\fB0\\fR
done
.TP
\\fB1\\fR
failed
.SH NOTES
Takes this,
and that.
";
        assert_eq!(sections(AFTER_HELP).to_roff(), expected);
        assert!(sections("Examples:\n  last").to_roff().ends_with("last\n.EE\n"));
        assert_eq!(sections("").to_roff(), "");
    }

    #[test]
    fn synopsis_has_the_values_of_options() {
        let mut tool = Command::new("tool").disable_help_flag(true).args([
            Arg::new("socket").short('S').long("socket").value_name("PATH"),
            Arg::new("plan").long("plan").required(true),
            Arg::new("verbose").short('v').action(ArgAction::Count),
            Arg::new("secret").long("secret").hide(true),
            Arg::new("folder").value_name("DIR").required(true),
            Arg::new("more"),
        ]);
        tool.build();
        let page = synopsis(&tool).to_roff();
        let plain = ["\\fB", "\\fI", "\\fR"].iter().fold(page, |page, font| page.replace(font, ""));
        assert!(plain.contains("tool [\\-S|\\-\\-socket PATH] \\-\\-plan PLAN [\\-v] DIR [MORE]"), "{plain}");
    }

    #[test]
    fn each_visible_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let subcommand = Command::new("verb").after_help("Examples:\n  tool verb");
        let hidden = Command::new("hidden").hide(true);
        let tool = Command::new("tool").after_help("Exit status:\n  0  done").subcommands([subcommand, hidden]);
        let missing = folder.path().join("man1");
        assert_eq!(write_pages(tool.clone(), &missing).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!missing.exists(), "the directory is not created");
        write_pages(tool, folder.path()).unwrap();
        let page = |name: &str| fs::read_to_string(folder.path().join(name));
        let (tool, verb) = (page("tool.1").unwrap(), page("tool-verb.1").unwrap());
        assert!(tool.contains(".SH \"EXIT STATUS\"") && !tool.contains("EXTRA"), "{tool}");
        assert!(verb.contains(".EX\ntool verb\n.EE") && !verb.contains("EXTRA"), "{verb}");
        assert!(page("tool-hidden.1").is_err());
    }
}
