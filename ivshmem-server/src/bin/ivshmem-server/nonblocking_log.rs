//! A log that never blocks the server.
//!
//! The reader of stderr may stop reading or exit, and a disk may be full. So a separate thread writes, and the others only
//! append to a queue. Lines that cannot be written are dropped and counted. The count is logged when writing works again.
//!
//! tracing-appender cannot replace this: it neither counts failed writes nor changes the destination after the queued lines,
//! and its writers do not know the level of a line, which syslog needs.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Level, Metadata, warn};
use tracing_subscriber::fmt::MakeWriter;

/// Maximum number of queued lines, about 100 KiB. One report of lost lines may be queued in addition.
const MAX_LINES: usize = 1024;

/// How long the end of the process waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes one line, including its line feed, to a destination of the log.
pub(crate) type Sink = Box<dyn FnMut(Level, &[u8]) -> io::Result<()> + Send>;

/// Queues lines without blocking.
#[derive(Clone)]
pub(crate) struct Log {
    lines: Sender<LogLine>,
    shared: Arc<Shared>,
}

struct LogLine {
    level: Level,
    text: Vec<u8>,
    /// Whether it is the report of lost lines.
    is_report: bool,
}

#[derive(Default)]
struct Shared {
    /// Lines that are queued or being written.
    pending: AtomicUsize,
    /// Lines lost since the last report.
    lost: AtomicUsize,
    /// Replaces the sink before the next line.
    next_sink: Mutex<Option<Sink>>,
}

impl Shared {
    fn next_sink(&self) -> MutexGuard<'_, Option<Sink>> {
        self.next_sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Starts the writing thread. It is never joined, because a write may block forever.
    pub(crate) fn start(sink: Sink) -> io::Result<Self> {
        let (log, queue) = Self::new();
        let shared = Arc::clone(&log.shared);
        thread::Builder::new().name("log".into()).spawn(move || write_lines(&queue, sink, &shared))?;
        Ok(log)
    }

    fn new() -> (Self, Receiver<LogLine>) {
        let (lines, queue) = channel();
        (Self { lines, shared: Arc::default() }, queue)
    }

    /// Writes later lines to the new sink. The queued lines go to the old sink, except those that wait longer than the time
    /// limit of a flush: these go to the new sink, because the old one may be blocked.
    pub(crate) fn redirect(&self, sink: Sink) {
        self.flush();
        *self.shared.next_sink() = Some(sink);
    }

    /// Waits until all lines are written, with a time limit, because the log may be blocked.
    pub(crate) fn flush(&self) {
        let start = Instant::now();
        while self.shared.pending.load(Relaxed) > 0 && start.elapsed() < FLUSH_TIMEOUT {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn push(&self, level: Level, line: &[u8], is_report: bool) {
        let Shared { pending, lost, .. } = &*self.shared;
        // One line is being written. A report has a reserved place, because it is made while the queue is full.
        if pending.fetch_add(1, Relaxed) <= MAX_LINES || is_report {
            // The receiver lives as long as the process.
            let _ = self.lines.send(LogLine { level, text: escape_line_breaks(line), is_report });
        } else {
            pending.fetch_sub(1, Relaxed);
            lost.fetch_add(1, Relaxed);
        }
    }
}

fn write_lines(queue: &Receiver<LogLine>, mut sink: Sink, shared: &Shared) {
    let Shared { pending, lost, .. } = shared;
    // The number in the queued report; 0 without one. A second report would take the place of other lines.
    let mut reported = 0;
    for LogLine { level, text, is_report } in queue {
        if let Some(next) = shared.next_sink().take() {
            sink = next;
        }
        let is_written = sink(level, &text).is_ok();
        if !is_written {
            // The next report has the number of a failed one.
            lost.fetch_add(if is_report { reported } else { 1 }, Relaxed);
        }
        if is_report {
            reported = 0;
        }
        if is_written && reported == 0 {
            reported = lost.swap(0, Relaxed);
            if reported > 0 {
                // Through the queue, for the same format as other lines.
                warn!(lost = reported, "lines of this log were lost: its destination was full or not read");
            }
        }
        // After the report is queued, so that a flush waits for it.
        pending.fetch_sub(1, Relaxed);
    }
}

/// The socket of syslogd and systemd-journald.
const SYSLOG_SOCKET: &str = "/dev/log";

/// The sink of a server in the background: the system log, one datagram per line
/// ([syslog(3)](https://man7.org/linux/man-pages/man3/syslog.3.html)).
pub(crate) fn syslog(level: Level, line: &[u8]) -> io::Result<()> {
    // A new socket for each line, because syslogd may restart.
    let socket = UnixDatagram::unbound()?;
    socket.send_to(&syslog_message(level, std::process::id(), line), SYSLOG_SOCKET).map(drop)
}

/// A message with the facility daemon (3) and the severities of syslog(3).
fn syslog_message(level: Level, pid: u32, line: &[u8]) -> Vec<u8> {
    let severity = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    };
    let mut message = format!("<{}>ivshmem-server[{pid}]: ", 3 << 3 | severity).into_bytes();
    message.extend_from_slice(line.trim_ascii_end());
    message
}

/// Escapes line breaks within an entry, because a path may contain one.
fn escape_line_breaks(line: &[u8]) -> Vec<u8> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let mut escaped = Vec::with_capacity(line.len());
    for &byte in text {
        match byte {
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            _ => escaped.push(byte),
        }
    }
    escaped.push(b'\n');
    escaped
}

/// Writer of one line with its level.
pub(crate) struct LineWriter<'a> {
    log: &'a Log,
    level: Level,
    is_report: bool,
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { log: self, level: Level::INFO, is_report: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        // The report of lost lines is the only event of this module.
        let is_report = metadata.module_path() == Some(module_path!());
        LineWriter { log: self, level: *metadata.level(), is_report }
    }
}

/// Never fails. The logger writes one complete line at a time.
impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log.push(self.level, line, self.is_report);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A sink that accepts or fails each line as the test decides, and the lines that it accepted.
    fn test_sink(accept: Receiver<bool>) -> (Sink, Receiver<Vec<u8>>) {
        let (lines, accepted) = channel();
        let sink = move |_: Level, line: &[u8]| match accept.recv() {
            Ok(true) => lines.send(line.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe.into()),
            Ok(false) => Err(io::ErrorKind::StorageFull.into()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        };
        (Box::new(sink), accepted)
    }

    fn start_log() -> (Log, Sender<bool>, Receiver<Vec<u8>>) {
        let (accept, accepted) = channel();
        let (sink, lines) = test_sink(accepted);
        (Log::start(sink).unwrap(), accept, lines)
    }

    fn lost(log: &Log) -> usize {
        log.shared.lost.load(Relaxed)
    }

    #[test]
    fn a_blocked_sink_drops_and_counts_lines_without_blocking() {
        let (log, accept, lines) = start_log();
        let write = |number: usize| log.make_writer().write_all(format!("{number}\n").as_bytes()).unwrap();
        // The sink blocks on the first line. The next ones are queued or lost.
        (0..=2 * MAX_LINES).for_each(write);
        assert_eq!(lost(&log), MAX_LINES);
        for number in 0..=MAX_LINES {
            accept.send(true).unwrap();
            assert_eq!(lines.recv().unwrap(), format!("{number}\n").into_bytes(), "the oldest lines are kept in order");
        }
        log.flush();
        assert_eq!(lost(&log), 0, "the loss was reported");
    }

    /// A log whose thread formats reports, as the logger of the program does.
    fn start_log_with_reports() -> (Log, Sender<bool>, Receiver<Vec<u8>>) {
        let (accept, accepted) = channel();
        let (sink, lines) = test_sink(accepted);
        let (log, queue) = Log::new();
        let shared = Arc::clone(&log.shared);
        let logger = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        thread::spawn(move || tracing::subscriber::with_default(logger, || write_lines(&queue, sink, &shared)));
        (log, accept, lines)
    }

    #[test]
    fn a_full_queue_reports_the_exact_number_of_lost_lines() {
        const LOST: usize = 7;
        let (log, accept, lines) = start_log_with_reports();
        let write = || log.make_writer().write_all(b"line\n").unwrap();
        (0..=MAX_LINES + LOST).for_each(|_| write());
        accept.send(true).unwrap();
        assert_eq!(lines.recv().unwrap(), b"line\n");
        // The report is queued: one more line is lost, and only the next report has it.
        while lost(&log) > 0 {
            thread::yield_now();
        }
        write();
        (0..MAX_LINES).for_each(|_| accept.send(true).unwrap());
        assert!(lines.iter().take(MAX_LINES).all(|line| line == b"line\n"));
        // The number of a report that cannot be written is in the next one.
        accept.send(false).unwrap();
        log.flush();
        write();
        (0..2).for_each(|_| accept.send(true).unwrap());
        assert_eq!(lines.recv().unwrap(), b"line\n");
        let report = String::from_utf8(lines.recv().unwrap()).unwrap();
        assert!(report.contains("lines of this log were lost"), "{report}");
        assert!(report.ends_with(&format!("lost={}\n", LOST + 1)), "{report}");
        log.flush();
        assert_eq!(lost(&log), 0);
    }

    #[test]
    fn counts_a_failed_line_and_tries_the_next() {
        let (log, accept, lines) = start_log();
        accept.send(false).unwrap();
        log.make_writer().write_all(b"lost\n").unwrap();
        log.flush();
        assert_eq!(lost(&log), 1);
        accept.send(true).unwrap();
        log.make_writer().write_all(b"kept\n").unwrap();
        assert_eq!(lines.recv().unwrap(), b"kept\n");
    }

    #[test]
    fn escapes_line_breaks_within_a_line() {
        assert_eq!(escape_line_breaks(b"listening on a\nb\r\n"), b"listening on a\\nb\\r\n");
        assert_eq!(escape_line_breaks(b"plain\n"), b"plain\n");
    }

    #[test]
    fn redirects_later_lines() {
        let (log, accept_old, before) = start_log();
        let (accept_new, accepted) = channel();
        let (sink, after) = test_sink(accepted);
        accept_old.send(true).unwrap();
        log.make_writer().write_all(b"before\n").unwrap();
        log.redirect(sink);
        accept_new.send(true).unwrap();
        log.make_writer().write_all(b"after\n").unwrap();
        assert_eq!((before.recv().unwrap(), after.recv().unwrap()), (b"before\n".to_vec(), b"after\n".to_vec()));
    }

    #[test]
    fn a_redirect_of_a_blocked_log_moves_the_queued_lines() {
        let (log, accept_old, before) = start_log();
        let (accept_new, accepted) = channel();
        let (sink, after) = test_sink(accepted);
        log.make_writer().write_all(b"blocked\n").unwrap();
        log.make_writer().write_all(b"queued\n").unwrap();
        log.redirect(sink);
        accept_old.send(true).unwrap();
        accept_new.send(true).unwrap();
        assert_eq!((before.recv().unwrap(), after.recv().unwrap()), (b"blocked\n".to_vec(), b"queued\n".to_vec()));
    }

    #[test]
    fn syslog_lines_have_facility_severity_and_process() {
        assert_eq!(syslog_message(Level::WARN, 7, b"text\n"), b"<28>ivshmem-server[7]: text");
        assert_eq!(syslog_message(Level::DEBUG, 7, b"text\n"), b"<31>ivshmem-server[7]: text");
    }
}
