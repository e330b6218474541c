//! The teacher's console: lines in, sentences out. All that it does, [`Moderator`] does.

mod class;
mod console_command;
mod editor;
mod lines;
mod watched;

use std::fmt::Write as _;
use std::io::{self, BufRead, Write};
use std::thread;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;

use self::class::{attendance, register};
use self::console_command::{ConsoleCommand, VERBS, Whom, nearest, parse};
use self::editor::Editor;
use self::lines::{Lines, Typed};
use self::watched::lines_of;
use super::addresses::own_addresses;
use super::banner;
use super::handle::Handle;
use super::inbox::StudentMessage;
use super::moderator::{BanOutcome, Moderator, Refusal, RoomStatus, User};
use super::refusals::RefusedLogin;
use super::watch::WatchTarget;
use crate::chat::moderation::{MutedName, RuleChange};
use crate::printable::{Printable, without_controls};
use crate::storage::bans::{Ban, Banned};
use crate::sync::Instant;
use crate::terminal;
use crate::texts::lists::listed;
use crate::texts::{
    banner as ports, capitalised, console as questions, joined, refusals, tables, times, verbs,
    width,
};

use crate::transport::watch::Watched;

pub use self::editor::is_editable;

/// Reads and writes of a client that is watched that may wait to be shown. Of a faster one some are not shown.
const WATCHED_CAPACITY: usize = 1024;

/// Ctrl-C on an empty line stops the server if it comes again within this time.
const TWICE_WITHIN: Duration = Duration::from_secs(2);

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
    converse(handle, is_terminal, output, || lines.next(), show);
}

/// The same, with lines that are edited in the terminal that standard input and output [are](is_editable).
pub fn run_in_terminal(handle: &Handle, output: impl Write) {
    match Editor::new(handle.moderator().clone()) {
        Ok(mut editor) => {
            let show = |text: &str| terminal::print(text, io::stdout());
            converse(handle, true, output, || editor.next(), show);
        }
        Err(error) => {
            log::warn!("lines can't be edited in this terminal: {error}");
            run(handle, io::stdin().lock(), true, output, io::stdout());
        }
    }
}

fn converse(
    handle: &Handle,
    is_terminal: bool,
    output: impl Write,
    mut next: impl FnMut() -> io::Result<Typed>,
    show: impl FnMut(&str) + Send,
) {
    thread::scope(|scope| {
        // Dropped at the end, which ends the thread.
        let (_reading, end) = bounded(0);
        let (watched, seen) = bounded(WATCHED_CAPACITY);
        if let Ok(messages) = handle.moderator().read_messages() {
            let shown = thread::Builder::new()
                .name("inbox".to_owned())
                .spawn_scoped(scope, move || show_messages(&messages, &seen, &end, show));
            if let Err(error) = shown {
                log::warn!("cannot show what users write to the teacher: {error}");
            }
        }
        obey_lines(handle, is_terminal, output, watched, &mut next);
        // Its channel ends here.
        let _ = handle.moderator().unwatch();
    });
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

fn obey_lines(
    handle: &Handle,
    is_terminal: bool,
    output: impl Write,
    watched: Sender<Watched>,
    next: &mut impl FnMut() -> io::Result<Typed>,
) {
    let mut console = Console {
        handle,
        moderator: handle.moderator(),
        is_terminal,
        output,
        zone: jiff::tz::TimeZone::system(),
        question: None,
        interrupted: None,
        watched,
    };
    console.tell(questions::welcome());
    let end = loop {
        match next() {
            Ok(Typed::Line(line)) => {
                if !console.take(&without_controls(&line)) {
                    return;
                }
            }
            Ok(Typed::Unusable(why)) => console.tell(why),
            Ok(Typed::Cleared) => {}
            Ok(Typed::Interrupt) => {
                if !console.interrupt() {
                    return;
                }
            }
            Ok(Typed::EndKey) => console.tell(questions::how_to_stop()),
            Ok(Typed::End) => break "its input has ended".to_owned(),
            Err(error) => break format!("its input has failed: {error}"),
        }
    };
    log::info!("the console has closed ({end}); the server goes on");
}

/// What the next line is to answer with yes or no.
enum Question {
    /// Whether to ban an address that several users share.
    Ban(Banned, Option<Timestamp>),
    /// Whether to stop the server, though somebody is online.
    Quit,
}

/// One teacher's console.
struct Console<'a, W> {
    handle: &'a Handle,
    moderator: &'a Moderator,
    /// Whether somebody types, who can be asked.
    is_terminal: bool,
    output: W,
    /// Of the clock on the teacher's wall.
    zone: jiff::tz::TimeZone,
    question: Option<Question>,
    /// When Ctrl-C came last, on an empty line.
    interrupted: Option<Instant>,
    /// To the thread that shows what those send and receive who are watched.
    watched: Sender<Watched>,
}

impl<W: Write> Console<'_, W> {
    /// Says something. Whether that is seen is not the server's business.
    fn tell(&mut self, text: &str) {
        let text = text.trim_end();
        let _ = writeln!(self.output, "{text}").and_then(|()| self.output.flush());
    }

    /// Takes a line. False says that it was the last.
    fn take(&mut self, line: &str) -> bool {
        self.interrupted = None;
        if let Some(question) = self.question.take() {
            match (question, answer(line)) {
                (Question::Ban(banned, until), Some(true)) => {
                    let outcome = self.ban(banned, until, true);
                    self.tell_outcome(outcome);
                    return true;
                }
                (Question::Ban(banned, _), Some(false)) => {
                    self.tell(&questions::is_not_banned(&banned.to_string()));
                    return true;
                }
                (Question::Ban(banned, _), None) => {
                    self.tell(&questions::neither_so_it_is_not_banned(&banned.to_string()));
                }
                (Question::Quit, Some(true)) => return self.stop(),
                (Question::Quit, Some(false)) => {
                    self.tell(questions::goes_on());
                    return true;
                }
                (Question::Quit, None) => self.tell(questions::neither_so_it_goes_on()),
            }
        }
        match parse(line) {
            Ok(None) => {}
            Ok(Some(ConsoleCommand::Quit)) => return self.quit(),
            Ok(Some(command)) => {
                let outcome = self.obey(command);
                self.tell_outcome(outcome);
            }
            Err(mistake) => {
                let mut text = capitalised(&mistake.sentence);
                if let Some(near) = mistake.no_name.and_then(|name| self.near(&name)) {
                    text = joined(&[text + questions::full_stop(), near]);
                }
                self.tell(&text);
            }
        }
        true
    }

    /// Takes Ctrl-C on an empty line. False says that the console ends.
    fn interrupt(&mut self) -> bool {
        match self.question.take() {
            Some(Question::Ban(banned, _)) => {
                self.tell(&questions::is_not_banned(&banned.to_string()))
            }
            Some(Question::Quit) => self.tell(questions::goes_on()),
            None => {}
        }
        let now = Instant::now();
        let before = self.interrupted.replace(now);
        if before.is_some_and(|before| now.saturating_duration_since(before) <= TWICE_WITHIN) {
            return self.stop();
        }
        self.tell(questions::press_again());
        true
    }

    /// Stops the server, unless somebody is online and somebody is there to ask. False says that it stops.
    fn quit(&mut self) -> bool {
        let online = match self.moderator.room() {
            Ok(room) if self.is_terminal => room.users.len(),
            _ => 0,
        };
        match online {
            0 => return self.stop(),
            1 => self.tell(questions::one_is_online()),
            count => self.tell(&questions::some_are_online(count)),
        }
        self.question = Some(Question::Quit);
        true
    }

    /// Stops the server, and returns false.
    fn stop(&mut self) -> bool {
        self.handle.stop();
        self.tell(questions::stops());
        false
    }

    fn tell_outcome(&mut self, outcome: Result<String, Refusal>) {
        match outcome {
            Ok(text) => self.tell(&text),
            Err(refusal) => self.tell(&sentence(&refusal.to_string())),
        }
    }

    /// Carries out a command, and returns what is to be said about it.
    fn obey(&mut self, command: ConsoleCommand) -> Result<String, Refusal> {
        let moderator = self.moderator;
        Ok(match command {
            ConsoleCommand::Who => self.who(&moderator.room()?),
            ConsoleCommand::WhoRefused => self.refused(&moderator.refused_logins()?),
            ConsoleCommand::Say(text) => {
                moderator.say(&text)?;
                verbs::said().to_owned()
            }
            ConsoleCommand::Tell(name, text) => match moderator.tell(&name, &text) {
                Ok(name) => verbs::told(&name),
                Err(Refusal::NotOnline(name)) => self.not_online(&name),
                Err(refusal) => return Err(refusal),
            },
            ConsoleCommand::Slow(time) => match (time, moderator.slow(time)?) {
                (Some(time), true) => verbs::slow(&times::in_words(time)),
                (None, true) => verbs::slow_ended().to_owned(),
                (_, false) => verbs::was_so_already().to_owned(),
            },
            ConsoleCommand::Private(is_on) => match moderator.set_private_off(!is_on)? {
                false => verbs::was_so_already().to_owned(),
                true if is_on => verbs::private_on().to_owned(),
                true => verbs::private_off().to_owned(),
            },
            ConsoleCommand::Mute(Whom::All, _) => match moderator.mute_everybody()? {
                true => verbs::everybody_muted().to_owned(),
                false => verbs::everybody_was_muted_already().to_owned(),
            },
            ConsoleCommand::Unmute(Whom::All) => {
                let has_changed = moderator.unmute_everybody()?;
                let muted = moderator.room()?.muted;
                let names = (!muted.is_empty()).then(|| self.listed_mutes(&muted));
                match (has_changed, names) {
                    (true, None) => verbs::everybody_unmuted().to_owned(),
                    (true, Some(names)) => verbs::everybody_unmuted_but(&names),
                    (false, None) => verbs::everybody_was_not_muted().to_owned(),
                    (false, Some(names)) => verbs::everybody_was_not_muted_but(&names),
                }
            }
            ConsoleCommand::Mute(Whom::Name(name), time) => {
                let outcome = moderator.mute(&name, time.map(end_of))?;
                self.muted(&outcome, time)
            }
            ConsoleCommand::Unmute(Whom::Name(name)) => unmuted(&moderator.unmute(&name)?),
            ConsoleCommand::Lock => match moderator.lock()? {
                true => verbs::locked().to_owned(),
                false => verbs::was_locked_already().to_owned(),
            },
            ConsoleCommand::Unlock => match moderator.unlock()? {
                true => verbs::unlocked().to_owned(),
                false => verbs::was_not_locked().to_owned(),
            },
            ConsoleCommand::Kick(name, why) => match moderator.kick(&name, why.as_deref()) {
                Ok(name) => verbs::kicked(&name),
                Err(Refusal::NotOnline(name)) => self.not_online(&name),
                Err(refusal) => return Err(refusal),
            },
            ConsoleCommand::Ban(banned, time) => self.ban(banned, time.map(end_of), false)?,
            ConsoleCommand::UnbanAll => {
                let (lifted, saved) = moderator.unban_all()?;
                with_remark(verbs::all_unbanned(lifted), saved)
            }
            ConsoleCommand::Unban(banned) => {
                let saved = moderator.unban(&banned)?;
                with_remark(verbs::unbanned(&banned.to_string()), saved)
            }
            ConsoleCommand::Bans => self.bans(&moderator.bans()?),
            ConsoleCommand::Forget(name) => match moderator.forget(&name)? {
                true => verbs::forgotten_but_online(&name),
                false => verbs::forgotten(&name),
            },
            ConsoleCommand::Watch(whom) => {
                let target = match whom {
                    Banned::Name(name) => WatchTarget::Name(name),
                    Banned::Address(address) => WatchTarget::Address(address),
                };
                let count = moderator.watch(&target, self.watched.clone())?;
                verbs::watched(&target.to_string(), count)
            }
            ConsoleCommand::Unwatch => match moderator.unwatch()? {
                true => verbs::unwatched().to_owned(),
                false => verbs::nobody_watched().to_owned(),
            },
            ConsoleCommand::Attendance(file) => {
                attendance(&moderator.attendance()?, file.as_deref(), |time| {
                    self.clock_of(time)
                })
            }
            ConsoleCommand::Transcript(file) => {
                match (moderator.transcript(file.as_deref())?, file) {
                    (_, Some(file)) => verbs::recorded(file.display()),
                    (true, None) => verbs::recorded_no_more().to_owned(),
                    (false, None) => verbs::not_recorded().to_owned(),
                }
            }
            ConsoleCommand::Register(file) => register(moderator, &file)?,
            ConsoleCommand::Stats => {
                let stats = moderator.stats()?;
                verbs::numbers_since(&self.clock_of(stats.started), &stats.to_string())
            }
            ConsoleCommand::Info => banner::text(self.handle, &own_addresses()).unwrap_or_default(),
            ConsoleCommand::Help => help(),
            ConsoleCommand::Quit => String::new(),
        })
    }

    fn muted(&self, outcome: &RuleChange, time: Option<Duration>) -> String {
        let name = &outcome.name;
        match (outcome.is_online, outcome.has_changed, time) {
            (false, ..) => joined(&[
                self.not_online(name),
                verbs::muted_when_it_comes().to_owned(),
            ]),
            (true, true, Some(time)) => verbs::muted_for(name, &times::in_words(time)),
            (true, true, None) => verbs::muted(name),
            (true, false, _) => verbs::was_muted_already(name),
        }
    }

    /// That a name is not online, and which one may have been meant.
    fn not_online(&self, name: &str) -> String {
        let mut sentences = vec![sentence(&refusals::not_online(name))];
        sentences.extend(self.near(name));
        joined(&sentences)
    }

    /// Which user may have been meant, if one may.
    fn near(&self, name: &str) -> Option<String> {
        let users = self.moderator.room().ok()?.users;
        let names = users.iter().map(|user| user.name.as_str());
        nearest(name, names).map(questions::did_you_mean)
    }

    fn ban(
        &mut self,
        banned: Banned,
        until: Option<Timestamp>,
        is_fine: bool,
    ) -> Result<String, Refusal> {
        let outcome = match &banned {
            Banned::Name(name) => self.moderator.ban_name(name, until)?,
            Banned::Address(address) => {
                match self.moderator.ban_address(*address, until, is_fine) {
                    Err(Refusal::Shared(_, names)) => {
                        let question = questions::address_is_shared(*address, &listed(&names));
                        self.question = Some(Question::Ban(banned, until));
                        return Ok(question);
                    }
                    outcome => outcome?,
                }
            }
        };
        let BanOutcome {
            is_new,
            kicked,
            saved,
        } = outcome;
        let whom = banned.to_string();
        let mut sentences = vec![match (is_new, until) {
            (true, Some(until)) => verbs::banned_until(&whom, &self.clock(until)),
            (true, None) => verbs::banned(&whom),
            (false, _) => verbs::was_banned_already(&whom),
        }];
        sentences.extend(match (&banned, kicked.as_slice()) {
            (Banned::Name(name), []) => Some(self.not_online(name)),
            (Banned::Name(_), [(name, address), ..]) => Some(match address.is_loopback() {
                true => verbs::kicked_for_name(name),
                false => verbs::kicked_for_name_from(name, *address),
            }),
            (Banned::Address(_), []) => None,
            (Banned::Address(_), [(name, _)]) => Some(verbs::one_kicked(name)),
            (Banned::Address(_), kicked) => {
                let names: Vec<String> = kicked.iter().map(|(name, _)| name.clone()).collect();
                Some(verbs::some_kicked(&listed(&names)))
            }
        });
        Ok(with_remark(joined(&sentences), saved))
    }

    fn who(&self, room: &RoomStatus) -> String {
        let mut text = match room.users.as_slice() {
            [] => verbs::nobody_online().to_owned() + "\n",
            users => self.table(users),
        };
        if room.is_everybody_muted {
            text += verbs::everybody_is_muted();
            text.push('\n');
        }
        if !room.muted.is_empty() {
            text += &verbs::muted_by_name(&self.listed_mutes(&room.muted));
            text.push('\n');
        }
        if let Some(time) = room.slow {
            text += &verbs::slow(&times::in_words(time));
            text.push('\n');
        }
        if room.is_private_off {
            text += verbs::private_off();
            text.push('\n');
        }
        if room.is_locked {
            text += verbs::is_locked();
            text.push('\n');
        }
        text
    }

    fn refused(&self, refused: &[RefusedLogin]) -> String {
        if refused.is_empty() {
            return verbs::nobody_refused().to_owned();
        }
        let rows: Vec<[String; 5]> = refused
            .iter()
            .map(|one| {
                [
                    self.clock_of(one.when),
                    Printable(&one.name).to_string(),
                    one.address.ip().to_string(),
                    match one.count {
                        1 => String::new(),
                        count => format!("× {count}"),
                    },
                    Printable(&one.why).to_string(),
                ]
            })
            .collect();
        in_columns(&rows)
    }

    fn table(&self, users: &[User]) -> String {
        let mut rows = vec![
            [
                tables::name(),
                "",
                tables::address(),
                "",
                tables::logged_in_since(),
                tables::messages(),
            ]
            .map(str::to_owned),
        ];
        rows.extend(users.iter().map(|user| {
            [
                user.name.clone(),
                kind_of(user.is_guest).to_owned(),
                user.address.to_string(),
                match user.is_tls {
                    true => "TLS".to_owned(),
                    false => ports::plain().to_owned(),
                },
                self.clock_of(user.since),
                user.messages.to_string(),
            ]
        }));
        in_columns(&rows)
    }

    fn bans(&self, bans: &[Ban]) -> String {
        if bans.is_empty() {
            return verbs::nobody_banned().to_owned();
        }
        let rows: Vec<[String; 3]> = bans
            .iter()
            .map(|ban| {
                let since = ban.since.parse::<jiff::Timestamp>();
                let since = since.map(|since| tables::since(&self.clock(since)));
                let until = ban.until.map(|until| tables::until(&self.clock(until)));
                [
                    ban.banned.to_string(),
                    since.unwrap_or_default(),
                    until.unwrap_or_default(),
                ]
            })
            .collect();
        in_columns(&rows)
    }

    fn listed_mutes(&self, muted: &[MutedName]) -> String {
        let in_words = |muted: &MutedName| match muted.until {
            Some(until) => verbs::name_until(&muted.name, &self.clock(until)),
            None => muted.name.clone(),
        };
        let words: Vec<String> = muted.iter().map(in_words).collect();
        listed(&words)
    }

    fn clock_of(&self, time: SystemTime) -> String {
        jiff::Timestamp::try_from(time).map_or("?".to_owned(), |time| self.clock(time))
    }

    /// A time of day, with its date unless that is today's.
    fn clock(&self, time: jiff::Timestamp) -> String {
        let time = time.to_zoned(self.zone.clone());
        let today = jiff::Timestamp::now().to_zoned(self.zone.clone()).date();
        let format = match time.date() == today {
            true => "%H:%M",
            false => "%Y-%m-%d %H:%M",
        };
        time.strftime(format).to_string()
    }
}

/// What a user is, in the table of who is online, and in that of who was there.
fn kind_of(is_guest: bool) -> &'static str {
    match is_guest {
        true => tables::guest(),
        false => tables::registered(),
    }
}

/// When something ends that lasts this long from now on, to the second.
fn end_of(time: Duration) -> Timestamp {
    let end = Timestamp::now()
        .saturating_add(time)
        .unwrap_or(Timestamp::MAX);
    Timestamp::from_second(end.as_second()).unwrap_or(Timestamp::MAX)
}

fn unmuted(outcome: &RuleChange) -> String {
    let name = &outcome.name;
    match (outcome.has_changed, outcome.is_everybody_muted) {
        (true, false) => verbs::unmuted(name),
        (true, true) => verbs::unmuted_but_everybody_is_muted(name),
        (false, false) => verbs::was_not_muted(name),
        (false, true) => verbs::was_not_muted_but_everybody_is(name),
    }
}

/// What was done, and that the disk failed, if it did.
fn with_remark(done: String, saved: io::Result<()>) -> String {
    match saved {
        Ok(()) => done,
        Err(error) => {
            let error = Printable(&error.to_string()).to_string();
            joined(&[done, verbs::not_on_disk(&error)])
        }
    }
}

/// Whether a line says yes or no, if it says either, in English or in the language of the process.
fn answer(line: &str) -> Option<bool> {
    match line.trim().to_ascii_lowercase().as_str() {
        "yes" | "y" => Some(true),
        "no" | "n" => Some(false),
        word if word == questions::yes() => Some(true),
        word if word == questions::no() => Some(false),
        _ => None,
    }
}

fn help() -> String {
    let rows: Vec<[String; 2]> = VERBS
        .iter()
        .map(|(verb, usage, what)| [format!("{verb} {usage}"), what().to_owned()])
        .collect();
    in_columns(&rows)
}

/// Rows whose columns stand below each other.
fn in_columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (widest, cell) in widths.into_iter().zip(row) {
            let _ = write!(line, "{cell}{:1$}  ", "", widest - width(cell));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Makes a sentence of what has neither a capital letter nor a full stop.
fn sentence(words: &str) -> String {
    capitalised(words) + questions::full_stop()
}
