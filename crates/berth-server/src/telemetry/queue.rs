//! A line's way to standard error: through a queue that a thread empties. Who logs never waits for who reads.
//!
//! The thread and the channel are `tracing_appender`'s. Here is what it does not have: a bound in bytes, since what a
//! client sends may be in a line, which may thus be as long as a request; and a count of the lines that could not be
//! written.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use prometheus_client::metrics::counter::Counter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that wait at most. A review's line has some 500 bytes and a denial's up to a few KiB, so that with
/// [`LEAST`] these are 8,192 lines: at 5,000 reviews a second, the reader may stop for 1.6 s.
const MAX_BYTES: usize = 8 << 20;
/// A line counts for so many bytes at least. It bounds the lines, and so the channel's slots, which are allocated at
/// once: 8,193 of 32 bytes are 256 KiB.
const LEAST: usize = 1 << 10;
/// A slot for each line, and one that is always free for the guard's message: where that finds none, `tracing_appender`
/// prints to standard output, which may be blocked, too.
const SLOTS: usize = MAX_BYTES / LEAST + 1;

/// Where events are written to: the queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    channel: NonBlocking,
    room: Arc<Room>,
}

/// The bytes that wait, and the lines for which there was no room or no reader.
#[derive(Debug)]
struct Room {
    waiting: AtomicUsize,
    dropped: Counter,
}

/// The far end, on the thread.
#[derive(Debug)]
struct Output<W> {
    out: W,
    room: Arc<Room>,
    /// A line was written in part: the next begins on a line of its own.
    torn: bool,
}

impl Queue {
    /// A queue before `out`. Dropping the guard waits until all is written, and no longer than a second.
    pub(super) fn new(out: impl Write + Send + 'static, dropped: Counter) -> (Self, WorkerGuard) {
        let room = Arc::new(Room {
            waiting: AtomicUsize::new(0),
            dropped,
        });
        let output = Output {
            out,
            room: Arc::clone(&room),
            torn: false,
        };
        let (channel, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(SLOTS)
            .thread_name("log")
            .finish(output);
        (Self { channel, room }, guard)
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Queue {
    /// Takes a whole line, or drops it. Never waits, and never fails: `tracing_subscriber` would print the error to
    /// standard error.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.room.take(line) {
            self.channel.write_all(line)?;
        } else {
            self.room.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Room {
    fn take(&self, line: &[u8]) -> bool {
        let size = size(line);
        let before = self.waiting.fetch_add(size, Ordering::AcqRel);
        let fits = before + size <= MAX_BYTES;
        if !fits {
            self.waiting.fetch_sub(size, Ordering::AcqRel);
        }
        fits
    }

    fn free(&self, line: &[u8]) {
        self.waiting.fetch_sub(size(line), Ordering::AcqRel);
    }
}

fn size(line: &[u8]) -> usize {
    line.len().max(LEAST)
}

impl<W: Write> Write for Output<W> {
    /// Never fails, either: a line that cannot be written is counted, and the next one is tried.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.write_whole(line).is_err() {
            self.room.dropped.inc();
        }
        self.room.free(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Output<W> {
    /// A disk that fills up takes the beginning of a line.
    fn write_whole(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.out.write_all(b"\n")?;
            self.torn = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    self.torn = !rest.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, Sender, channel},
        time::{Duration, Instant},
    };

    use super::*;

    /// Longer than anything takes here, on a machine that is busy.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A writer that blocks on each line until it is told what comes of it; when nobody can tell any more, it writes.
    struct Blocked {
        reached: Sender<usize>,
        result: Receiver<io::Result<()>>,
    }

    impl Write for Blocked {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // the test may have ended
            let _ = self.reached.send(line.len());
            self.result.recv().unwrap_or(Ok(()))?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Test {
        queue: Queue,
        guard: WorkerGuard,
        dropped: Counter,
        reached: Receiver<usize>,
        result: Sender<io::Result<()>>,
    }

    impl Test {
        /// A queue whose thread is blocked in writing a first line.
        fn blocked() -> Self {
            let ((reaching, reached), (result, told)) = (channel(), channel());
            let out = Blocked {
                reached: reaching,
                result: told,
            };
            let dropped = Counter::default();
            let (mut queue, guard) = Queue::new(out, dropped.clone());
            queue.write_all(b"first\n").expect("never fails");
            reached.recv_timeout(PATIENCE).expect("written");
            Self {
                queue,
                guard,
                dropped,
                reached,
                result,
            }
        }

        fn write(&mut self, lines: usize, length: usize) {
            let line = vec![b'x'; length];
            for _ in 0..lines {
                self.queue.write_all(&line).expect("never fails");
            }
        }
    }

    #[test]
    fn a_queue_that_nobody_empties_drops_lines_and_counts_them() {
        let mut test = Test::blocked();
        test.write(SLOTS - 2, LEAST);
        assert_eq!(test.dropped.get(), 0);
        test.write(3, 10);
        assert_eq!(test.dropped.get(), 3);
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let mut test = Test::blocked();
        test.write(1, MAX_BYTES);
        assert_eq!(test.dropped.get(), 1, "the first line takes room, too");
        test.write(4, MAX_BYTES / 4);
        assert_eq!(test.dropped.get(), 2);
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_the_next_is_tried() {
        let mut test = Test::blocked();
        test.write(1, 10);
        let gone = Err(io::ErrorKind::BrokenPipe.into());
        test.result.send(gone).expect("it waits");
        test.reached.recv_timeout(PATIENCE).expect("tried");
        assert_eq!(test.dropped.get(), 1);
    }

    #[test]
    fn a_line_after_one_that_was_cut_off_begins_anew() {
        /// Takes so many bytes, and then as many as it is told.
        struct Disk {
            free: usize,
            holds: Vec<u8>,
        }
        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let some = bytes.len().min(self.free);
                if some == 0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.free -= some;
                self.holds.extend_from_slice(&bytes[..some]);
                Ok(some)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let room = Arc::new(Room {
            waiting: AtomicUsize::new(1 << 20),
            dropped: Counter::default(),
        });
        let mut output = Output {
            out: Disk {
                free: 8,
                holds: Vec::new(),
            },
            room: Arc::clone(&room),
            torn: false,
        };
        for (line, freed) in [
            ("one\n", 0),
            ("two and more\n", 0),
            ("lost\n", 100),
            ("next\n", 0),
        ] {
            output.write_all(line.as_bytes()).expect("never fails");
            output.out.free += freed;
        }
        assert_eq!(output.out.holds, b"one\ntwo \nnext\n");
        assert_eq!(room.dropped.get(), 2);
    }

    #[test]
    fn a_line_that_was_written_makes_room_for_another() {
        let mut test = Test::blocked();
        drop(test.result);
        let line = [b'x'; 10];
        for _ in 0..2 * SLOTS {
            test.queue.write_all(&line).expect("never fails");
            test.reached.recv_timeout(PATIENCE).expect("written");
        }
        assert_eq!(test.dropped.get(), 0);
    }

    #[test]
    fn what_waits_is_written_before_the_end() {
        let mut test = Test::blocked();
        test.write(100, 10);
        drop(test.result);
        drop(test.guard);
        assert_eq!(test.reached.try_iter().count(), 100);
        assert_eq!(test.dropped.get(), 0);
    }

    #[test]
    fn the_end_waits_for_a_full_queue_no_longer_than_a_second() {
        let mut test = Test::blocked();
        test.write(SLOTS, 10);
        let started = Instant::now();
        drop(test.guard);
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(test.dropped.get(), 2);
    }
}
