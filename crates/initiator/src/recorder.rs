//! Stamps become rows on one time line; rows become files. Everything here happens between blocks.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bench_model::Block;
use bench_model::journal::{self, Entry};
use bench_model::raw::{PeakBandwidths, RawBlock, RawRun};
use bench_model::samples::{COLUMNS, Row, Status, mode_name};
use bench_protocol::ack::{Ack, NackReason};
use bench_protocol::clock::ClockOffset;
use bench_protocol::guest_stamps::GuestStamps;
use doorbell::region::SharedRegion;

use super::BenchError;
use super::round_trip::Sample;

/// Writes `samples.csv` and `measured.jsonl` block by block, and `measured.json` at the end.
pub(super) struct Recorder {
    samples: csv::Writer<BufWriter<File>>,
    samples_path: PathBuf,
    journal: Journal,
    measured_path: PathBuf,
    /// The time line's zero: the first stamp of the run.
    zero: Option<u64>,
}

impl Recorder {
    /// Creates the files before anything is measured, so that a folder that cannot be written ends the run at once.
    pub(super) fn create(out: &Path) -> Result<Self, BenchError> {
        let (samples_path, measured_path) = (out.join("samples.csv"), out.join("measured.json"));
        let failed = |source: std::io::Error| BenchError::Write { path: samples_path.clone(), source: source.into() };
        let file = File::create(&samples_path).map_err(failed)?;
        let mut samples = csv::WriterBuilder::new().has_headers(false).from_writer(BufWriter::new(file));
        // Here and not with the first row: a run without rows leaves a table all the same.
        let headed = samples.write_record(COLUMNS).and_then(|()| Ok(samples.flush()?));
        headed.map_err(|source: csv::Error| BenchError::Write { path: samples_path.clone(), source: source.into() })?;
        let journal = Journal::create(out.join(journal::FILE_NAME))?;
        Ok(Self { samples, samples_path, journal, measured_path, zero: None })
    }

    /// Notes what is known of the run as a whole.
    pub(super) fn facts(&mut self, measured: &RawRun) -> Result<(), BenchError> {
        self.journal.ceilings.clone_from(&measured.ceilings);
        self.journal.append(&Entry::Run(Cow::Borrowed(measured)))
    }

    /// Notes a block that is finished, and the peak bandwidths where they changed. A run that is killed later keeps it.
    pub(super) fn finished(&mut self, block: &RawBlock, ceilings: &[PeakBandwidths]) -> Result<(), BenchError> {
        if self.journal.ceilings != ceilings {
            ceilings.clone_into(&mut self.journal.ceilings);
            self.journal.append(&Entry::Ceilings(Cow::Borrowed(ceilings)))?;
        }
        self.journal.append(&Entry::Block(Cow::Borrowed(block)))
    }

    /// Appends a block's operations, and gives their rows. Without a stable `offset` the guest's stamps and the one-way legs
    /// stay empty.
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
            let failed =
                |source: csv::Error| BenchError::Write { path: self.samples_path.clone(), source: source.into() };
            self.samples.serialize(&row).map_err(failed)?;
            rows.push(row);
        }
        let failed =
            |source: std::io::Error| BenchError::Write { path: self.samples_path.clone(), source: source.into() };
        self.samples.flush().map_err(failed)?;
        Ok(rows)
    }

    /// Writes what is known of the blocks as one document, and why the run ended early to the end of the lines: where the
    /// document finds no room, the line still may.
    pub(super) fn finish(&mut self, measured: &RawRun) -> Result<(), BenchError> {
        let written = self.write_document(measured);
        let reason = measured.aborted.clone().or_else(|| written.as_ref().err().map(|error| super::chain(error)));
        let ended = self.journal.append(&Entry::End(reason.map(Cow::Owned)));
        written.and(ended)
    }

    fn write_document(&self, measured: &RawRun) -> Result<(), BenchError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BenchError::Write {
            path: self.measured_path.clone(),
            source,
        };
        let text = serde_json::to_vec_pretty(measured).map_err(|e| failed(e.into()))?;
        // Whole or not at all: a reader must not take a full disk's remainder for the run.
        let temporary = self.measured_path.with_extension("json.new");
        let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &self.measured_path));
        written.map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            failed(error.into())
        })
    }
}

/// `measured.jsonl`, of which every line is whole.
struct Journal {
    file: File,
    path: PathBuf,
    /// Bytes of the whole lines.
    len: u64,
    /// As they stand in the file.
    ceilings: Vec<PeakBandwidths>,
}

impl Journal {
    fn create(path: PathBuf) -> Result<Self, BenchError> {
        match File::create(&path) {
            Ok(file) => Ok(Self { file, path, len: 0, ceilings: Vec::new() }),
            Err(source) => Err(BenchError::Write { path, source: source.into() }),
        }
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
                // Half a line would spoil the next one. Cutting it off is best effort: readers notice half a line.
                let _ = self.file.set_len(self.len);
                Err(BenchError::Write { path: self.path.clone(), source: source.into() })
            }
        }
    }
}

/// Ticks of the host's counter to nanoseconds since the run's first stamp.
#[derive(Debug, Clone, Copy)]
struct TimeBase {
    zero: u64,
    ns_per_tick: f64,
}

impl TimeBase {
    /// A stamp's place; `None` for a stamp that was not taken.
    fn at(self, ticks: u64) -> Option<u64> {
        (ticks != 0).then(|| self.span(self.zero, ticks)).flatten()
    }

    /// From one stamp to a later one of the same clock.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a run's nanoseconds fit 64 bits")]
    fn span(self, from: u64, to: u64) -> Option<u64> {
        (from != 0 && to != 0).then(|| (to.saturating_sub(from) as f64 * self.ns_per_tick).round() as u64)
    }

    /// From a stamp of one side to one of the other: may come out negative by as much as the clocks are uncertain.
    #[expect(clippy::cast_possible_truncation, reason = "a run's nanoseconds fit 64 bits")]
    fn one_way(self, from: u64, to: u64) -> Option<i64> {
        let ticks = to.wrapping_sub(from).cast_signed();
        (from != 0 && to != 0).then(|| (ticks as f64 * self.ns_per_tick).round() as i64)
    }
}

fn earliest(sample: &Sample) -> u64 {
    [sample.due, sample.begun, sample.published].into_iter().find(|stamp| *stamp != 0).unwrap_or(0)
}

fn row(block: &Block, sample: &Sample, record: &GuestStamps, offset: Option<ClockOffset>, line: TimeBase) -> Row {
    let on_host = |ticks: u64| offset.filter(|_| ticks != 0).map_or(0, |o| o.guest_to_host(ticks));
    let (irq_entry, detected) = (on_host(record.irq_entry), on_host(record.detected));
    let acked = on_host(record.acked);
    let received = on_host(record.received);
    let inject = line.one_way(sample.published, irq_entry);
    let wake = inject.and(line.span(record.irq_entry, record.detected));
    let (read, verified) = (line.span(record.received, record.read), line.span(record.read, record.verified));
    // Without its parts that are legs of their own, rounded as they are, so that the legs sum to the total.
    let in_guest = line.span(record.detected, record.acked);
    let handled = in_guest.map(|ns| ns.saturating_sub(read.unwrap_or(0) + verified.unwrap_or(0)));
    let ended = if sample.answer.is_some() { sample.ended } else { 0 };
    Row {
        block: block.index,
        workload: block.workload,
        mode: mode_name(block.host_wait, block.guest_wait),
        host_wait: block.host_wait,
        guest_wait: block.guest_wait,
        seq: sample.seq,
        size_bytes: block.size_bytes,
        due_ns: line.at(sample.due),
        h0_ns: line.at(sample.begun),
        h1_ns: line.at(sample.written),
        h2_ns: line.at(sample.published),
        h3_ns: line.at(sample.rung),
        g0_ns: line.at(irq_entry),
        g1_ns: line.at(detected),
        g2_ns: line.at(received),
        g3_ns: line.at(on_host(record.read)),
        g4_ns: line.at(on_host(record.verified)),
        g5_ns: line.at(acked),
        h4_ns: line.at(sample.received),
        h5_ns: line.at(ended),
        write_ns: line.span(sample.begun, sample.written),
        ring_ns: line.span(sample.published, sample.rung),
        inject_ns: inject,
        wake_ns: wake,
        // The sum of its parts where both are known, so that rounding does not set them apart.
        notify_ns: inject
            .zip(wake)
            .map(|(inject, wake)| inject.saturating_add_unsigned(wake))
            .or(line.one_way(sample.published, detected)),
        ack_ns: line.one_way(received, sample.received),
        read_ns: read,
        verify_ns: verified,
        handle_ns: handled,
        answer_ns: line.one_way(acked, ended),
        rtt_ns: line.span(sample.published, ended),
        end_to_end_ns: line.span(sample.begun, ended),
        corrected_ns: line.span(sample.due, ended),
        status: status(sample.answer),
    }
}

fn status(answer: Option<Ack>) -> Status {
    match answer {
        Some(Ack::Processed) => Status::Ok,
        Some(Ack::Refused(NackReason::Hash)) => Status::HashMismatch,
        Some(Ack::Refused(NackReason::Header)) => Status::BadHeader,
        Some(_) => Status::GuestError,
        None => Status::Timeout,
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
        recorder.facts(&RawRun { memory_bytes: 7, ..journal::nothing() }).unwrap();
        let killed = read(out.path());
        assert_eq!((killed.measured.memory_bytes, killed.ended), (7, false));
        assert!(!out.path().join("measured.json").exists());
    }

    #[test]
    fn full_disk_is_named_with_file_and_reason() {
        let out = tempfile::tempdir().unwrap();
        let mut recorder = recorder(out.path());
        recorder.journal.file = File::options().write(true).open("/dev/full").unwrap();
        let error = recorder.facts(&journal::nothing()).unwrap_err();
        let text = super::super::chain(&error);
        assert!(text.contains("measured.jsonl: No space left on device"), "{text}");
    }

    #[test]
    fn half_a_line_is_cut_off_again() {
        let out = tempfile::tempdir().unwrap();
        let mut recorder = recorder(out.path());
        recorder.facts(&journal::nothing()).unwrap();
        let whole = recorder.journal.len;
        recorder.journal.file.write_all_at(b"{\"block\": {", whole).unwrap();
        recorder.journal.file = File::open(out.path().join(journal::FILE_NAME)).unwrap();
        assert!(recorder.facts(&journal::nothing()).is_err(), "opened for reading only");
        recorder.journal.file = File::options().write(true).open(out.path().join(journal::FILE_NAME)).unwrap();
        recorder.finish(&RawRun { aborted: Some("no space".into()), ..journal::nothing() }).unwrap();
        let journal = read(out.path());
        assert_eq!((journal.ended, journal.measured.aborted.as_deref()), (true, Some("no space")));
    }

    #[test]
    fn document_that_cannot_be_written_is_the_reason_on_the_last_line() {
        let out = tempfile::tempdir().unwrap();
        let mut recorder = recorder(out.path());
        // A directory in the place of the document.
        std::fs::create_dir_all(out.path().join("measured.json/in the way")).unwrap();
        assert!(recorder.finish(&journal::nothing()).is_err());
        let reason = read(out.path()).measured.aborted.unwrap();
        assert!(reason.starts_with("cannot write") && reason.contains("measured.json"), "{reason}");
    }
}
