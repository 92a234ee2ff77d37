//! A line's way to standard error: through a queue that a thread empties. Who logs never waits for who reads.
//!
//! The thread and the channel are `tracing_appender`'s. Here is what it does not have: a bound in bytes, since what a
//! client sends may be in a line, which may thus be as long as a request; a count of the lines that could not be
//! written; and a pause, in which lines gather. The first line after a pause is written at once. To wake the thread for
//! each line would cost a review a system call, and the processor while it waits for its answer to be sent.

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
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
/// So long the thread rests after it has emptied the queue, and so late a line may be. The queue has room for 160,000
/// lines a second then.
const PAUSE: Duration = Duration::from_millis(50);
/// Lines of so many bytes are written at a time.
const TOGETHER: usize = 32 << 10;

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
    /// Whole lines, which are written next.
    lines: Vec<u8>,
    /// The room that they take until then.
    taken: usize,
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
            lines: Vec::with_capacity(TOGETHER),
            taken: 0,
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

    fn free(&self, size: usize) {
        self.waiting.fetch_sub(size, Ordering::AcqRel);
    }
}

fn size(line: &[u8]) -> usize {
    line.len().max(LEAST)
}

impl<W: Write> Write for Output<W> {
    /// Never fails, either.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.len() + line.len() > TOGETHER {
            self.write_lines();
        }
        self.lines.extend_from_slice(line);
        self.taken += size(line);
        Ok(line.len())
    }

    /// The thread comes here when the queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        self.write_lines();
        thread::sleep(PAUSE);
        Ok(())
    }
}

impl<W: Write> Output<W> {
    /// Writes what has gathered. A line that cannot be written is counted, and the next one is tried. A disk that fills up
    /// takes the beginning of a line.
    fn write_lines(&mut self) {
        let mut lines = mem::take(&mut self.lines);
        let (mut rest, mut within) = (&*lines, false);
        while !rest.is_empty() {
            let done = if let Ok(written) = self.write_some(rest) {
                within = !ends_line(&rest[..written]);
                written
            } else {
                self.torn |= within;
                within = false;
                self.room.dropped.inc();
                let end = rest.iter().position(|byte| *byte == b'\n');
                end.map_or(rest.len(), |end| end + 1)
            };
            rest = &rest[done..];
        }
        lines.clear();
        // a long one was there
        lines.shrink_to(TOGETHER);
        self.lines = lines;
        self.room.free(mem::take(&mut self.taken));
    }

    fn write_some(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.torn {
            self.out.write_all(b"\n")?;
            self.torn = false;
        }
        loop {
            match self.out.write(lines) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return written,
            }
        }
    }
}

fn ends_line(bytes: &[u8]) -> bool {
    bytes.last() == Some(&b'\n')
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
            let mut line = vec![b'x'; length];
            line[length - 1] = b'\n';
            for _ in 0..lines {
                self.queue.write_all(&line).expect("never fails");
            }
        }

        /// Waits until so many bytes more are written, and says in how many writes.
        fn written(&self, bytes: usize) -> usize {
            let (mut rest, mut writes) = (bytes, 0);
            while rest > 0 {
                rest -= self.reached.recv_timeout(PATIENCE).expect("written");
                writes += 1;
            }
            writes
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
            lines: Vec::new(),
            taken: 0,
            torn: false,
        };
        for (line, freed) in [
            ("one\n", 0),
            ("two and more\n", 0),
            ("lost\n", 100),
            ("next\n", 0),
        ] {
            output.write_all(line.as_bytes()).expect("never fails");
            output.write_lines();
            output.out.free += freed;
        }
        assert_eq!(output.out.holds, b"one\ntwo \nnext\n");
        assert_eq!(room.dropped.get(), 2);
    }

    #[test]
    fn a_line_that_was_written_makes_room_for_another() {
        let mut test = Test::blocked();
        test.result = channel().0;
        for _ in 0..4 {
            test.write(SLOTS / 2, 10);
            test.written(SLOTS / 2 * 10);
        }
        assert_eq!(test.dropped.get(), 0);
    }

    #[test]
    fn lines_that_come_in_a_pause_are_written_together() {
        let mut test = Test::blocked();
        test.write(100, 10);
        test.result.send(Ok(())).expect("it waits");
        assert_eq!(test.written(1_000), 1);
    }

    #[test]
    fn an_error_within_lines_that_are_written_together_costs_one() {
        let mut test = Test::blocked();
        test.write(3, 10);
        for outcome in [Ok(()), Err(io::ErrorKind::StorageFull.into()), Ok(())] {
            test.result.send(outcome).expect("it waits");
        }
        assert_eq!(test.reached.recv_timeout(PATIENCE), Ok(30));
        assert_eq!(test.reached.recv_timeout(PATIENCE), Ok(20));
        assert_eq!(test.dropped.get(), 1);
    }

    #[test]
    fn what_waits_is_written_before_the_end() {
        let mut test = Test::blocked();
        test.write(100, 10);
        drop(test.result);
        drop(test.guard);
        assert_eq!(test.reached.try_iter().sum::<usize>(), 1_000);
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
