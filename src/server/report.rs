//! A line for the log, every hour: what happened in it.

use std::time::Duration;

use super::stats::Stats;
use crate::sync::Instant;
use crate::sync::channel::{Receiver, RecvTimeoutError};

/// How often there is a line.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Hands `write` a line once every `interval`, with what has happened since the start or the last line, until `stop`
/// is closed. `read` tells the numbers since the start, as long as there is a server.
pub(crate) fn run(
    interval: Duration,
    stop: &Receiver<()>,
    read: impl Fn() -> Option<Stats>,
    write: impl Fn(String),
) {
    let mut last = None;
    let mut next = Instant::now() + interval;
    while stop.recv_deadline(next) == Err(RecvTimeoutError::Timeout) {
        next = (next + interval).max(Instant::now());
        let Some(stats) = read() else {
            return;
        };
        let since_last = last.map_or(stats, |last| stats.since(&last));
        let over = humantime::format_duration(interval);
        write(format!("the last {over}: {since_last}"));
        last = Some(stats);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::sync::channel::{bounded, unbounded};

    use super::*;

    #[test]
    fn each_line_tells_what_happened_since_the_one_before() {
        let stats = Cell::new(Stats::default());
        let (stop, stopped) = bounded::<()>(0);
        let (written, lines) = unbounded();
        let stop = Cell::new(Some(stop));
        let read = || {
            let mut now = stats.get();
            now.logins += 1;
            stats.set(now);
            Some(now)
        };
        let write = |line: String| {
            written.send(line).unwrap();
            if written.len() == 3 {
                stop.take();
            }
        };
        run(Duration::from_millis(1), &stopped, read, write);
        let lines: Vec<String> = lines.try_iter().collect();
        assert_eq!(lines.len(), 3);
        for line in lines {
            assert!(
                line.starts_with("the last 1ms: 0 users online now; 1 login, "),
                "{line}"
            );
        }
    }
}
