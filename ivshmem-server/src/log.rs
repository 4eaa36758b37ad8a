//! The log on stderr, which never keeps the server from its work.
//!
//! Who reads stderr may stop reading, go away, or have no room on its disk. So a thread of its own writes, and whoever has
//! something to say only puts it in a queue. What cannot be written is lost, is counted, and is told of once something can
//! be written again.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait at most; some 100 KiB.
const MOST_LINES: usize = 1024;

/// How long the end of the process waits for what was said last.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes lines, and returns at once.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// Whether one that is no longer in the queue is being written.
    is_writing: bool,
    /// How many were lost since this was last told.
    lost: u64,
}

impl Log {
    /// Starts the thread that writes. It is never joined: it may be stuck in a write for ever.
    pub(crate) fn start(to: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("log".into()).spawn(move || writer.write_for_ever(to))?;
        Ok(Self(shared))
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

    fn push(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.lines.len() < MOST_LINES {
            queue.lines.push_back(line.to_vec());
            self.changed.notify_all();
        } else {
            queue.lost += 1;
        }
    }

    fn next_line(&self) -> Vec<u8> {
        let mut queue = self.queue();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.is_writing = true;
                return line;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn write_for_ever(&self, mut to: impl Write) {
        loop {
            let line = self.next_line();
            let is_written = to.write_all(&line).is_ok();
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
                warn!(lost, "lines of this log were lost: stderr was full, or nobody read it");
            }
            self.queue().is_writing = false;
            self.changed.notify_all();
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Log;

    fn make_writer(&'a self) -> &'a Log {
        self
    }
}

/// Never fails. The logger hands over one whole line at a time.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
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
        let say = |number: usize| (&log).write_all(format!("{number}\n").as_bytes()).unwrap();
        say(0);
        // The first line is with the writer, which is held; so all that follow are in the queue, or lost.
        while !log.0.queue().is_writing {
            thread::yield_now();
        }
        (1..=2 * MOST_LINES).for_each(say);
        assert_eq!(log.0.queue().lost, MOST_LINES as u64);
        for number in 0..=MOST_LINES {
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
        (&log).write_all(b"lost\n").unwrap();
        log.flush();
        assert_eq!(log.0.queue().lost, 1);
        open.send(true).unwrap();
        (&log).write_all(b"kept\n").unwrap();
        assert_eq!(seen.recv().unwrap(), b"kept\n");
    }
}
