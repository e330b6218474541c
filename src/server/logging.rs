//! Log lines, written by a thread of their own.
//!
//! A thread that logs must never wait for the terminal: one that stands still (Ctrl-S, a console in which text is
//! selected, a pipe that nobody reads) would stop the chat. So lines go through a bounded channel, and a line that
//! finds it full is counted instead.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use log::LevelFilter;

use super::error::StartError;
use super::log_file::LogFile;
use crate::printable::Printable;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::terminal;

/// Lines that may wait to be written.
const CAPACITY: usize = 1024;

/// How the lines begin that the terminal keeps if the log goes to a file.
const URGENT: [&[u8]; 2] = [b"ERROR", b"WARN "];

/// The crate's name, with which the targets of all its log lines begin.
const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// The level, unless the environment says otherwise.
const DEFAULT_FILTER: &str = "info";

/// Sends the log to standard error, or appends it to `file`, at level `info` unless the environment variable `RUST_LOG` says otherwise; a line
/// tells of one that says nothing of this program. With a file, standard error still gets warnings and errors.
/// Panics are logged too. A second call does nothing.
///
/// The error says that the file can't be opened, or that there is no thread to be had.
pub fn start(file: Option<&Path>) -> Result<LogEnd, StartError> {
    let open =
        |path: &Path| LogFile::open(path).map_err(|error| StartError::Log(path.to_owned(), error));
    let mut destination = match file.map(open).transpose()? {
        Some(file) => Destination::file(file).map_err(StartError::Thread)?,
        None => Destination::StandardError,
    };
    let (sender, lines) = bounded(CAPACITY);
    let lost = Arc::new(AtomicU64::new(0));
    let queue = LogQueue {
        sender: sender.clone(),
        lost: Arc::clone(&lost),
    };
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            write_lines(&lines, &lost, &TimeZone::system(), |written| {
                destination.take(written);
            });
        })
        .map_err(StartError::Thread)?;
    let filter = std::env::var(env_logger::DEFAULT_FILTER_ENV).ok();
    let (usable, useless) = match &filter {
        Some(filter) if !is_filter(filter) => (DEFAULT_FILTER, Some(filter)),
        Some(filter) => (filter.as_str(), None),
        None => (DEFAULT_FILTER, None),
    };
    let started = env_logger::Builder::new()
        .parse_filters(usable)
        // It would log each key, and each line that it shows, which is another line to show.
        .filter_module("rustyline", LevelFilter::Off)
        .target(env_logger::Target::Pipe(Box::new(queue)))
        .format(|line, record| {
            let text = record.args().to_string();
            writeln!(line, "{:5} {}", record.level(), Printable(&text))
        })
        .try_init();
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| log::error!("internal error: {panic}")));
        if let Some(filter) = useless {
            log::warn!(
                "{}={} sets no level of the log, so it is {DEFAULT_FILTER}; set it to error, warn, info, debug, trace or off",
                env_logger::DEFAULT_FILTER_ENV,
                Printable(filter)
            );
        }
    }
    Ok(LogEnd { sender })
}

/// Whether this filter sets a level for this program. env_logger takes a word that is no level (`warning`) for the
/// name of a program that shall log all, and logs nothing of any other.
fn is_filter(filter: &str) -> bool {
    let levels = filter.split('/').next().unwrap_or_default();
    let parts = levels.split(',').map(str::trim);
    let mut is_about_this_program = false;
    for part in parts.filter(|part| !part.is_empty()) {
        let is_level = |word: &str| word.trim().parse::<LevelFilter>().is_ok();
        let target = match part.split_once('=') {
            None if is_level(part) => "",
            None => part,
            Some((target, level)) if level.trim().is_empty() || is_level(level) => target,
            Some(_) => return false,
        };
        is_about_this_program |= OWN_TARGET.starts_with(target) || target.starts_with(OWN_TARGET);
    }
    is_about_this_program
}

/// What goes through the channel.
enum Entry {
    /// What was logged, and when.
    Line(Timestamp, Vec<u8>),
    /// Answered when everything before it was written.
    Flush(Sender<()>),
}

/// Waits, when it is dropped at the end of the program, for what was logged last. A terminal that stands still
/// holds it up for [a moment](LogEnd::PATIENCE) only.
pub struct LogEnd {
    sender: Sender<Entry>,
}

impl fmt::Debug for LogEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogEnd")
    }
}

impl LogEnd {
    /// How long the end of the program may wait for the log.
    pub const PATIENCE: Duration = Duration::from_millis(200);
}

impl Drop for LogEnd {
    fn drop(&mut self) {
        let (done, written) = bounded(1);
        if self
            .sender
            .send_timeout(Entry::Flush(done), LogEnd::PATIENCE)
            .is_ok()
        {
            let _ = written.recv_timeout(LogEnd::PATIENCE);
        }
    }
}

/// The log's side of the channel.
struct LogQueue {
    sender: Sender<Entry>,
    /// Lines that found the channel full.
    lost: Arc<AtomicU64>,
}

impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self
            .sender
            .try_send(Entry::Line(Timestamp::now(), line.to_owned()))
            .is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands over what comes through the channel, with the local time. This thread tells the time, not the one that logs: the
/// thread of an idle connection keeps every page of its stack that it has ever touched, and telling the time takes some.
fn write_lines(
    lines: &Receiver<Entry>,
    lost: &AtomicU64,
    zone: &TimeZone,
    mut hand_over: impl FnMut(Written),
) {
    for entry in lines {
        hand_over(match entry {
            Entry::Line(time, line) => {
                let time = time.to_zoned(zone.clone());
                let time = time.strftime("%Y-%m-%d %H:%M:%S");
                Written::Line {
                    text: format!("{time} {}", String::from_utf8_lossy(&line)),
                    is_urgent: URGENT.iter().any(|level| line.starts_with(level)),
                }
            }
            Entry::Flush(done) => Written::Flush(done),
        });
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            count => hand_over(Written::Line {
                text: format!("({count} log lines were lost here: the output stood still)\n"),
                is_urgent: true,
            }),
        }
    }
}

/// What the threads that write take.
enum Written {
    Line {
        text: String,
        is_urgent: bool,
    },
    /// Answered when everything before it was written.
    Flush(Sender<()>),
}

/// Where the lines go.
enum Destination {
    StandardError,
    /// What is urgent goes to standard error too, through a channel, lest a terminal that stands still holds up the file.
    /// What finds the channel full is in the file only.
    File(LogFile, Sender<Written>),
}

impl Destination {
    /// A file, with a thread that writes to standard error.
    fn file(file: LogFile) -> io::Result<Destination> {
        let (sender, urgent) = bounded(CAPACITY);
        thread::Builder::new()
            .name("log-urgent".to_owned())
            .spawn(move || {
                for written in urgent {
                    Destination::StandardError.take(written);
                }
            })?;
        Ok(Destination::File(file, sender))
    }

    fn take(&mut self, written: Written) {
        match (self, written) {
            (Destination::StandardError, Written::Line { text, .. }) => write_to_terminal(&text),
            (Destination::StandardError, Written::Flush(done)) => {
                let _ = done.send(());
            }
            (Destination::File(file, urgent), Written::Line { text, is_urgent }) => {
                let failure = file.write(&text);
                let failure = failure.map(|what| format!("{}\n", Printable(&what)));
                for text in failure.into_iter().chain(is_urgent.then_some(text)) {
                    let _ = urgent.try_send(Written::Line { text, is_urgent });
                }
            }
            (Destination::File(_, urgent), flush @ Written::Flush(_)) => {
                let _ = urgent.try_send(flush);
            }
        }
    }
}

/// Writes to standard error. Errors are ignored: there is nowhere to report them.
fn write_to_terminal(text: &str) {
    let mut output = io::stderr();
    match output.is_terminal() {
        true => terminal::print(text, io::stderr()),
        false => {
            let _ = output.write_all(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_one_if_it_sets_a_level_for_this_program() {
        for filter in [
            "warn",
            "WARN",
            " off ",
            "chatd",
            "chatd=debug",
            "chatd=",
            "chatd::server=trace",
            "hyper,info",
            "hyper=debug,chatd=warn",
            "info/came",
        ] {
            assert!(is_filter(filter), "{filter:?}");
        }
        for filter in [
            "",
            " ",
            ",",
            "warning",
            "4",
            "hyper",
            "hyper=debug",
            "chatd=warning",
            "info,chatd=warning",
            "chatd=info=debug",
            "/came",
        ] {
            assert!(!is_filter(filter), "{filter:?}");
        }
    }

    #[test]
    fn lines_that_find_the_channel_full_are_counted_not_waited_for() {
        let (sender, lines) = bounded(1);
        let lost = Arc::new(AtomicU64::new(0));
        let mut queue = LogQueue {
            sender,
            lost: Arc::clone(&lost),
        };
        for line in ["one\n", "two\n", "three\n"] {
            queue.write_all(line.as_bytes()).unwrap();
        }
        drop(queue);
        let mut text = String::new();
        write_lines(&lines, &lost, &TimeZone::UTC, |written| {
            if let Written::Line { text: line, .. } = written {
                text += &line;
            }
        });
        let (time, rest) = text.split_at("2026-11-27 12:00:00 ".len());
        assert!(
            time.trim_end().parse::<jiff::civil::DateTime>().is_ok(),
            "{time:?}"
        );
        assert_eq!(
            rest,
            "one\n(2 log lines were lost here: the output stood still)\n"
        );
    }
}
