//! The log, which never keeps the server from its work.
//!
//! The reader of stderr may stop reading or go away, and a disk may be full. So a thread of its own writes, and the others
//! only append to a queue. Lines that cannot be written are lost and counted, and the count is logged once something can
//! be written again.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata, warn};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait at most; some 100 KiB.
const MAX_LINES: usize = 1024;

/// How long the end of the process waits for what was said last.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes lines, and returns at once.
#[derive(Clone)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Where lines are written.
pub(crate) trait Sink: Send {
    /// Writes one line, which ends with a line feed.
    fn write_line(&mut self, level: Level, line: &[u8]) -> io::Result<()>;
}

impl<W: Write + Send> Sink for W {
    fn write_line(&mut self, _: Level, line: &[u8]) -> io::Result<()> {
        self.write_all(line)
    }
}

/// Two sinks. A line counts as written if the second one takes it.
pub(crate) struct Both<A, B>(pub(crate) A, pub(crate) B);

impl<A: Sink, B: Sink> Sink for Both<A, B> {
    fn write_line(&mut self, level: Level, line: &[u8]) -> io::Result<()> {
        let _ = self.0.write_line(level, line);
        self.1.write_line(level, line)
    }
}

/// The system's log, for a server in the background: one datagram a line
/// ([syslog(3)](https://man7.org/linux/man-pages/man3/syslog.3.html)).
pub(crate) struct Syslog;

/// Where syslogd and systemd-journald listen.
pub(crate) const SYSLOG_SOCKET: &str = "/dev/log";

impl Sink for Syslog {
    fn write_line(&mut self, level: Level, line: &[u8]) -> io::Result<()> {
        // A socket for each line: the system's log may be restarted.
        let socket = UnixDatagram::unbound()?;
        socket.send_to(&syslog_message(level, std::process::id(), line), SYSLOG_SOCKET).map(drop)
    }
}

/// The facility is daemon (3), and the severities are those of syslog(3).
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
    /// Replaces the sink before the next line is written.
    next_sink: Option<Box<dyn Sink>>,
    /// Whether one that is no longer in the queue is being written.
    is_writing: bool,
    /// How many were lost since this was last told.
    lost: u64,
}

impl Log {
    /// Starts the thread that writes. It is never joined: it may be stuck in a write for ever.
    pub(crate) fn start(to: impl Sink + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("log".into()).spawn(move || writer.write_for_ever(Box::new(to)))?;
        Ok(Self(shared))
    }

    /// Writes the lines up to here where they went before, and those that follow elsewhere.
    pub(crate) fn redirect(&self, to: impl Sink + 'static) {
        self.flush();
        self.0.queue().next_sink = Some(Box::new(to));
    }

    /// Waits until all is written, but not for long.
    pub(crate) fn flush(&self) {
        let pending = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        // Whether it was in time, nobody could be told.
        let _ = self.0.changed.wait_timeout_while(self.0.queue(), PATIENCE, pending);
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, level: Level, line: &[u8]) {
        let line = one_line(line);
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

    fn write_for_ever(&self, mut to: Box<dyn Sink>) {
        loop {
            let (level, line) = self.next_line();
            if let Some(next) = self.queue().next_sink.take() {
                to = next;
            }
            let is_written = to.write_line(level, &line).is_ok();
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
                // This goes through the queue again, in the format that the others have.
                warn!(lost, "lines of this log were lost: its destination was full or not read");
            }
            self.queue().is_writing = false;
            self.changed.notify_all();
        }
    }
}

/// Replaces line breaks within a line: a path may contain one, and a reader takes each line for an entry.
fn one_line(line: &[u8]) -> Vec<u8> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let mut whole = Vec::with_capacity(line.len());
    for &byte in text {
        match byte {
            b'\n' => whole.extend_from_slice(b"\\n"),
            b'\r' => whole.extend_from_slice(b"\\r"),
            _ => whole.push(byte),
        }
    }
    whole.push(b'\n');
    whole
}

/// Takes one line of a level.
pub(crate) struct Entry<'a> {
    log: &'a Log,
    level: Level,
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Entry<'a>;

    fn make_writer(&'a self) -> Entry<'a> {
        Entry { log: self, level: Level::INFO }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Entry<'a> {
        Entry { log: self, level: *metadata.level() }
    }
}

/// Never fails. The logger hands over one whole line at a time.
impl Write for Entry<'_> {
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

    /// Somewhere to write that takes a line only when it is told whether to.
    struct Gate {
        may: Receiver<bool>,
        taken: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            match self.may.recv() {
                Ok(true) => self.taken.send(line.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?,
                Ok(false) => return Err(io::ErrorKind::StorageFull.into()),
                Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Log, Sender<bool>, Receiver<Vec<u8>>) {
        let (open, may) = channel();
        let (taken, seen) = channel();
        (Log::start(Gate { may, taken }).unwrap(), open, seen)
    }

    #[test]
    fn who_writes_is_not_kept_waiting_and_what_is_too_much_is_counted() {
        let (log, open, seen) = gated();
        let say = |number: usize| log.make_writer().write_all(format!("{number}\n").as_bytes()).unwrap();
        say(0);
        // The first line is with the writer, which is held; so all that follow are in the queue, or lost.
        while !log.0.queue().is_writing {
            thread::yield_now();
        }
        (1..=2 * MAX_LINES).for_each(say);
        assert_eq!(log.0.queue().lost, MAX_LINES as u64);
        for number in 0..=MAX_LINES {
            open.send(true).unwrap();
            assert_eq!(seen.recv().unwrap(), format!("{number}\n").into_bytes(), "the oldest are kept, in order");
        }
        log.flush();
        assert_eq!(log.0.queue().lost, 0, "they were told of");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_the_next_one_is_tried() {
        let (log, open, seen) = gated();
        open.send(false).unwrap();
        log.make_writer().write_all(b"lost\n").unwrap();
        log.flush();
        assert_eq!(log.0.queue().lost, 1);
        open.send(true).unwrap();
        log.make_writer().write_all(b"kept\n").unwrap();
        assert_eq!(seen.recv().unwrap(), b"kept\n");
    }

    #[test]
    fn a_line_break_in_a_path_does_not_split_a_line() {
        assert_eq!(one_line(b"listening on a\nb\r\n"), b"listening on a\\nb\\r\n");
        assert_eq!(one_line(b"plain\n"), b"plain\n");
    }

    #[test]
    fn lines_after_a_redirection_go_elsewhere() {
        let (log, open, before) = gated();
        let (next_open, may) = channel();
        let (taken, after) = channel();
        open.send(true).unwrap();
        log.make_writer().write_all(b"before\n").unwrap();
        log.redirect(Gate { may, taken });
        next_open.send(true).unwrap();
        log.make_writer().write_all(b"after\n").unwrap();
        assert_eq!((before.recv().unwrap(), after.recv().unwrap()), (b"before\n".to_vec(), b"after\n".to_vec()));
    }

    #[test]
    fn syslog_lines_have_facility_severity_and_process() {
        assert_eq!(syslog_message(Level::WARN, 7, b"text\n"), b"<28>ivshmem-server[7]: text");
        assert_eq!(syslog_message(Level::DEBUG, 7, b"text\n"), b"<31>ivshmem-server[7]: text");
    }
}
