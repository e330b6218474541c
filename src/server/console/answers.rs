//! What the console answers: each verb carried out by the [`Moderator`], and what came of it in sentences and tables.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crossbeam_channel::Sender;
use jiff::Timestamp;

use super::class::{attendance, register};
use super::columns::in_columns;
use super::console_command::{ConsoleCommand, VERBS, Whom, nearest};
use crate::chat::moderation::{MutedName, RuleChange};
use crate::printable::Printable;
use crate::server::addresses::own_addresses;
use crate::server::banner;
use crate::server::handle::Handle;
use crate::server::moderator::{BanOutcome, Moderator, Refusal, RoomStatus, User};
use crate::server::refusals::RefusedLogin;
use crate::server::watch::WatchTarget;
use crate::storage::bans::{Ban, Banned};
use crate::texts::lists::listed;
use crate::texts::{
    banner as ports, capitalised, console as questions, joined, refusals, tables, times, verbs,
};
use crate::transport::watch::Watched;

/// What comes of a command.
pub(super) enum Answer {
    /// It was carried out, or could not be.
    Done(String),
    /// It is carried out if the teacher says yes to this.
    Ask(Question, String),
}

/// What the next line is to answer with yes or no.
pub(super) enum Question {
    /// Whether to ban an address that several users share.
    Ban(Banned, Option<Timestamp>),
    /// Whether to remove an account.
    Forget(String),
    /// Whether to stop the server, though somebody is online.
    Quit,
}

/// Carries out what one console's teacher types.
pub(super) struct Answers<'a> {
    pub(super) handle: &'a Handle,
    pub(super) moderator: &'a Moderator,
    /// Whether somebody types, who can be asked.
    pub(super) is_terminal: bool,
    /// Whether a QR code may be shown, if there is room.
    pub(super) may_show_codes: bool,
    /// The folder in which files are that are named without one; that of the process if this is empty.
    pub(super) folder: PathBuf,
    /// Of the clock on the teacher's wall.
    pub(super) zone: jiff::tz::TimeZone,
    /// To the thread that shows what those send and receive who are watched.
    pub(super) watched: Sender<Watched>,
}

impl Answers<'_> {
    /// Carries out a command, and returns what is to be said about it.
    pub(super) fn obey(&self, command: ConsoleCommand) -> Result<Answer, Refusal> {
        let moderator = self.moderator;
        Ok(Answer::Done(match command {
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
            ConsoleCommand::Ban(banned, time) => return self.ban(banned, time.map(end_of), false),
            ConsoleCommand::UnbanAll => {
                let (lifted, saved) = moderator.unban_all()?;
                with_remark(verbs::all_unbanned(lifted), saved)
            }
            ConsoleCommand::Unban(banned) => {
                let saved = moderator.unban(&banned)?;
                with_remark(verbs::unbanned(&banned.to_string()), saved)
            }
            ConsoleCommand::Bans => self.bans(&moderator.bans()?),
            ConsoleCommand::Forget(name) => {
                if self.is_terminal && moderator.is_registered(&name)? {
                    let question = questions::forget(&name);
                    return Ok(Answer::Ask(Question::Forget(name), question));
                }
                self.forget(&name)?
            }
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
                let file = file.map(|file| self.folder.join(file));
                attendance(&moderator.attendance()?, file.as_deref(), |time| {
                    self.clock_of(time)
                })
            }
            ConsoleCommand::Transcript(file) => {
                let file = file.map(|file| self.folder.join(file));
                match (moderator.transcript(file.as_deref())?, file) {
                    (_, Some(file)) => verbs::recorded(file.display()),
                    (true, None) => verbs::recorded_no_more().to_owned(),
                    (false, None) => verbs::not_recorded().to_owned(),
                }
            }
            ConsoleCommand::Register(file) => register(moderator, &self.folder.join(file))?,
            ConsoleCommand::Stats => {
                let stats = moderator.stats()?;
                verbs::numbers_since(&self.clock_of(stats.started), &stats.to_string())
            }
            ConsoleCommand::Info => {
                let has_room = self.may_show_codes && banner::has_room_for_code();
                banner::info(self.handle, &own_addresses(), has_room).unwrap_or_default()
            }
            ConsoleCommand::Help => help(),
            ConsoleCommand::Quit => String::new(),
        }))
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
    pub(super) fn near(&self, name: &str) -> Option<String> {
        let users = self.moderator.room().ok()?.users;
        let names = users.iter().map(|user| user.name.as_str());
        nearest(name, names).map(questions::did_you_mean)
    }

    /// Removes an account.
    pub(super) fn forget(&self, name: &str) -> Result<String, Refusal> {
        Ok(match self.moderator.forget(name)? {
            true => verbs::forgotten_but_online(name),
            false => verbs::forgotten(name),
        })
    }

    /// Bans, but asks first about an address that several share, unless that `is_fine`.
    pub(super) fn ban(
        &self,
        banned: Banned,
        until: Option<Timestamp>,
        is_fine: bool,
    ) -> Result<Answer, Refusal> {
        let outcome = match &banned {
            Banned::Name(name) => self.moderator.ban_name(name, until)?,
            Banned::Address(address) => {
                match self.moderator.ban_address(*address, until, is_fine) {
                    Err(Refusal::Shared(_, names)) => {
                        let question = questions::address_is_shared(*address, &listed(&names));
                        return Ok(Answer::Ask(Question::Ban(banned, until), question));
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
        Ok(Answer::Done(with_remark(joined(&sentences), saved)))
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
                ports::kind(user.kind).to_owned(),
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
pub(super) fn kind_of(is_guest: bool) -> &'static str {
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

fn help() -> String {
    let rows: Vec<[String; 2]> = VERBS
        .iter()
        .map(|(verb, usage, what)| [format!("{verb} {usage}"), what().to_owned()])
        .collect();
    in_columns(&rows)
}

/// Makes a sentence of what has neither a capital letter nor a full stop.
pub(super) fn sentence(words: &str) -> String {
    capitalised(words) + questions::full_stop()
}
