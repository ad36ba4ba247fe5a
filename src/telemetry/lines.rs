//! Output that never blocks and never fails: a thread writes the lines, and what it cannot write is counted.
//!
//! A full pipe blocks the thread, not the callers. Their lines wait in memory up to a limit and are then dropped.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;

/// Most bytes of lines that wait for the thread; 5,000 lines of the usual 200 bytes.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// Between two tries at a full pipe that does not block.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Clones share one thread.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    dropped: IntCounter,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    is_writing: bool,
}

impl Lines {
    /// Each call of `out` gets one line or the rest of one. `dropped` counts lines that were not written as a whole.
    pub fn to(out: impl Write + Send + 'static, dropped: IntCounter) -> Self {
        let lines = Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), dropped }));
        let shared = Arc::clone(&lines.0);
        // Without a thread nothing is written, and the lines are counted once the memory for them is full.
        let _without = std::thread::Builder::new().name("output".to_owned()).spawn(move || shared.write_to(out));
        lines
    }

    /// A counter that nobody reads.
    pub fn uncounted() -> IntCounter {
        IntCounter::new("lines_dropped", "Lines that were not written.")
            .expect("the name is a constant of the right form")
    }

    /// `line` ends with a line break.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.bytes + line.len() > MAX_WAITING_BYTES {
            return self.0.dropped.inc();
        }
        state.bytes += line.len();
        state.waiting.push_back(line.to_vec());
        self.0.changed.notify_all();
    }

    /// Waits until everything is written, for at most this long.
    pub fn flush(&self, limit: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let _late = self.0.changed.wait_timeout_while(self.0.lock(), limit, is_busy);
    }

    pub fn dropped(&self) -> &IntCounter {
        &self.0.dropped
    }
}

/// The log layer writes each event in one call.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn write_to(&self, mut out: impl Write) {
        let (mut reported, mut is_cut) = (0, false);
        loop {
            let line = self.next();
            let is_separated = !is_cut || self.write_as_much_as_possible(&mut out, b"\n") == 0;
            let rest = if is_separated { self.write_as_much_as_possible(&mut out, &line) } else { line.len() };
            // The next line must not continue one that was cut off, as on a disk that was full for a while.
            is_cut = rest > 0 && (is_cut || rest < line.len());
            if rest > 0 {
                self.dropped.inc();
            }
            let lost = self.dropped.get() - reported;
            if rest == 0 && lost > 0 {
                reported += lost;
                tracing::warn!(
                    lost,
                    "lines of output were lost: nobody read them in time, or they could not be written"
                );
            }
        }
    }

    /// Returns how many bytes were not written.
    fn write_as_much_as_possible(&self, out: &mut impl Write, line: &[u8]) -> usize {
        let mut rest = line;
        while !rest.is_empty() {
            match out.write(rest) {
                Ok(written @ 1..) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another program has made the pipe non-blocking, and it is full.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    drop(self.changed.wait_timeout(self.lock(), FULL_PAUSE));
                }
                Ok(0) | Err(_) => break,
            }
        }
        rest.len()
    }

    fn next(&self) -> Vec<u8> {
        let mut state = self.lock();
        state.is_writing = false;
        self.changed.notify_all();
        loop {
            if let Some(line) = state.waiting.pop_front() {
                state.bytes -= line.len();
                state.is_writing = true;
                return line;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(30);

    /// Takes so many bytes and then fails until it is repaired.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Disk {
        fn make_room(&self, bytes: usize) {
            self.0.lock().unwrap().0 += bytes;
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().1.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (room, kept) = &mut *self.0.lock().unwrap();
            let fits = bytes.len().min(*room);
            *room -= fits;
            kept.extend(&bytes[..fits]);
            if fits == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_costs_lines_and_the_next_one_is_whole() {
        let (disk, lines) = (Disk::default(), Lines::to(Disk::default(), Lines::uncounted()));
        lines.push(b"nowhere\n");
        lines.flush(LONG);
        assert_eq!(lines.dropped().get(), 1);

        disk.make_room(10);
        let lines = Lines::to(disk.clone(), Lines::uncounted());
        lines.push(b"first\n");
        lines.push(b"second\n");
        lines.push(b"third\n");
        lines.flush(LONG);
        disk.make_room(100);
        lines.push(b"fourth\n");
        lines.flush(LONG);
        assert_eq!((disk.text().as_str(), lines.dropped().get()), ("first\nseco\nfourth\n", 2));
    }

    /// Blocks until it is told to go on.
    struct Blocked(mpsc::Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_delays_nobody_and_its_lines_take_limited_memory() {
        let (go_on, blocked) = mpsc::channel();
        let lines = Lines::to(Blocked(blocked), Lines::uncounted());
        let line = vec![b'x'; 1 << 10];
        for _ in 0..3_000 {
            lines.push(&line);
        }
        // 1,024 wait, and the thread may have taken one.
        assert!((1_975..=1_976).contains(&lines.dropped().get()), "{} were dropped", lines.dropped().get());
        lines.flush(Duration::ZERO);
        drop(go_on);
        lines.flush(LONG);
        assert!((1_975..=1_976).contains(&lines.dropped().get()));
    }
}
