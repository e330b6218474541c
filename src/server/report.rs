//! What the log tells unasked: a line every hour about what happened in it, and how often lines have repeated.

use std::time::Duration;

use super::repeated_lines::{RepeatedLines, Summary, Woken};
use super::stats::Stats;
use crate::sync::Instant;

/// How often there is a line about what happened.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Hands `write` a line once every `interval`, with what has happened since the start or the last line, and logs the
/// summaries of `repeated_lines` as they become due, until those are closed. `read` tells the numbers since the start, as
/// long as there is a server.
pub(crate) fn run(
    interval: Duration,
    repeated_lines: &RepeatedLines,
    read: impl Fn() -> Option<Stats>,
    write: impl Fn(String),
) {
    let mut last = None;
    let mut next = Instant::now() + interval;
    loop {
        match repeated_lines.wait(next) {
            Woken::Closed => return,
            Woken::Due(summaries) => {
                summaries.iter().for_each(Summary::log);
                continue;
            }
            Woken::Deadline => {}
        }
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

    use crate::sync::channel::unbounded;

    use super::*;

    #[test]
    fn each_line_tells_what_happened_since_the_one_before() {
        let stats = Cell::new(Stats::default());
        let repeated_lines = RepeatedLines::new();
        let (written, lines) = unbounded();
        let read = || {
            let mut now = stats.get();
            now.logins += 1;
            stats.set(now);
            Some(now)
        };
        let write = |line: String| {
            written.send(line).unwrap();
            if written.len() == 3 {
                repeated_lines.close();
            }
        };
        run(Duration::from_millis(1), &repeated_lines, read, write);
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
