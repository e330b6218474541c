//! The teacher's console: lines in, sentences out. All that it does, [`Moderator`](super::Moderator) does.
//!
//! It reads this process's standard input, or, through a socket in the data folder, that of another one: `chatd console`.

mod answers;
mod attach_error;
#[cfg(unix)]
mod attached;
mod class;
mod columns;
mod console_command;
mod conversation;
mod editor;
#[cfg(unix)]
mod frames;
mod lines;
#[cfg(not(unix))]
mod no_socket;
#[cfg(unix)]
mod socket;
mod watched;

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use self::answers::Answers;
use self::conversation::Conversation;
use self::editor::Editor;
use self::lines::{Lines, Typed};
use self::watched::lines_of;
use super::handle::Handle;
use super::inbox::StudentMessage;
use crate::printable::{Printable, without_controls};
use crate::terminal;
use crate::texts::verbs;
use crate::transport::watch::Watched;

pub use self::attach_error::AttachError;
#[cfg(unix)]
pub use self::attached::attach;
pub use self::editor::is_editable;
#[cfg(not(unix))]
pub use self::no_socket::{ConsoleSocket, attach};
#[cfg(unix)]
pub use self::socket::ConsoleSocket;

/// Reads and writes of a client that is watched that may wait to be shown. Of a faster one some are not shown.
const WATCHED_CAPACITY: usize = 1024;

/// Takes commands from `input` until it ends or says to quit, and writes what came of them to `output`.
///
/// Meant for a thread of its own: it waits for input, and for output that stands still. The end of the input leaves
/// the server running. `is_terminal` says that the input is one; then the console waits while the program is in the
/// background.
///
/// What users write to the teacher meanwhile goes to `messages`.
pub fn run(
    handle: &Handle,
    input: impl BufRead,
    is_terminal: bool,
    output: impl Write,
    mut messages: impl Write + Send,
) {
    let mut lines = Lines::new(input, is_terminal);
    let show = |text: &str| {
        let _ = messages
            .write_all(text.as_bytes())
            .and_then(|()| messages.flush());
    };
    let place = Place::process(is_terminal);
    if converse(handle, place, sayer(output), || lines.next(), show) {
        handle.stop();
    }
}

/// The same, with lines that are edited in the terminal that standard input and output [are](is_editable).
pub fn run_in_terminal(handle: &Handle, output: impl Write) {
    let moderator = handle.moderator().clone();
    let names = move || {
        let users = moderator.room().map(|room| room.users);
        let users = users.unwrap_or_default().into_iter();
        users.map(|user| user.name).collect()
    };
    match Editor::new(names) {
        Ok(mut editor) => {
            let show = |text: &str| terminal::print(text, io::stdout());
            let place = Place::process(true);
            if converse(handle, place, sayer(output), || editor.next(), show) {
                handle.stop();
            }
        }
        Err(error) => {
            log::warn!("lines can't be edited in this terminal: {error}");
            run(handle, io::stdin().lock(), true, output, io::stdout());
        }
    }
}

/// Whose console it is.
struct Place {
    /// Whether somebody types, who can be asked.
    is_terminal: bool,
    /// Whether it is that of another program.
    is_attached: bool,
    /// The folder in which files are that are named without one; that of the process if this is empty.
    folder: PathBuf,
}

impl Place {
    fn process(is_terminal: bool) -> Place {
        Place {
            is_terminal,
            is_attached: false,
            folder: PathBuf::new(),
        }
    }
}

/// Writes each text as a line. Whether that is seen is not the server's business.
fn sayer(mut output: impl Write) -> impl FnMut(&str) {
    move |text| {
        let _ = writeln!(output, "{text}").and_then(|()| output.flush());
    }
}

/// Leads one console's conversation to its end. `next` waits for a line or a key, `say` gives the answers, and `show` is for
/// what comes unasked, in another thread. Returns whether the server shall stop.
fn converse(
    handle: &Handle,
    place: Place,
    say: impl FnMut(&str),
    next: impl FnMut() -> io::Result<Typed>,
    show: impl FnMut(&str) + Send,
) -> bool {
    let moderator = handle.moderator();
    thread::scope(|scope| {
        // Dropped at the end, which ends the thread.
        let (_reading, end) = bounded(0);
        let (watched, seen) = bounded(WATCHED_CAPACITY);
        if let Ok(messages) = moderator.read_messages() {
            let shown = thread::Builder::new()
                .name("inbox".to_owned())
                .spawn_scoped(scope, move || show_messages(&messages, &seen, &end, show));
            if let Err(error) = shown {
                log::warn!("cannot show what users write to the teacher: {error}");
            }
        }
        let shall_stop = obey_lines(handle, place, say, watched.clone(), next);
        // Its channel ends here. Another console's goes on.
        let _ = moderator.unwatch_through(&watched);
        shall_stop
    })
}

/// Shows what users write to the teacher, and what those who are watched send and receive, until `end` is closed.
fn show_messages(
    messages: &Receiver<StudentMessage>,
    seen: &Receiver<Watched>,
    end: &Receiver<()>,
    mut show: impl FnMut(&str),
) {
    let zone = jiff::tz::TimeZone::system();
    loop {
        crossbeam_channel::select! {
            recv(messages) -> message => match message {
                Ok(StudentMessage { from, text }) => {
                    let text = Printable(&text).to_string();
                    show(&format!("{}\n", verbs::from_student(&from, &text)));
                }
                Err(_) => return,
            },
            recv(seen) -> watched => match watched {
                Ok(watched) => show(&lines_of(&watched, &zone)),
                Err(_) => return,
            },
            recv(end) -> _ => return,
        }
    }
}

/// Obeys until the end. Returns whether the server shall stop.
fn obey_lines(
    handle: &Handle,
    place: Place,
    say: impl FnMut(&str),
    watched: Sender<Watched>,
    mut next: impl FnMut() -> io::Result<Typed>,
) -> bool {
    let answers = Answers {
        handle,
        moderator: handle.moderator(),
        is_terminal: place.is_terminal,
        may_show_codes: !place.is_attached && handle.shows_codes(),
        folder: place.folder,
        zone: jiff::tz::TimeZone::system(),
        watched,
    };
    let mut conversation = Conversation::new(answers, place.is_attached, say);
    conversation.welcome();
    let end = loop {
        match next() {
            Ok(Typed::Line(line)) => {
                if !conversation.take(&without_controls(&line)) {
                    return true;
                }
            }
            Ok(Typed::Unusable(why)) => conversation.say(why),
            Ok(Typed::Cleared) => {}
            Ok(Typed::Interrupt) => {
                if !conversation.interrupt() {
                    return true;
                }
            }
            Ok(Typed::EndKey) => conversation.explain_end_key(),
            Ok(Typed::End) => {
                conversation.leave();
                break "its input has ended".to_owned();
            }
            Err(error) => break format!("its input has failed: {error}"),
        }
    };
    match place.is_attached {
        true => log::info!("an attached console has closed ({end}); the server goes on"),
        false => log::info!("the console has closed ({end}); the server goes on"),
    }
    false
}
