//! The roster, beside a model of who must be sent what.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use chatd::chat::roster::{Member, Roster};
use chatd::transport::Batch;
use chatd::wire::{Framing, Lines, NameKey, ServerMessage};
use parking_lot::{Mutex, RwLock};

/// Names, each in two spellings.
const NAMES: [[&str; 2]; 5] = [
    ["Anna", "aNNA"],
    ["Bob1", "BOB1"],
    ["Carol", "carol"],
    ["0000", "0000"],
    ["Dora", "DORA"],
];

/// What can happen to a roster. Numbers stand for the names and sessions that there are, and wrap around.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A new session of this name, unless the name is online.
    Join {
        name: u8,
        spelling: bool,
        is_guest: bool,
    },
    /// A session leaves, counted from the newest; it may have left before, and its name be somebody else's.
    Leave { session: u8 },
    /// So many messages to the room, at once.
    Say { lines: u8 },
    /// A private message to this name.
    Write { name: u8 },
    /// The end of a batch.
    Flush,
    /// Everybody is forgotten.
    Clear,
}

type SessionMap = Arc<RwLock<HashMap<NameKey, Arc<Session>>>>;

/// A session that keeps what it is sent.
#[derive(Debug)]
struct Session {
    number: usize,
    name: &'static str,
    key: NameKey,
    is_guest: bool,
    map: SessionMap,
    /// The 11, once it has come.
    reply: Mutex<Option<Lines>>,
    /// All broadcasts.
    lines: Mutex<Vec<u8>>,
}

impl Member for Session {
    fn name(&self) -> &str {
        self.name
    }

    fn key(&self) -> &NameKey {
        &self.key
    }

    fn is_guest(&self) -> bool {
        self.is_guest
    }

    fn push_roster(&self, line: Lines) {
        assert!(
            self.lines.lock().is_empty(),
            "the 11 comes before any broadcast"
        );
        assert!(
            !self.map.read().contains_key(&self.key),
            "nobody can write to a session before its 11"
        );
        let before = self.reply.lock().replace(line);
        assert_eq!(before, None, "a second 11");
    }

    fn push(&self, batch: &Batch, from: usize) -> usize {
        let bytes = &batch.lines()[from..];
        assert!(bytes.ends_with(b"\n"), "something, and whole lines");
        assert!(self.reply.lock().is_some(), "a broadcast before the 11");
        let share = batch.share(Framing::Stream, from);
        assert_eq!(share.bytes(), bytes, "the form as a stream");
        assert_eq!(*share.to_shared(), *bytes, "the same for queues");
        let share = batch.share(Framing::Prefixed, from);
        assert_eq!(
            unprefixed(share.bytes()),
            bytes,
            "the form with length prefixes"
        );
        assert_eq!(*share.to_shared(), *share.bytes(), "the same for queues");
        let mut lines = self.lines.lock();
        lines.extend_from_slice(bytes);
        lines.len()
    }
}

/// Lines that were given length prefixes.
fn unprefixed(mut frames: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    while let Some((length, rest)) = frames.split_first_chunk::<4>() {
        let (line, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        lines.extend_from_slice(line);
        lines.push(b'\n');
        frames = rest;
    }
    assert!(frames.is_empty(), "half a length");
    lines
}

/// Whatever a session holds as long as it is online.
#[derive(Debug)]
struct Claim {
    number: usize,
    held: Rc<RefCell<BTreeSet<usize>>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        assert!(self.held.borrow_mut().remove(&self.number));
    }
}

/// What is known of a session beside the session itself.
#[derive(Debug)]
struct Known {
    session: Arc<Session>,
    /// Where in the one order its share begins, in bytes, and where it ends.
    share: (usize, Option<usize>),
    /// Up to where it must have been sent its share by now.
    due: usize,
    /// How many bytes it had been sent at the last look, and who was online as far as these tell.
    seen: Cell<usize>,
    presence: RefCell<Option<BTreeMap<String, bool>>>,
}

/// A roster and all that should be true of it.
struct Model {
    roster: Roster<Session, Claim>,
    map: SessionMap,
    held: Rc<RefCell<BTreeSet<usize>>>,
    /// The one order: every broadcast there ever was.
    order: Vec<u8>,
    /// Where in the order the present batch begins.
    batch: usize,
    /// Who is online at each point of the order that a broadcast begins or ends at.
    online_at: BTreeMap<usize, BTreeMap<String, bool>>,
    /// Every session there ever was.
    sessions: Vec<Known>,
    /// The number of the session that has the name.
    online: BTreeMap<NameKey, usize>,
    said: usize,
}

/// Applies events to a roster, and checks all that it promises after each.
pub fn check(events: &[Event]) {
    let map = SessionMap::default();
    let mut model = Model {
        roster: Roster::new(Arc::clone(&map)),
        map,
        held: Rc::default(),
        order: Vec::new(),
        batch: 0,
        online_at: BTreeMap::from([(0, BTreeMap::new())]),
        sessions: Vec::new(),
        online: BTreeMap::new(),
        said: 0,
    };
    for event in events {
        model.apply(*event);
        model.check();
    }
    model.apply(Event::Flush);
    model.check();
    model.apply(Event::Clear);
    model.check();
}

impl Model {
    fn apply(&mut self, event: Event) {
        match event {
            Event::Join {
                name,
                spelling,
                is_guest,
            } => {
                let name = NAMES[usize::from(name) % NAMES.len()][usize::from(spelling)];
                self.join(name, is_guest);
            }
            Event::Leave { session } => {
                if let Some(back) = usize::from(session).checked_rem(self.sessions.len()) {
                    self.leave(self.sessions.len() - 1 - back);
                }
            }
            Event::Say { lines } => {
                let mut said = Vec::new();
                for _ in 0..=lines % 3 {
                    said.extend(format!("{{\"Command\":\"32\",\"n\":{}}}\n", self.said).bytes());
                    self.said += 1;
                }
                self.roster.broadcast(&said);
                self.append(&said);
            }
            Event::Write { name } => {
                let key = NameKey::new(NAMES[usize::from(name) % NAMES.len()][0]);
                let member = self.roster.flush_member(&key);
                match (member, self.online.get(&key)) {
                    (Some(member), Some(number)) => {
                        assert_eq!(member.number, *number, "whose name it is");
                        self.sessions[*number].due = self.order.len();
                    }
                    (None, None) => {}
                    (member, number) => panic!("{key:?} is {member:?}, not {number:?}"),
                }
            }
            Event::Flush => {
                self.roster.flush(usize::MAX);
                self.everybody_is_due();
            }
            Event::Clear => {
                let forgotten: Vec<_> = self.roster.members().cloned().collect();
                self.roster.clear();
                self.everybody_is_due();
                let mut forgotten: Vec<usize> =
                    forgotten.iter().map(|session| session.number).collect();
                forgotten.sort_unstable();
                let mut online: Vec<usize> = self.online.values().copied().collect();
                online.sort_unstable();
                assert_eq!(forgotten, online, "who was online");
                for number in std::mem::take(&mut self.online).into_values() {
                    self.sessions[number].share.1 = Some(self.order.len());
                }
            }
        }
    }

    fn join(&mut self, name: &'static str, is_guest: bool) {
        let key = NameKey::new(name);
        let is_online = self.online.contains_key(&key);
        assert_eq!(self.roster.contains(&key), is_online, "{name}");
        if is_online {
            return;
        }
        let number = self.sessions.len();
        let session = Arc::new(Session {
            number,
            name,
            key: key.clone(),
            is_guest,
            map: Arc::clone(&self.map),
            reply: Mutex::default(),
            lines: Mutex::default(),
        });
        self.held.borrow_mut().insert(number);
        let claim = Claim {
            number,
            held: Rc::clone(&self.held),
        };
        self.roster.join(Arc::clone(&session), claim);
        self.online.insert(key, number);
        let notice = ServerMessage::LoggedOn {
            name: name.into(),
            is_user_guest: is_guest.into(),
        };
        let known = Known {
            session,
            share: (0, None),
            due: 0,
            seen: Cell::new(0),
            presence: RefCell::default(),
        };
        self.sessions.push(known);
        self.append(&notice.to_line());
        // The newcomer does not see its own 30.
        let known = &mut self.sessions[number];
        known.share.0 = self.order.len();
        known.due = self.order.len();
    }

    fn leave(&mut self, number: usize) {
        let session = Arc::clone(&self.sessions[number].session);
        let is_online = self.online.get(&session.key) == Some(&number);
        assert_eq!(self.roster.leave(&session), is_online, "{}", session.name);
        if !is_online {
            return;
        }
        let known = &mut self.sessions[number];
        // Everything before its own 31.
        known.share.1 = Some(self.order.len());
        known.due = self.order.len();
        self.online.remove(&session.key);
        let notice = ServerMessage::LoggedOut {
            name: session.name.into(),
        };
        self.append(&notice.to_line());
    }

    fn append(&mut self, lines: &[u8]) {
        // Those in the middle change nothing.
        let before = self.online_at.last_key_value().unwrap().1.clone();
        let mut end = self.order.len();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            end += line.len();
            self.online_at.insert(end, before.clone());
        }
        self.order.extend_from_slice(lines);
        self.note_online();
    }

    /// Notes who is online from this point of the order on.
    fn note_online(&mut self) {
        let online = self.online.values().map(|number| {
            let session = &self.sessions[*number].session;
            (session.name.to_owned(), session.is_guest)
        });
        self.online_at.insert(self.order.len(), online.collect());
    }

    fn everybody_is_due(&mut self) {
        for number in self.online.values() {
            self.sessions[*number].due = self.order.len();
        }
        self.batch = self.order.len();
    }

    fn check(&self) {
        assert_eq!(self.roster.members().count(), self.online.len());
        assert_eq!(self.roster.pending(), self.order.len() - self.batch);
        let map = self.map.read();
        let shared: BTreeMap<NameKey, usize> = map
            .iter()
            .map(|(key, session)| (key.clone(), session.number))
            .collect();
        assert_eq!(shared, self.online, "the map is who is online");
        let online: BTreeSet<usize> = self.online.values().copied().collect();
        assert_eq!(*self.held.borrow(), online, "claims are held while online");
        for known in &self.sessions {
            self.check_session(known);
        }
    }

    fn check_session(&self, known: &Known) {
        let name = known.session.name;
        let lines = known.session.lines.lock();
        let (start, end) = known.share;
        let share = &self.order[start..end.unwrap_or(self.order.len())];
        assert!(
            share.starts_with(&lines),
            "{name} was sent {:?}, not {:?}",
            String::from_utf8_lossy(&lines),
            String::from_utf8_lossy(share)
        );
        assert!(
            start + lines.len() >= known.due,
            "{name} was not sent {:?}",
            String::from_utf8_lossy(&self.order[start + lines.len()..known.due])
        );
        self.follow(known, start, &lines);
    }

    /// Follows presence as a client would, from the 11 on, and compares it with who was online at each point.
    fn follow(&self, known: &Known, start: usize, lines: &[u8]) {
        let mut presence = known.presence.borrow_mut();
        let presence = presence.get_or_insert_with(|| {
            let reply = known.session.reply.lock();
            let presence = friends_in(reply.as_ref().expect("an 11"));
            assert_eq!(&presence, &self.online_at[&start], "Friends");
            presence
        });
        for line in lines[known.seen.get()..].split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(ServerMessage::LoggedOn {
                    name,
                    is_user_guest,
                }) => {
                    let others = presence.keys();
                    let is_new = others
                        .map(|other| NameKey::new(other))
                        .all(|other| other != NameKey::new(&name));
                    assert!(is_new, "{name} came twice");
                    presence.insert(name.into_owned(), is_user_guest == 1);
                }
                Ok(ServerMessage::LoggedOut { name }) => {
                    assert!(presence.remove(&*name).is_some(), "{name} left twice");
                }
                _ => {}
            }
            known.seen.set(known.seen.get() + line.len());
            assert_eq!(
                &*presence,
                &self.online_at[&(start + known.seen.get())],
                "after {}",
                String::from_utf8_lossy(line)
            );
        }
    }
}

/// Who is online according to an 11.
fn friends_in(reply: &[u8]) -> BTreeMap<String, bool> {
    let Ok(ServerMessage::LoginReply {
        flag: 1,
        friends,
        message: None,
    }) = serde_json::from_slice(reply)
    else {
        panic!("no 11: {}", String::from_utf8_lossy(reply));
    };
    let count = friends.len();
    let friends: BTreeMap<String, bool> = friends
        .into_iter()
        .map(|(name, guest)| (name.into_owned(), guest == 1))
        .collect();
    assert_eq!(friends.len(), count, "somebody twice");
    friends
}
