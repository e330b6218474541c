//! The terminal, while somebody edits a line in it: how other threads write to it, and how it is given back when the
//! program ends.
//!
//! The editor has the terminal in raw mode while it reads a line. What is written meanwhile must go through it, so that it
//! draws the line anew below; and a program that ended then would leave its shell without echo. Between two lines the
//! terminal keeps the keys for the next, without echo: a Ctrl-C that came then would be a signal otherwise.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

// Not those of the model checker, which can't be static: the chat does not depend on them.
use parking_lot::{Condvar, Mutex};
use rustyline::ExternalPrinter;

/// How long a writer waits until the editor shows what it was sent. It shows nothing while it searches its history.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);

/// How long the end of the program waits for the terminal, which may stand still.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is done with the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody reads a line, so anybody may write.
    Resting,
    /// The editor is about to set raw mode.
    Starting,
    /// The editor has set raw mode.
    Editing,
    /// The program ends; nobody reads any more.
    Ended,
}

struct State {
    phase: Phase,
    /// How the terminal was, if it has been changed.
    modes: Option<system::Modes>,
    /// Whether [`print()`] writes to the terminal itself.
    is_writing: bool,
    /// What was handed to the editor, until it has shown it.
    on_the_way: Option<String>,
}

static STATE: Mutex<State> = Mutex::new(State {
    phase: Phase::Resting,
    modes: None,
    is_writing: false,
    on_the_way: None,
});

/// Notified at each change of [`STATE`].
static CHANGED: Condvar = Condvar::new();

/// The way through the editor. A thread that prints holds this lock while the editor makes it wait, so nobody else may
/// take it then.
static PRINTER: Mutex<Option<Box<dyn ExternalPrinter + Send>>> = Mutex::new(None);

/// Makes [`print()`] use this way while a line is read.
pub(crate) fn open(printer: impl ExternalPrinter + Send + 'static) {
    if system::is_one_terminal() {
        *PRINTER.lock() = Some(Box::new(printer));
    }
}

/// Tells that the editor begins to read a line, in the foreground. Does not return if the program ends.
pub(crate) fn begin_line() {
    let mut state = STATE.lock();
    CHANGED.wait_while(&mut state, |state| state.is_writing);
    while state.phase == Phase::Ended {
        CHANGED.wait(&mut state);
    }
    if state.modes.is_none()
        && let Ok(modes) = system::Modes::current()
    {
        modes.keep_keys();
        state.modes = Some(modes);
    }
    state.phase = Phase::Starting;
}

/// Tells that the editor has drawn its line, and all that it was handed before.
pub(crate) fn line_drawn() {
    let mut state = STATE.lock();
    if state.phase == Phase::Starting {
        state.phase = Phase::Editing;
    }
    state.on_the_way = None;
    CHANGED.notify_all();
}

/// Tells that the editor has a line, and has reset raw mode.
pub(crate) fn end_line() {
    let mut state = STATE.lock();
    match (state.phase, &state.modes) {
        // It has undone what the end of the program did.
        (Phase::Ended, Some(modes)) => modes.restore(),
        (Phase::Ended, None) => {}
        _ => state.phase = Phase::Resting,
    }
    CHANGED.notify_all();
}

/// Makes the terminal as it was, until the next line is read by the editor.
pub(crate) fn rest() {
    if let Some(modes) = STATE.lock().modes.take()
        && is_in_foreground()
    {
        modes.restore();
    }
}

/// Tells that the editor, which reads no line now, reads no other. What it has not shown is written.
pub(crate) fn close() {
    rest();
    let unseen = STATE.lock().on_the_way.take();
    CHANGED.notify_all();
    if let Some(text) = unseen {
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Writes lines to the terminal, which `output` is: above the line that is edited, if any is. Waits while the terminal stands
/// still.
pub(crate) fn print(text: &str, mut output: impl Write) {
    let mut state = STATE.lock();
    // The way through the editor leads past it until raw mode is set.
    CHANGED.wait_while_for(
        &mut state,
        |state| state.phase == Phase::Starting,
        SHOWN_WITHIN,
    );
    if !matches!(state.phase, Phase::Starting | Phase::Editing) {
        state.is_writing = true;
        drop(state);
        let _ = output.write_all(text.as_bytes());
        STATE.lock().is_writing = false;
        CHANGED.notify_all();
        return;
    }
    state.on_the_way = Some(text.to_owned());
    drop(state);
    let is_sent = match PRINTER.lock().as_mut() {
        Some(printer) => printer.print(text.to_owned()).is_ok(),
        None => false,
    };
    let mut state = STATE.lock();
    if is_sent {
        // Until then the editor may have ended, and what comes next could overtake this.
        CHANGED.wait_while_for(
            &mut state,
            |state| state.on_the_way.is_some() && state.phase != Phase::Ended,
            SHOWN_WITHIN,
        );
    } else if let Some(text) = state.on_the_way.take() {
        drop(state);
        let _ = output.write_all(text.as_bytes());
    }
}

/// Gives the terminal back as it was before, for the end of the program. From here on no line is read any more.
pub fn give_back() {
    let mut state = STATE.lock();
    // A thread that is about to set raw mode would do so after this.
    CHANGED.wait_while_for(&mut state, |state| state.phase == Phase::Starting, PATIENCE);
    let is_reading = matches!(state.phase, Phase::Starting | Phase::Editing);
    state.phase = Phase::Ended;
    CHANGED.notify_all();
    // In the background the terminal is another program's.
    if !is_in_foreground() {
        return;
    }
    if let Some(modes) = &state.modes {
        modes.restore();
    }
    drop(state);
    if !is_reading {
        return;
    }
    let (done, is_done) = crossbeam_channel::bounded(1);
    let clear = move || {
        let mut output = io::stdout();
        let _ = output
            .write_all(system::LAST_WORDS.as_bytes())
            .and_then(|()| output.flush());
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(clear).is_ok() {
        let _ = is_done.recv_timeout(PATIENCE);
    }
}

pub(crate) use system::is_in_foreground;

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    use nix::sys::termios::{
        InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
    };
    use nix::unistd::{getpgrp, tcgetpgrp};

    /// Ends bracketed paste, and clears the line that was not sent.
    pub(super) const LAST_WORDS: &str = "\x1b[?2004l\r\x1b[J";

    /// How the terminal treats input (termios(3)).
    pub(super) struct Modes(Termios);

    impl Modes {
        pub(super) fn current() -> io::Result<Modes> {
            Ok(Modes(tcgetattr(io::stdin())?))
        }

        /// Makes the terminal keep each key as it is, and show none.
        pub(super) fn keep_keys(&self) {
            let mut modes = self.0.clone();
            modes.local_flags &=
                !(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG | LocalFlags::IEXTEN);
            modes.input_flags &= !(InputFlags::ICRNL | InputFlags::IXON);
            modes.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
            modes.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &modes);
        }

        pub(super) fn restore(&self) {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
        }
    }

    /// Whether standard output and standard error go to the same terminal.
    pub(super) fn is_one_terminal() -> bool {
        let device = |output: &dyn AsFd| {
            let file = File::from(output.as_fd().try_clone_to_owned()?);
            file.metadata().map(|data| data.rdev())
        };
        match (device(&io::stdout()), device(&io::stderr())) {
            (Ok(output), Ok(error)) => output == error,
            _ => false,
        }
    }

    /// Whether this program may use the terminal now, or another one has it (POSIX, General Terminal Interface, 11.1.2).
    pub(crate) fn is_in_foreground() -> bool {
        // Who has a terminal that is not their session's is alone with it.
        tcgetpgrp(io::stdin()).map_or(true, |group| group == getpgrp())
    }
}

#[cfg(windows)]
mod system {
    pub(super) use crate::windows::ConsoleModes as Modes;

    pub(super) const LAST_WORDS: &str = "\r\n";

    /// A program has one console.
    pub(super) fn is_one_terminal() -> bool {
        true
    }

    /// Windows knows no background.
    pub(crate) fn is_in_foreground() -> bool {
        true
    }
}
