//! What a teacher can do to a running server. The console is one front end to it; tests and other programs are others.

mod answers;

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::chat::moderation::{ModeratorAction, Rule, RuleChange, SPEAKER, Target};
use crate::chat::{Event, Session, Transcript};
use crate::server::attendance::Attendee;
use crate::server::inbox::StudentMessage;
use crate::server::refusals::RefusedLogin;
use crate::server::shared::Shared;
use crate::server::stats::Stats;
use crate::server::watch::WatchTarget;
use crate::storage::bans::{Ban, Banned, why_not_bannable};
use crate::storage::password;
use crate::sync::channel::{Sender, bounded};
use crate::sync::{Arc, Weak};
use crate::texts::{moderation as texts, reasons};
use crate::transport::watch::Watched;
use crate::transport::{CloseCause, CloseReason, Origin};
use crate::wire::{Lines, NameKey, ServerMessage, check_name};

pub use answers::{BanOutcome, Refusal, RoomStatus, User};

/// How long the disk may take for the last of a transcript.
const TRANSCRIPT_PATIENCE: Duration = Duration::from_secs(1);

/// The teacher's verbs. Each returns when it is done; none is waited for by users who talk.
///
/// It may outlive the server, and doesn't keep it running. The verbs wait for a server that does not
/// [run](super::Server::run) yet.
#[derive(Clone, Debug)]
pub struct Moderator {
    shared: Weak<Shared>,
}

impl Moderator {
    pub(super) fn new(shared: Weak<Shared>) -> Moderator {
        Moderator { shared }
    }

    fn shared(&self) -> Result<Arc<Shared>, Refusal> {
        let shared = self.shared.upgrade().ok_or(Refusal::Stopped)?;
        if shared.is_stopping() {
            return Err(Refusal::Stopped);
        }
        Ok(shared)
    }

    /// Who is online, and what rules hold.
    pub fn room(&self) -> Result<RoomStatus, Refusal> {
        let (online, rules) = self
            .shared()?
            .ask(|reply| ModeratorAction::Look { reply })?;
        let mut users: Vec<User> = online.iter().map(|session| User::of(session)).collect();
        users.sort_by_key(|user| user.name.to_ascii_lowercase());
        Ok(RoomStatus {
            users,
            muted: rules.muted_names(),
            is_everybody_muted: rules.is_everybody_muted(),
            is_locked: rules.is_locked(),
            is_private_off: rules.is_private_off(),
            slow: rules.slow(),
        })
    }

    /// Says something to everybody: a message to the room from [`SPEAKER`], relayed unchanged. It has its place in
    /// the order when this returns.
    pub fn say(&self, text: &str) -> Result<(), Refusal> {
        let shared = self.shared()?;
        let message = ServerMessage::Room {
            speaker: SPEAKER.into(),
            message: text.into(),
        };
        shared.moderate(ModeratorAction::Say(shared.line_of(&message)?))
    }

    /// Says something to one user: a private message from [`SPEAKER`], relayed unchanged. Returns the name as its owner
    /// writes it.
    pub fn tell(&self, name: &str, text: &str) -> Result<String, Refusal> {
        check(name)?;
        let shared = self.shared()?;
        let message = ServerMessage::Private {
            friend_name: SPEAKER.into(),
            message: text.into(),
        };
        let line = shared.line_of(&message)?;
        let key = NameKey::new(name);
        let told = shared.ask(|reply| ModeratorAction::Tell {
            name: key,
            line,
            reply,
        })?;
        told.ok_or_else(|| Refusal::NotOnline(name.to_owned()))
    }

    /// Takes the private messages that users write to [`SPEAKER`], for as long as the channel is kept. Without it they are
    /// told that nobody of this name is online. Each of several channels gets them all.
    pub fn read_messages(&self) -> Result<crossbeam_channel::Receiver<StudentMessage>, Refusal> {
        Ok(self.shared()?.inbox.open())
    }

    /// Lets each user say one thing to the room in the time given, or whenever they like. False if it was so before.
    pub fn slow(&self, time: Option<Duration>) -> Result<bool, Refusal> {
        let (rule, is_on) = (Rule::Slow(time.unwrap_or_default()), time.is_some());
        Ok(self.set_rule(rule, is_on)?.has_changed)
    }

    /// Refuses private messages between users from now on, or no more. What users write to [`SPEAKER`] is never refused by
    /// this. False if it was so before.
    pub fn set_private_off(&self, is_off: bool) -> Result<bool, Refusal> {
        Ok(self.set_rule(Rule::PrivateOff, is_off)?.has_changed)
    }

    /// Refuses what a user says, until [`unmute`](Self::unmute) or the time given, also when the user comes back. Need not be
    /// online.
    /// What was said before is still delivered.
    pub fn mute(&self, name: &str, until: Option<Timestamp>) -> Result<RuleChange, Refusal> {
        check(name)?;
        self.set_rule(Rule::Muted(name.to_owned(), until), true)
    }

    /// Lets a user speak again, unless everybody is muted.
    pub fn unmute(&self, name: &str) -> Result<RuleChange, Refusal> {
        check(name)?;
        self.set_rule(Rule::Muted(name.to_owned(), None), false)
    }

    /// Refuses what anybody says, later comers included. False if it was so before.
    pub fn mute_everybody(&self) -> Result<bool, Refusal> {
        Ok(self.set_rule(Rule::AllMuted, true)?.has_changed)
    }

    /// Lets everybody speak again who is not muted by name. False if it was so before.
    pub fn unmute_everybody(&self) -> Result<bool, Refusal> {
        Ok(self.set_rule(Rule::AllMuted, false)?.has_changed)
    }

    /// Lets nobody log in from now on; those online stay. False if it was so before.
    pub fn lock(&self) -> Result<bool, Refusal> {
        Ok(self.set_rule(Rule::Locked, true)?.has_changed)
    }

    /// Lets everybody log in again. False if it was so before.
    pub fn unlock(&self) -> Result<bool, Refusal> {
        Ok(self.set_rule(Rule::Locked, false)?.has_changed)
    }

    fn set_rule(&self, rule: Rule, is_on: bool) -> Result<RuleChange, Refusal> {
        let wanted = rule.clone();
        let change = self
            .shared()?
            .ask(|reply| ModeratorAction::SetRule { rule, is_on, reply })?;
        if change.has_changed {
            log::info!("{}", in_words(&wanted, &change.name, is_on));
        }
        Ok(change)
    }

    /// Whether the name is registered.
    pub fn is_registered(&self, name: &str) -> Result<bool, Refusal> {
        check(name)?;
        Ok(self.shared()?.accounts.contains(&NameKey::new(name)))
    }

    /// Removes an account, so that its name can be registered anew. It is gone from the disk when this returns. Who
    /// is online by the name stays online, and nobody else can register it meanwhile. True if somebody is.
    pub fn forget(&self, name: &str) -> Result<bool, Refusal> {
        check(name)?;
        let shared = self.shared()?;
        let key = NameKey::new(name);
        let forgotten = shared.accounts.forget(&key).map_err(Refusal::Disk)?;
        let Some(_forgotten) = forgotten else {
            return Err(Refusal::NotRegistered(name.to_owned()));
        };
        log::info!("the account {name} was removed");
        shared.ask(|reply| ModeratorAction::Forget { name: key, reply })
    }

    /// Ends a user's connection, and tells the user `why`. Returns the name as its owner writes it. The others learn
    /// of it at once; the user's connection then has some seconds to get the message through.
    pub fn kick(&self, name: &str, why: Option<&str>) -> Result<String, Refusal> {
        check(name)?;
        let shared = self.shared()?;
        let words = why.unwrap_or(reasons::kicked());
        shared.line_of(&ServerMessage::notice(words))?;
        let whom = Target::Name(NameKey::new(name));
        let cause = CloseCause::new(CloseReason::Kicked, words.to_owned());
        let kicked = shared.expel(whom, cause)?;
        match kicked.first() {
            Some(session) => Ok(session.name().to_owned()),
            None => Err(Refusal::NotOnline(name.to_owned())),
        }
    }

    /// Lets nobody log in by this name any more, or until the time given, and kicks who is online by it.
    pub fn ban_name(&self, name: &str, until: Option<Timestamp>) -> Result<BanOutcome, Refusal> {
        check(name)?;
        let whom = Target::Name(NameKey::new(name));
        self.ban(Banned::Name(name.to_owned()), until, whom)
    }

    /// Refuses connections from an address from now on, or until the time given, and ends those there are. If several users
    /// who are online share it, it is only banned if that `is_fine`.
    pub fn ban_address(
        &self,
        address: IpAddr,
        until: Option<Timestamp>,
        is_fine: bool,
    ) -> Result<BanOutcome, Refusal> {
        let address = address.to_canonical();
        if let Some(why) = why_not_bannable(address) {
            return Err(Refusal::NotBannable(address, why));
        }
        let users = self.room()?.users;
        let sharers: Vec<String> = users
            .into_iter()
            .filter(|user| user.address.ip() == address)
            .map(|user| user.name)
            .collect();
        if sharers.len() > 1 && !is_fine {
            return Err(Refusal::Shared(address, sharers));
        }
        let whom = Target::Address(address);
        self.ban(Banned::Address(address), until, whom)
    }

    fn ban(
        &self,
        banned: Banned,
        until: Option<Timestamp>,
        whom: Target,
    ) -> Result<BanOutcome, Refusal> {
        let shared = self.shared()?;
        // A user who logs in after this is refused, and one who did before is found by the action that follows.
        let is_new = shared.bans.add(banned.clone(), until);
        if is_new {
            log::info!("{banned} was banned");
        }
        let cause = CloseCause::new(CloseReason::Banned, reasons::banned());
        let kicked = shared.expel(whom, cause);
        if let Banned::Address(address) = &banned {
            // Connections that nobody is logged in by are told nothing. Those that are drained already keep their cause.
            let connections = shared.connections.all();
            for connection in connections.iter().filter(|one| one.peer().ip() == *address) {
                connection.drain_from_outside(CloseReason::Banned.into());
            }
        }
        let saved = shared.save_bans();
        let with_address = |session: &Arc<Session>| {
            let address = session.connection().peer().ip();
            (session.name().to_owned(), address)
        };
        Ok(BanOutcome {
            is_new,
            kicked: kicked?.iter().map(with_address).collect(),
            saved,
        })
    }

    /// Lifts a ban. The inner result says whether that is on disk.
    pub fn unban(&self, banned: &Banned) -> Result<io::Result<()>, Refusal> {
        let shared = self.shared()?;
        if !shared.bans.remove(&banned.to_canonical()) {
            return Err(Refusal::NotBanned(banned.clone()));
        }
        log::info!("{banned} is no longer banned");
        Ok(shared.save_bans())
    }

    /// Lifts all bans. Returns how many there were, and whether that is on disk.
    pub fn unban_all(&self) -> Result<(usize, io::Result<()>), Refusal> {
        let shared = self.shared()?;
        let lifted = shared.bans.remove_all();
        if lifted > 0 {
            log::info!("all bans were lifted, {lifted} of them");
        }
        Ok((lifted, shared.save_bans()))
    }

    /// Who is banned, the oldest ban first.
    pub fn bans(&self) -> Result<Vec<Ban>, Refusal> {
        Ok(self.shared()?.bans.list())
    }

    /// Who could not get in lately, the oldest first. The reasons are in the language of the process.
    pub fn refused_logins(&self) -> Result<Vec<RefusedLogin>, Refusal> {
        Ok(self.shared()?.refusals.list())
    }

    /// Who has been online since the start, in the order of the alphabet.
    pub fn attendance(&self) -> Result<Vec<Attendee>, Refusal> {
        let shared = self.shared()?;
        let (online, _) = shared.ask(|reply| ModeratorAction::Look { reply })?;
        Ok(shared.attendance.list(&online))
    }

    /// Writes what is said in the room from now on to a file, or to none any more; never what is private. Everybody is told,
    /// and who logs in while it goes on. A file that is there is appended to. False if there is nothing to end.
    pub fn transcript(&self, file: Option<&Path>) -> Result<bool, Refusal> {
        let shared = self.shared()?;
        let (transcript, end) = file
            .map(Transcript::open)
            .transpose()
            .map_err(Refusal::File)?
            .unzip();
        let is_on = transcript.is_some();
        let was_on = shared.ask(|reply| ModeratorAction::Record { transcript, reply })?;
        let before = std::mem::replace(&mut *shared.transcript.lock(), end);
        if let Some(before) = before {
            before.wait(TRANSCRIPT_PATIENCE);
        }
        match file {
            Some(file) => log::info!("what is said is written to {}", file.display()),
            None if was_on => log::info!("what is said is no longer written down"),
            None => {}
        }
        Ok(is_on || was_on)
    }

    /// Registers a name, also while users may not, with a password that is made for it and returned. The account is on disk
    /// then. The error is a sentence.
    pub fn register(&self, name: &str) -> Result<Result<String, String>, Refusal> {
        check(name)?;
        let shared = self.shared()?;
        let password = password::generate().map_err(|error| Refusal::File(error.into()))?;
        // Connections are counted from 1.
        let teacher = Origin::Own(0);
        let registered = shared.accounts.add(name, &password, 0, teacher);
        if registered.is_ok() {
            log::info!("{name} was registered by the teacher");
        }
        Ok(registered.map(|()| password).map_err(String::from))
    }

    /// Shows what the clients of a user, or from an address, send and receive from now on, through `watched`, and of nobody
    /// else any more. Users who are logged in are told. Returns of how many that are connected.
    pub fn watch(
        &self,
        target: &WatchTarget,
        watched: crossbeam_channel::Sender<Watched>,
    ) -> Result<usize, Refusal> {
        if let WatchTarget::Name(name) = target {
            check(name)?;
        }
        self.unwatch()?;
        let shared = self.shared()?;
        shared.watch.set(Some((target.clone(), watched)));
        let mut count = 0;
        for connection in shared.connections.all() {
            count += usize::from(shared.watch.note_connection(&connection));
        }
        // Its lock is released before anything is sent.
        let sessions: Vec<Arc<Session>> = shared.sessions.read().values().cloned().collect();
        let named = sessions
            .iter()
            .filter(|session| shared.watch.note_session(session))
            .count();
        log::info!("{target} is watched");
        Ok(count.max(named))
    }

    /// Shows nothing of anybody any more; users who were watched are told. False if nobody was to be watched.
    pub fn unwatch(&self) -> Result<bool, Refusal> {
        let shared = self.shared()?;
        let was_on = shared.watch.set(None);
        for connection in shared.connections.all() {
            if connection.unwatch() == Some(true) {
                connection.send(&ServerMessage::notice(texts::watched_no_more()));
            }
        }
        if was_on {
            log::info!("nobody is watched any more");
        }
        Ok(was_on)
    }

    /// The same, but only if what is watched goes through this channel.
    pub fn unwatch_through(
        &self,
        watched: &crossbeam_channel::Sender<Watched>,
    ) -> Result<bool, Refusal> {
        match self.shared()?.watch.goes_through(watched) {
            true => self.unwatch(),
            false => Ok(false),
        }
    }

    /// What has happened since the start.
    pub fn stats(&self) -> Result<Stats, Refusal> {
        Ok(self.shared()?.stats())
    }
}

/// What the log says of a rule that has changed; `name` is whom it is about, if it is about one.
fn in_words(rule: &Rule, name: &str, is_on: bool) -> String {
    match (rule, is_on) {
        (Rule::Muted(_, None), true) => format!("{name} was muted"),
        (Rule::Muted(_, Some(until)), true) => format!("{name} was muted until {until}"),
        (Rule::Muted(..), false) => format!("{name} is no longer muted"),
        (Rule::AllMuted, true) => "everybody was muted".to_owned(),
        (Rule::AllMuted, false) => "everybody may write again".to_owned(),
        (Rule::Locked, true) => "the server was locked".to_owned(),
        (Rule::Locked, false) => "the server was unlocked".to_owned(),
        (Rule::Slow(time), true) => {
            let time = humantime::format_duration(*time);
            format!("each user may say one thing in {time}")
        }
        (Rule::Slow(_), false) => "users may write as often as before".to_owned(),
        (Rule::PrivateOff, true) => "private messages were switched off".to_owned(),
        (Rule::PrivateOff, false) => "private messages were switched on".to_owned(),
    }
}

fn check(name: &str) -> Result<(), Refusal> {
    check_name(name).map_err(|why| Refusal::NoName(name.to_owned(), why))
}

impl Shared {
    /// The line of what the teacher says, if it may be so long. Escapes make it longer than its text, and it is the line that
    /// waits in everybody's backlog.
    fn line_of(&self, message: &ServerMessage) -> Result<Lines, Refusal> {
        let line = message.to_line();
        match line.len() <= self.config.max_frame {
            true => Ok(line),
            false => Err(Refusal::TooLong(self.config.max_frame)),
        }
    }

    fn moderate(&self, action: ModeratorAction) -> Result<(), Refusal> {
        let posted = self.events.post(Event::Moderate(action));
        posted.map_err(|_| Refusal::Stopped)
    }

    /// Posts an action, and waits for its reply.
    fn ask<T>(&self, action: impl FnOnce(Sender<T>) -> ModeratorAction) -> Result<T, Refusal> {
        let (reply, replied) = bounded(1);
        self.moderate(action(reply))?;
        replied.recv().map_err(|_| Refusal::Stopped)
    }

    fn expel(&self, whom: Target, cause: CloseCause) -> Result<Vec<Arc<Session>>, Refusal> {
        self.ask(|reply| ModeratorAction::Expel { whom, cause, reply })
    }

    fn save_bans(&self) -> io::Result<()> {
        self.bans
            .save()
            .inspect_err(|error| log::error!("cannot write the bans to the disk: {error}"))
    }
}
