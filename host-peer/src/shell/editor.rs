//! The line editor of a terminal: history, completion of commands and connected peers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use client::Client;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Context, ExternalPrinter, Helper};

use super::Output;
use super::command::WORDS;

/// An input line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InputLine {
    Text(String),
    End,
}

/// The prompt of QEMU's example client.
const PROMPT: &str = "cmd> ";

/// Completes commands and peer ids. Shared: the shell updates the ids, the editor reads them.
#[derive(Debug, Clone, Default)]
pub(super) struct CommandCompleter(Arc<Mutex<Vec<String>>>);

impl CommandCompleter {
    /// Updates the ids.
    pub(super) fn set_peers(&self, client: &Client) {
        let mut peers: Vec<String> = client.peers().keys().map(ToString::to_string).collect();
        peers.push(client.id().to_string());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = peers;
    }

    /// Start of the last word of a line, and its completions.
    fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind([' ', ';']).map_or(0, |space| space + 1);
        let before: Vec<&str> = line[..start].rsplit(';').next().unwrap_or_default().split_whitespace().collect();
        let peers = || self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all = || vec!["all".to_owned()];
        let candidates = match before[..] {
            [] => WORDS.map(str::to_owned).to_vec(),
            ["int"] => [peers(), all()].concat(),
            ["int", peer] if peer != "all" => all(),
            ["ring"] => peers(),
            _ => Vec::new(),
        };
        (start, candidates.into_iter().filter(|candidate| candidate.starts_with(&line[start..])).collect())
    }
}

/// Reads lines with a prompt.
pub(super) struct Editor {
    editor: rustyline::Editor<CommandCompleter, DefaultHistory>,
    history: Option<PathBuf>,
}

impl Editor {
    /// Opens the terminal. A missing history file is created later.
    pub(super) fn new(completer: CommandCompleter, history: Option<&Path>) -> anyhow::Result<Self> {
        let mut editor = rustyline::Editor::new().context("cannot use the terminal")?;
        editor.set_helper(Some(completer));
        if let Some(file) = history.filter(|file| file.exists()) {
            editor.load_history(file).with_context(|| format!("cannot read the history {}", file.display()))?;
        }
        Ok(Self { editor, history: history.map(Path::to_owned) })
    }

    /// An output that prints above the edited line.
    pub(super) fn output(&mut self) -> anyhow::Result<Output> {
        let mut printer = self.editor.create_external_printer().context("cannot write to the terminal")?;
        Ok(Box::new(move |text| {
            // If the terminal is gone, the input ends too.
            let _ = printer.print(format!("{text}\n"));
            Ok(())
        }))
    }

    /// The next line. Ctrl-C discards the line, Ctrl-D ends the input.
    pub(super) fn line(&mut self) -> io::Result<InputLine> {
        loop {
            match self.editor.readline(PROMPT) {
                Ok(line) => {
                    self.remember(&line)?;
                    return Ok(InputLine::Text(line));
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(InputLine::End),
                Err(ReadlineError::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    fn remember(&mut self, line: &str) -> io::Result<()> {
        self.editor.add_history_entry(line).map_err(io::Error::other)?;
        match &self.history {
            Some(file) => self.editor.save_history(file).map_err(io::Error::other),
            None => Ok(()),
        }
    }
}

impl Helper for CommandCompleter {}
impl Hinter for CommandCompleter {
    type Hint = String;
}
impl Highlighter for CommandCompleter {}
impl Validator for CommandCompleter {}

impl Completer for CommandCompleter {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.complete(&line[..position]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_commands_and_connected_peers() {
        let completer = CommandCompleter(Arc::new(Mutex::new(vec!["0".into(), "12".into()])));
        assert_eq!(completer.complete("pe"), (0, vec!["peers".to_owned()]));
        assert_eq!(completer.complete("int 1"), (4, vec!["12".to_owned()]));
        assert_eq!(completer.complete("int "), (4, vec!["0".to_owned(), "12".into(), "all".into()]));
        assert_eq!(completer.complete("int 12 a"), (7, vec!["all".to_owned()]));
        assert_eq!(completer.complete("dump;ri"), (5, vec!["ring".to_owned()]));
        assert_eq!(completer.complete("read 0"), (5, Vec::new()));
    }
}
