//! A log that never blocks the server.
//!
//! The reader of stderr may stop reading or exit, and a disk may be full. So a separate thread writes, and the others only
//! append to a queue. Lines that cannot be written are dropped and counted. The count is logged when writing works again.
//!
//! tracing-appender cannot replace this: it neither counts failed writes nor changes the destination after the queued lines.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata, warn};
use tracing_subscriber::fmt::MakeWriter;

/// Maximum number of queued lines, about 100 KiB.
const MAX_LINES: usize = 1024;

/// How long the end of the process waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Queues lines without blocking.
#[derive(Clone)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// A destination of the log.
pub(crate) trait Sink: Send {
    /// Writes one line including its line feed.
    fn write_line(&mut self, level: Level, line: &[u8]) -> io::Result<()>;
}

impl<W: Write + Send> Sink for W {
    fn write_line(&mut self, _: Level, line: &[u8]) -> io::Result<()> {
        self.write_all(line)
    }
}

/// Writes to two sinks. A line counts as written if the second one accepts it.
pub(crate) struct Tee<A, B>(pub(crate) A, pub(crate) B);

impl<A: Sink, B: Sink> Sink for Tee<A, B> {
    fn write_line(&mut self, level: Level, line: &[u8]) -> io::Result<()> {
        let _ = self.0.write_line(level, line);
        self.1.write_line(level, line)
    }
}

/// The system log, for a server in the background: one datagram per line
/// ([syslog(3)](https://man7.org/linux/man-pages/man3/syslog.3.html)).
pub(crate) struct Syslog;

/// The socket of syslogd and systemd-journald.
pub(crate) const SYSLOG_SOCKET: &str = "/dev/log";

impl Sink for Syslog {
    fn write_line(&mut self, level: Level, line: &[u8]) -> io::Result<()> {
        // A new socket for each line, because syslogd may restart.
        let socket = UnixDatagram::unbound()?;
        socket.send_to(&syslog_message(level, std::process::id(), line), SYSLOG_SOCKET).map(drop)
    }
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

#[derive(Default)]
struct Queue {
    lines: VecDeque<(Level, Vec<u8>)>,
    /// Replaces the sink before the next line.
    next_sink: Option<Box<dyn Sink>>,
    /// Whether a line outside the queue is being written.
    is_writing: bool,
    /// Lines lost since the last report.
    lost: u64,
}

impl Log {
    /// Starts the writing thread. It is never joined, because a write may block forever.
    pub(crate) fn start(sink: impl Sink + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("log".into()).spawn(move || writer.write_lines(Box::new(sink)))?;
        Ok(Self(shared))
    }

    /// Writes the queued lines to the old sink, and later ones to the new sink.
    pub(crate) fn redirect(&self, sink: impl Sink + 'static) {
        self.flush();
        self.0.queue().next_sink = Some(Box::new(sink));
    }

    /// Waits until all lines are written, with a time limit.
    pub(crate) fn flush(&self) {
        let pending = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        // A timeout cannot be reported: the log is blocked.
        let _ = self.0.changed.wait_timeout_while(self.0.queue(), FLUSH_TIMEOUT, pending);
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, level: Level, line: &[u8]) {
        let line = escape_line_breaks(line);
        let mut queue = self.queue();
        if queue.lines.len() < MAX_LINES {
            queue.lines.push_back((level, line));
            self.changed.notify_all();
        } else {
            queue.lost += 1;
        }
    }

    fn next_line(&self) -> (Level, Vec<u8>) {
        let mut queue = self.queue();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.is_writing = true;
                return line;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn write_lines(&self, mut sink: Box<dyn Sink>) {
        loop {
            let (level, line) = self.next_line();
            if let Some(next) = self.queue().next_sink.take() {
                sink = next;
            }
            let is_written = sink.write_line(level, &line).is_ok();
            let lost = {
                let mut queue = self.queue();
                if is_written {
                    std::mem::take(&mut queue.lost)
                } else {
                    queue.lost += 1;
                    0
                }
            };
            if lost > 0 {
                // Through the queue, for the same format as other lines.
                warn!(lost, "lines of this log were lost: its destination was full or not read");
            }
            self.queue().is_writing = false;
            self.changed.notify_all();
        }
    }
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
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { log: self, level: Level::INFO }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        LineWriter { log: self, level: *metadata.level() }
    }
}

/// Never fails. The logger writes one complete line at a time.
impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log.0.push(self.level, line);
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

    /// A sink that accepts or fails each line as the test decides.
    struct TestSink {
        accept: Receiver<bool>,
        lines: Sender<Vec<u8>>,
    }

    impl Write for TestSink {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            match self.accept.recv() {
                Ok(true) => self.lines.send(line.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?,
                Ok(false) => return Err(io::ErrorKind::StorageFull.into()),
                Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start_log() -> (Log, Sender<bool>, Receiver<Vec<u8>>) {
        let (accept_tx, accept) = channel();
        let (lines, lines_rx) = channel();
        (Log::start(TestSink { accept, lines }).unwrap(), accept_tx, lines_rx)
    }

    #[test]
    fn a_blocked_sink_drops_and_counts_lines_without_blocking() {
        let (log, accept, lines) = start_log();
        let write = |number: usize| log.make_writer().write_all(format!("{number}\n").as_bytes()).unwrap();
        write(0);
        // The sink blocks on the first line. The next ones are queued or lost.
        while !log.0.queue().is_writing {
            thread::yield_now();
        }
        (1..=2 * MAX_LINES).for_each(write);
        assert_eq!(log.0.queue().lost, MAX_LINES as u64);
        for number in 0..=MAX_LINES {
            accept.send(true).unwrap();
            assert_eq!(lines.recv().unwrap(), format!("{number}\n").into_bytes(), "the oldest lines are kept in order");
        }
        log.flush();
        assert_eq!(log.0.queue().lost, 0, "the loss was reported");
    }

    #[test]
    fn counts_a_failed_line_and_tries_the_next() {
        let (log, accept, lines) = start_log();
        accept.send(false).unwrap();
        log.make_writer().write_all(b"lost\n").unwrap();
        log.flush();
        assert_eq!(log.0.queue().lost, 1);
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
        let (accept_new, accept) = channel();
        let (lines, after) = channel();
        accept_old.send(true).unwrap();
        log.make_writer().write_all(b"before\n").unwrap();
        log.redirect(TestSink { accept, lines });
        accept_new.send(true).unwrap();
        log.make_writer().write_all(b"after\n").unwrap();
        assert_eq!((before.recv().unwrap(), after.recv().unwrap()), (b"before\n".to_vec(), b"after\n".to_vec()));
    }

    #[test]
    fn syslog_lines_have_facility_severity_and_process() {
        assert_eq!(syslog_message(Level::WARN, 7, b"text\n"), b"<28>ivshmem-server[7]: text");
        assert_eq!(syslog_message(Level::DEBUG, 7, b"text\n"), b"<31>ivshmem-server[7]: text");
    }
}
