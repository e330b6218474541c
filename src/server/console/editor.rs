//! The line editor, for a console that is a terminal.
//!
//! It has the terminal in raw mode only while it reads a line; see [`terminal`].

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::thread;

use rustyline::completion::{Completer, Pair};
use rustyline::config::BellStyle;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Event, EventContext,
    EventHandler, Helper, KeyEvent, RepeatCount,
};

use super::console_command::VERBS;
use super::lines::{BACKGROUND_PAUSE, LONGEST, Lines, Typed, is_background, stay_in_background};
use crate::printable::without_controls;
use crate::sync::{Arc, Mutex};
use crate::terminal;
use crate::texts::mistakes;

/// What stands before the line.
const PROMPT: &str = "> ";

/// Whether standard input and output are a terminal on which lines can be edited.
pub fn is_editable() -> bool {
    let is_capable = match std::env::var("TERM") {
        Ok(name) => !["", "dumb", "cons25", "emacs"].contains(&name.as_str()),
        Err(_) => cfg!(windows),
    };
    is_capable && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// A key that is not only the editor's business.
enum Key {
    /// Ctrl-C.
    Interrupt { is_line_empty: bool },
    /// Ctrl-D on an empty line.
    End,
    /// Ctrl-Z, with what stood before the cursor and behind it.
    #[cfg(unix)]
    Suspend(String, String),
}

/// Reads lines that can be edited.
pub(super) struct Editor {
    editor: rustyline::Editor<Words, DefaultHistory>,
    /// The key that has ended the last line, if it was one of those.
    key: Arc<Mutex<Option<Key>>>,
    /// What the next line begins with: before the cursor, and behind it.
    begun: (String, String),
}

impl Editor {
    /// An editor that completes these names, of who is in the room. The error says why there is none.
    pub(super) fn new(names: impl Fn() -> Vec<String> + 'static) -> rustyline::Result<Editor> {
        stay_in_background();
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .bell_style(BellStyle::None)
            // There are no colors, but without this the helper would not be asked how to show a line.
            .color_mode(ColorMode::Forced)
            .build();
        let mut editor = rustyline::Editor::with_config(config)?;
        editor.set_helper(Some(Words {
            names: Box::new(names),
        }));
        let key = Arc::new(Mutex::new(None));
        let mut bind = |letter, note: fn(&EventContext<'_>) -> Option<Key>, then| {
            let handler = Note {
                key: Arc::clone(&key),
                note,
                then,
            };
            editor.bind_sequence(
                KeyEvent::ctrl(letter),
                EventHandler::Conditional(Box::new(handler)),
            );
        };
        let interrupt = |context: &EventContext<'_>| {
            let is_line_empty = context.line().is_empty();
            Some(Key::Interrupt { is_line_empty })
        };
        bind('C', interrupt, Cmd::Interrupt);
        let end = |context: &EventContext<'_>| context.line().is_empty().then_some(Key::End);
        bind('D', end, Cmd::EndOfFile);
        // The editor's own way would take the terminal even if the program went on in the background.
        #[cfg(unix)]
        bind(
            'Z',
            |context| {
                let (before, behind) = context.line().split_at(context.pos());
                Some(Key::Suspend(before.to_owned(), behind.to_owned()))
            },
            Cmd::Interrupt,
        );
        terminal::open(editor.create_external_printer()?);
        Ok(Editor {
            editor,
            key,
            begun: Default::default(),
        })
    }

    /// Waits for the next line, and while the program is in the background.
    pub(super) fn next(&mut self) -> io::Result<Typed> {
        loop {
            while !terminal::is_in_foreground() {
                thread::sleep(BACKGROUND_PAUSE);
            }
            if !system::has_low_descriptors() {
                terminal::rest();
                return Lines::new(io::stdin().lock(), true).next();
            }
            let (before, behind) = std::mem::take(&mut self.begun);
            terminal::begin_line();
            let read = self
                .editor
                .readline_with_initial(PROMPT, (&before, &behind));
            terminal::end_line();
            let key = self.key.lock().take();
            return Ok(match (read, key) {
                (Ok(mut line), _) if system::is_pasted_in_part() => {
                    line.push(' ');
                    self.begun = (line, String::new());
                    continue;
                }
                (Ok(line), _) => self.entered(&line),
                (Err(ReadlineError::Interrupted), Some(Key::Interrupt { is_line_empty })) => {
                    match is_line_empty {
                        true => Typed::Interrupt,
                        false => Typed::Cleared,
                    }
                }
                #[cfg(unix)]
                (Err(ReadlineError::Interrupted), Some(Key::Suspend(before, behind))) => {
                    self.begun = (before, behind);
                    terminal::rest();
                    system::suspend();
                    continue;
                }
                // Another key that the terminal has for this, such as Ctrl-\.
                (Err(ReadlineError::Interrupted), _) => Typed::Cleared,
                (Err(ReadlineError::Eof), Some(Key::End)) => Typed::EndKey,
                (Err(ReadlineError::Eof), _) => Typed::End,
                (Err(error), _) => {
                    let error = io_error(error);
                    if error.kind() == io::ErrorKind::InvalidData {
                        return Ok(Typed::Unusable(mistakes::line_no_text()));
                    }
                    // A terminal that is gone fails in the same way.
                    if is_background(&error) && io::stdin().is_terminal() {
                        thread::sleep(BACKGROUND_PAUSE);
                        continue;
                    }
                    return Err(error);
                }
            });
        }
    }

    fn entered(&mut self, line: &str) -> Typed {
        if line.len() > LONGEST {
            return Typed::Unusable(mistakes::line_too_long());
        }
        // What was pasted may have several lines.
        let line = without_controls(line);
        if !line.trim().is_empty() {
            let _ = self.editor.add_history_entry(line.as_str());
        }
        Typed::Line(line)
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        terminal::close();
    }
}

fn io_error(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        #[cfg(unix)]
        ReadlineError::Errno(error) => error.into(),
        #[cfg(windows)]
        ReadlineError::Decode(error) => io::Error::new(io::ErrorKind::InvalidData, error),
        other => io::Error::other(other),
    }
}

/// Notes that a key was pressed, and what stood in the line then.
struct Note {
    key: Arc<Mutex<Option<Key>>>,
    /// What to note; without it the key has its usual meaning.
    note: fn(&EventContext<'_>) -> Option<Key>,
    then: Cmd,
}

impl ConditionalEventHandler for Note {
    fn handle(
        &self,
        _: &Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        let key = (self.note)(context)?;
        *self.key.lock() = Some(key);
        Some(self.then.clone())
    }
}

/// What the editor asks: how a word may go on, and how a line looks.
struct Words {
    names: Box<dyn Fn() -> Vec<String>>,
}

impl Helper for Words {}

impl Hinter for Words {
    type Hint = String;
}

impl Validator for Words {}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(completions(&line[..position], &self.names))
    }
}

impl Highlighter for Words {
    /// The line as it will be taken, so that nothing that was pasted steers the terminal.
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        let is_harmful = |character: char| character.is_control() && character != '\n';
        match line.contains(is_harmful) {
            true => Cow::Owned(line.replace(is_harmful, " ")),
            false => Cow::Borrowed(line),
        }
    }

    /// Called whenever the whole line is drawn.
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        terminal::line_drawn();
        Cow::Borrowed(prompt)
    }
}

/// How what stands before the cursor may go on: from where, and with what. The first word is a verb; a verb that takes a
/// name is followed by one of `names`.
fn completions(before: &str, names: impl FnOnce() -> Vec<String>) -> (usize, Vec<Pair>) {
    let start = before.len() - before.trim_start().len();
    let Some((verb, rest)) = before[start..].split_once(char::is_whitespace) else {
        let typed = &before[start..];
        let verbs = VERBS.iter().filter(|(verb, ..)| is_start(typed, verb));
        let pairs = verbs.map(|(verb, usage, _)| Pair {
            display: (*verb).to_owned(),
            // What stands in brackets may be left out.
            replacement: match usage.is_empty() || usage.starts_with('[') {
                true => (*verb).to_owned(),
                false => format!("{verb} "),
            },
        });
        return (start, pairs.collect());
    };
    let typed = rest.trim_start();
    let start = before.len() - typed.len();
    let usage = VERBS
        .iter()
        .find(|(known, ..)| known.eq_ignore_ascii_case(verb))
        .map_or("", |(_, usage, _)| usage);
    if !usage.starts_with("NAME") || typed.contains(char::is_whitespace) {
        return (start, Vec::new());
    }
    let all = usage.contains("|all").then(|| "all".to_owned());
    let words = names().into_iter().chain(all);
    let pairs = words.filter(|word| is_start(typed, word)).map(|word| Pair {
        display: word.clone(),
        replacement: word,
    });
    (start, pairs.collect())
}

/// Whether `word` begins with what was typed, letter case aside.
fn is_start(typed: &str, word: &str) -> bool {
    let start = word.get(..typed.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(typed))
}

#[cfg(unix)]
mod system {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use signal_hook::consts::SIGCONT;

    use crate::sync::Arc;
    use crate::sync::Instant;

    /// The editor waits with select(2), which knows no descriptor from 1024 on, for a few that it makes for each line.
    const HIGHEST: i32 = 1024 - 64;

    /// Whether the descriptors that are made next are low enough for the editor. With a thousand connections they are not.
    pub(super) fn has_low_descriptors() -> bool {
        UnixStream::pair()
            .is_ok_and(|(one, other)| one.as_raw_fd().max(other.as_raw_fd()) < HIGHEST)
    }

    /// A terminal that pastes says so.
    pub(super) fn is_pasted_in_part() -> bool {
        false
    }

    /// Stops the program as the terminal does at Ctrl-Z, with the others that were started with it, until it shall go on.
    pub(super) fn suspend() {
        /// If nothing has stopped it then, nothing will: there is no shell that could let it go on.
        const AT_MOST: Duration = Duration::from_secs(1);
        let goes_on = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let Ok(id) = signal_hook::flag::register(SIGCONT, Arc::clone(&goes_on)) else {
            return;
        };
        let start = Instant::now();
        let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
        // The signal may stop another thread first, and this one goes on for a moment.
        while !goes_on.load(std::sync::atomic::Ordering::SeqCst) && start.elapsed() < AT_MOST {
            thread::sleep(Duration::from_millis(10));
        }
        signal_hook::low_level::unregister(id);
    }
}

#[cfg(windows)]
mod system {
    use crate::windows::waiting_console_events;

    /// More events than a person makes within the moment that it takes to read a line: Enter is released, and the next key
    /// may come.
    const MANY_EVENTS: u32 = 4;

    pub(super) fn has_low_descriptors() -> bool {
        true
    }

    /// Whether the line that was just read is part of a pasted text, which the console makes into keys.
    pub(super) fn is_pasted_in_part() -> bool {
        waiting_console_events().is_ok_and(|count| count >= MANY_EVENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_completed_to_a_verb_and_what_follows_to_a_name() {
        let names = || {
            ["Anna", "Annika", "Bobby", "名字"]
                .map(str::to_owned)
                .to_vec()
        };
        for (before, start, expected) in [
            ("who", 0, &["who"][..]),
            ("WH", 0, &["who"]),
            (" un", 1, &["unmute ", "unlock", "unban ", "unwatch"]),
            ("at", 0, &["attendance"]),
            ("x", 0, &[]),
            ("kick ", 5, &["Anna", "Annika", "Bobby", "名字"]),
            ("kick  an", 6, &["Anna", "Annika"]),
            ("mute a", 5, &["Anna", "Annika", "all"]),
            ("KICK 名", 5, &["名字"]),
            ("kick Anna lat", 5, &[]),
            ("say an", 4, &[]),
            ("who an", 4, &[]),
            ("nothing an", 8, &[]),
        ] {
            let (from, pairs) = completions(before, names);
            let words: Vec<&str> = pairs.iter().map(|pair| pair.replacement.as_str()).collect();
            assert_eq!(words, expected, "{before:?}");
            assert!(from == start || words.is_empty(), "{before:?}: {from}");
        }
    }
}
