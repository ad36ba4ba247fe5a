//! Standard output. A reader that has gone (`| head -1`) ends a command quietly; a disk that is full is an error, except
//! for commands that run until they are stopped.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::telemetry::Lines;

/// For the last lines of a command.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Prints a line of a command that ends.
pub(super) fn print(line: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    written(writeln!(out, "{line}").and_then(|()| out.flush()))
}

/// What a write to standard output means for a command that ends.
pub(super) fn written(wrote: io::Result<()>) -> Result<(), Failure> {
    match wrote {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        Err(error) => Err(Failure::new(format!("cannot write to standard output: {error}"))),
    }
}

/// Prints for a command that runs until it is stopped: never waits, never fails.
#[derive(Clone)]
pub(super) struct Screen {
    lines: Lines,
    gone: CancellationToken,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let gone = CancellationToken::new();
        let out = Stdout { file: File::from(io::stdout().as_fd().try_clone_to_owned()?), gone: gone.clone() };
        Ok(Self { lines: Lines::to(out, Lines::uncounted()), gone })
    }

    pub(super) fn print(&self, text: &str) {
        self.lines.push(format!("{text}\n").as_bytes());
    }

    pub(super) async fn reader_gone(&self) {
        self.gone.cancelled().await;
    }

    pub(super) fn flush(&self) {
        self.lines.flush(LAST_LINES);
    }
}

struct Stdout {
    file: File,
    gone: CancellationToken,
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| {
            if error.kind() == ErrorKind::BrokenPipe {
                self.gone.cancel();
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
