//! `result.json`: the document, indented for human readers.

use std::io::{self, Write};

use crate::io::file_names::RESULT_FILE;
use crate::io::run::Run;
use crate::render::export::Export;
use crate::result::RunResult;

/// Writes the document.
#[derive(Debug, Clone, Copy)]
pub struct ResultJson;

impl Export for ResultJson {
    fn file_name(&self) -> &'static str {
        RESULT_FILE
    }

    fn write(&self, result: &RunResult, _run: &Run, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, result)?;
        writeln!(out)
    }
}
