//! Converts stamps to rows on one time line and writes them. Runs only between blocks.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bench_model::Block;
use bench_model::journal::{self, Entry};
use bench_model::raw::{PeakBandwidths, RawBlock, RawRun};
use bench_model::samples::{COLUMNS, Row};
use bench_protocol::clock::ClockOffset;
use bench_protocol::guest_stamps::GuestStamps;
use doorbell::region::SharedRegion;

use super::BenchError;
use super::error::file_error;
use super::round_trip::Sample;
use super::row::{TimeBase, earliest, row};

/// Writes `samples.csv` and `measured.jsonl` block by block, and `measured.json` at the end.
pub(super) struct Recorder {
    samples: csv::Writer<BufWriter<File>>,
    samples_path: PathBuf,
    journal: JournalFile,
    measured_path: PathBuf,
    /// Zero of the time line: the first stamp of the run.
    zero: Option<u64>,
}

impl Recorder {
    /// Creates the files before the first measurement: a read-only directory ends the run early.
    pub(super) fn create(out: &Path) -> Result<Self, BenchError> {
        let (samples_path, measured_path) = (out.join("samples.csv"), out.join("measured.json"));
        let file = File::create(&samples_path).map_err(file_error("write", &samples_path))?;
        let mut samples = csv::WriterBuilder::new().has_headers(false).from_writer(BufWriter::new(file));
        // Written here: a run without rows still has a valid table.
        samples.write_record(COLUMNS).map_err(file_error("write", &samples_path))?;
        samples.flush().map_err(file_error("write", &samples_path))?;
        let journal = JournalFile::create(out.join(journal::FILE_NAME))?;
        Ok(Self { samples, samples_path, journal, measured_path, zero: None })
    }

    /// Writes the facts of the run.
    pub(super) fn facts(&mut self, measured: &RawRun) -> Result<(), BenchError> {
        self.journal.ceilings.clone_from(&measured.ceilings);
        self.journal.append(&Entry::Run(Cow::Borrowed(measured)))
    }

    /// Writes a finished block, and the peak bandwidth if it changed. A run that is killed later keeps both.
    pub(super) fn finished(&mut self, block: &RawBlock, ceilings: &[PeakBandwidths]) -> Result<(), BenchError> {
        self.peaks(ceilings)?;
        self.journal.append(&Entry::Block(Cow::Borrowed(block)))
    }

    fn peaks(&mut self, ceilings: &[PeakBandwidths]) -> Result<(), BenchError> {
        if self.journal.ceilings == ceilings {
            return Ok(());
        }
        ceilings.clone_into(&mut self.journal.ceilings);
        self.journal.append(&Entry::Ceilings(Cow::Borrowed(ceilings)))
    }

    /// Appends the operations of a block and returns their rows. Without a stable `offset` the guest's stamps and the
    /// one-way legs stay empty.
    pub(super) fn block(
        &mut self,
        block: &Block,
        samples: &[Sample],
        memory: &SharedRegion,
        offset: Option<ClockOffset>,
        tsc_hz: f64,
    ) -> Result<Vec<Row>, BenchError> {
        let mut rows = Vec::with_capacity(samples.len());
        for sample in samples {
            let zero = *self.zero.get_or_insert(earliest(sample));
            let record = GuestStamps::load(memory, sample.seq)?.unwrap_or_default();
            let line = TimeBase { zero, ns_per_tick: 1e9 / tsc_hz };
            let row = row(block, sample, &record, offset, line);
            self.samples.serialize(&row).map_err(|error| file_error("write", &self.samples_path)(error))?;
            rows.push(row);
        }
        self.samples.flush().map_err(file_error("write", &self.samples_path))?;
        Ok(rows)
    }

    /// Writes the result document, and the reason of an early end as the last line of the journal: on a full disk the
    /// line may still fit.
    pub(super) fn finish(&mut self, measured: &RawRun) -> Result<(), BenchError> {
        // Peaks that were measured again after the last block.
        let peaks = self.peaks(&measured.ceilings);
        let written = self.write_document(measured).and(peaks);
        let reason = measured.aborted.clone().or_else(|| written.as_ref().err().map(|error| super::chain(error)));
        let ended = self.journal.append(&Entry::End(reason.map(Cow::Owned)));
        written.and(ended)
    }

    fn write_document(&self, measured: &RawRun) -> Result<(), BenchError> {
        let text = serde_json::to_vec_pretty(measured).map_err(file_error("write", &self.measured_path))?;
        // Atomic: a reader must never find a truncated document.
        let temporary = self.measured_path.with_extension("json.new");
        let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &self.measured_path));
        written.map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            file_error("write", &self.measured_path)(error)
        })
    }
}

/// `measured.jsonl`. Every line is complete.
struct JournalFile {
    file: File,
    path: PathBuf,
    /// Bytes of the complete lines.
    len: u64,
    /// The values in the file.
    ceilings: Vec<PeakBandwidths>,
}

impl JournalFile {
    fn create(path: PathBuf) -> Result<Self, BenchError> {
        let file = File::create(&path).map_err(file_error("write", &path))?;
        Ok(Self { file, path, len: 0, ceilings: Vec::new() })
    }

    fn append(&mut self, entry: &Entry<'_>) -> Result<(), BenchError> {
        let written = entry.to_line().map_err(io::Error::from).and_then(|line| {
            self.file.write_all_at(&line, self.len)?;
            Ok(line.len() as u64)
        });
        match written {
            Ok(bytes) => {
                self.len += bytes;
                Ok(())
            }
            Err(source) => {
                // A partial line would corrupt the next one. Truncation is best effort: readers detect partial lines.
                let _ = self.file.set_len(self.len);
                Err(file_error("write", &self.path)(source))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(out: &Path) -> Recorder {
        Recorder::create(out).unwrap()
    }

    fn read(out: &Path) -> journal::Journal {
        journal::replay(&std::fs::read(out.join(journal::FILE_NAME)).unwrap())
    }

    #[test]
    fn facts_are_on_disk_before_the_run_ends() {
        let out = tempfile::tempdir().unwrap();
        let mut recorder = recorder(out.path());
        recorder.facts(&RawRun { memory_bytes: 7, ..RawRun::default() }).unwrap();
        let killed = read(out.path());
        assert_eq!((killed.measured.memory_bytes, killed.ended), (7, false));
        assert!(!out.path().join("measured.json").exists());
    }

    #[test]
    fn journal_keeps_peaks_measured_after_the_last_block() {
        let out = tempfile::tempdir().unwrap();
        let mut recorder = recorder(out.path());
        recorder.facts(&RawRun::default()).unwrap();
        let ceilings = vec![PeakBandwidths { size_bytes: 64, ..PeakBandwidths::default() }];
        recorder.finish(&RawRun { ceilings: ceilings.clone(), ..RawRun::default() }).unwrap();
        assert_eq!(read(out.path()).measured.ceilings, ceilings);
    }

    #[test]
    fn full_disk_error_has_file_and_reason() {
        let out = tempfile::tempdir().unwrap();
        let mut recorder = recorder(out.path());
        recorder.journal.file = File::options().write(true).open("/dev/full").unwrap();
        let error = recorder.facts(&RawRun::default()).unwrap_err();
        let text = super::super::chain(&error);
        assert!(text.contains("measured.jsonl: No space left on device"), "{text}");
    }

    #[test]
    fn partial_line_is_truncated() {
        let out = tempfile::tempdir().unwrap();
        let mut recorder = recorder(out.path());
        recorder.facts(&RawRun::default()).unwrap();
        let whole = recorder.journal.len;
        recorder.journal.file.write_all_at(b"{\"block\": {", whole).unwrap();
        recorder.journal.file = File::open(out.path().join(journal::FILE_NAME)).unwrap();
        assert!(recorder.facts(&RawRun::default()).is_err(), "opened read-only");
        recorder.journal.file = File::options().write(true).open(out.path().join(journal::FILE_NAME)).unwrap();
        recorder.finish(&RawRun { aborted: Some("no space".into()), ..RawRun::default() }).unwrap();
        let journal = read(out.path());
        assert_eq!((journal.ended, journal.measured.aborted.as_deref()), (true, Some("no space")));
    }

    #[test]
    fn failed_document_is_the_reason_on_the_last_line() {
        let out = tempfile::tempdir().unwrap();
        let mut recorder = recorder(out.path());
        // A directory at the path of the document.
        std::fs::create_dir_all(out.path().join("measured.json/in the way")).unwrap();
        assert!(recorder.finish(&RawRun::default()).is_err());
        let reason = read(out.path()).measured.aborted.unwrap();
        assert!(reason.starts_with("cannot write") && reason.contains("measured.json"), "{reason}");
    }
}
