//! Man pages of the commands, from the definition that `--help` has.
//!
//! `clap_mangen` puts what stands below the flags of `--help` into one section, called EXTRA, and fills its lines, which
//! makes a paragraph of the examples. Here each heading of it is a section of its own, and examples keep their lines
//! ([man-pages(7)](https://man7.org/linux/man-pages/man7/man-pages.7.html)).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// The heading whose lines are commands.
const EXAMPLES: &str = "EXAMPLES";

/// Writes a page for the command and for each verb that is not hidden into a folder, which is made if it is missing.
pub fn write_pages(command: Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut command = command.disable_help_subcommand(true);
    // Gives the verbs their full names.
    command.build();
    write_page_and_those_of_verbs(&command, folder)
}

fn write_page_and_those_of_verbs(command: &Command, folder: &Path) -> io::Result<()> {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_page_and_those_of_verbs(verb, folder)?;
    }
    let below = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    let man = Man::new(command.clone().after_help(None::<&str>).after_long_help(None::<&str>));
    let mut page = Vec::new();
    man.render(&mut page)?;
    sections(&below.unwrap_or_default()).to_writer(&mut page)?;
    File::create(folder.join(man.get_filename()))?.write_all(&page)
}

/// What stands below the flags: headings that end with a colon, and indented lines below each.
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
            // A term, and what it means.
            (Some(entry), _) => match entry.split_once("  ") {
                Some((term, meaning)) => roff.control("TP", []).text([bold(term)]).text([roman(meaning.trim_start())]),
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
    use super::*;

    const BELOW: &str = "Examples:
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
    fn examples_keep_their_lines_and_other_headings_are_lists_or_text() {
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
        assert_eq!(sections(BELOW).to_roff(), expected);
        assert!(sections("Examples:\n  last").to_roff().ends_with("last\n.EE\n"));
        assert_eq!(sections("").to_roff(), "");
    }

    #[test]
    fn each_command_that_is_shown_has_a_page_with_its_own_sections() {
        let folder = tempfile::tempdir().unwrap();
        let verb = Command::new("verb").after_help("Examples:\n  tool verb");
        let hidden = Command::new("hidden").hide(true);
        let tool = Command::new("tool").after_help("Exit status:\n  0  done").subcommands([verb, hidden]);
        write_pages(tool, &folder.path().join("man1")).unwrap();
        let page = |name: &str| fs::read_to_string(folder.path().join("man1").join(name));
        let (tool, verb) = (page("tool.1").unwrap(), page("tool-verb.1").unwrap());
        assert!(tool.contains(".SH \"EXIT STATUS\"") && !tool.contains("EXTRA"), "{tool}");
        assert!(verb.contains(".EX\ntool verb\n.EE") && !verb.contains("EXTRA"), "{verb}");
        assert!(page("tool-hidden.1").is_err());
    }
}
