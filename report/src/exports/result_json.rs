//! `result.json`: the document itself, indented, since people read it too.

use std::io::{self, Write};

use crate::exports::Export;
use crate::result::{FILE_NAME, RunResult};
use crate::run::Run;

/// Writes the document.
#[derive(Debug, Clone, Copy)]
pub struct ResultJson;

impl Export for ResultJson {
    fn file_name(&self) -> &'static str {
        FILE_NAME
    }

    fn write(&self, result: &RunResult, _run: &Run, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, result)?;
        writeln!(out)
    }
}
