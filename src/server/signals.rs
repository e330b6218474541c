//! The signals that stop the server.

use super::error::StartError;
use super::handle::Handle;

/// Lets SIGINT (Ctrl-C), SIGTERM and SIGHUP (a terminal that closes) stop the server, each unless it was ignored when the
/// program started. A second SIGINT or SIGTERM, from somebody who does not want to wait, ends the process at once. On
/// Windows Ctrl-C, Ctrl-Break, the closing of the window and the end of the system do so.
///
/// The error says that there is no thread to be had.
pub fn stop_on_signals(handle: Handle) -> Result<(), StartError> {
    system::stop_on_signals(handle)
}

fn warn_of_no_goodbye(error: impl std::fmt::Display) {
    log::warn!("cannot catch Ctrl-C, so it ends the server without a goodbye: {error}");
}

#[cfg(unix)]
mod system {
    use std::ffi::c_int;
    use std::io::IsTerminal;
    use std::thread;
    use std::time::Duration;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    use super::super::error::StartError;
    use super::super::handle::Handle;
    use crate::sync::Instant;

    /// Signals that come so close together have one cause: timeout(1), for instance, sends its signal to the program and
    /// then to its whole group.
    const ONE_CAUSE: Duration = Duration::from_millis(100);

    pub(super) fn stop_on_signals(handle: Handle) -> Result<(), StartError> {
        let caught = [SIGHUP, SIGINT, SIGTERM].into_iter();
        let mut signals = match Signals::new(caught.filter(|signal| !was_ignored(*signal))) {
            Ok(signals) => signals,
            Err(error) => {
                super::warn_of_no_goodbye(error);
                return Ok(());
            }
        };
        let wait = move || {
            let mut impatience = Impatience::default();
            for signal in signals.forever() {
                if impatience.shows(signal, Instant::now()) {
                    crate::terminal::give_back();
                    // What the shell would say of a program that the signal has ended.
                    std::process::exit(128 + signal);
                }
                handle.stop();
            }
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(wait)
            .map(drop)
            .map_err(StartError::Thread)
    }

    /// Tells when somebody wants the end at once, not in order.
    #[derive(Debug, Default)]
    struct Impatience {
        /// When the first SIGINT or SIGTERM came.
        first: Option<Instant>,
    }

    impl Impatience {
        /// Whether this signal, which came now, is from somebody who has asked before. SIGHUP never is: a terminal that
        /// closes sends it twice, from the shell and from the kernel, and often before a SIGTERM.
        fn shows(&mut self, signal: c_int, now: Instant) -> bool {
            if signal == SIGHUP {
                return false;
            }
            let first = *self.first.get_or_insert(now);
            now.saturating_duration_since(first) >= ONE_CAUSE
        }
    }

    /// Whether who started the program wants it to ignore this signal: nohup does so with SIGHUP, and a shell without job
    /// control with SIGINT for what it starts in the background (POSIX, Shell Command Language, 2.12).
    fn was_ignored(signal: c_int) -> bool {
        match ignored_signals() {
            Some(ignored) => ignored & (1 << (signal - 1)) != 0,
            // Where the system does not tell, SIGHUP is taken for ignored unless a terminal is there to close: nohup never
            // leaves one as output. Nothing is known of the others, so they are caught.
            None => {
                let has_terminal =
                    std::io::stdout().is_terminal() || std::io::stderr().is_terminal();
                signal == SIGHUP && !has_terminal
            }
        }
    }

    /// The signals that this process ignores, the first as the lowest bit, where Linux tells (proc_pid_status(5)).
    fn ignored_signals() -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(line.trim(), 16).ok()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_a_second_interrupt_that_comes_later_shows_impatience() {
            let start = Instant::now();
            for (signals, is_impatient) in [
                (&[(SIGINT, 0)][..], false),
                (&[(SIGINT, 0), (SIGINT, 500)], true),
                (&[(SIGTERM, 0), (SIGINT, 500)], true),
                (&[(SIGTERM, 0), (SIGTERM, 5)], false),
                (&[(SIGTERM, 0), (SIGTERM, 5), (SIGTERM, 500)], true),
                (&[(SIGHUP, 0), (SIGHUP, 500)], false),
                (&[(SIGTERM, 0), (SIGHUP, 500)], false),
                (&[(SIGHUP, 0), (SIGTERM, 500)], false),
                (&[(SIGHUP, 0), (SIGINT, 500), (SIGINT, 1000)], true),
            ] {
                let mut impatience = Impatience::default();
                let mut shown = signals.iter().map(|(signal, millis)| {
                    impatience.shows(*signal, start + Duration::from_millis(*millis))
                });
                let last = shown.by_ref().last();
                assert_eq!(last, Some(is_impatient), "{signals:?}");
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use std::thread;

    use super::super::error::StartError;
    use super::super::handle::Handle;
    use crate::sync::atomic::{AtomicBool, Ordering};
    use crate::windows::{ConsoleEvent, is_in_session, on_console_event};

    /// What a program ended by Ctrl-C returns (128 and the signal's number, by the shell's convention).
    const INTERRUPTED: i32 = 130;

    /// The system starts a thread for each event, and tells nothing of which are ignored.
    pub(super) fn stop_on_signals(handle: Handle) -> Result<(), StartError> {
        let was_asked = AtomicBool::new(false);
        let set = on_console_event(move |event| match event {
            ConsoleEvent::Interrupt if was_asked.swap(true, Ordering::Relaxed) => {
                crate::terminal::give_back();
                std::process::exit(INTERRUPTED);
            }
            ConsoleEvent::Interrupt => handle.stop(),
            // A service goes on, as any user may log off.
            ConsoleEvent::LogOff if !is_in_session() => {}
            ConsoleEvent::LogOff | ConsoleEvent::Close => {
                handle.stop();
                // The system would end the process as soon as this returns. It waits five seconds; the main thread ends it
                // earlier.
                loop {
                    thread::park();
                }
            }
        });
        if let Err(error) = set {
            super::warn_of_no_goodbye(error);
        }
        Ok(())
    }
}
