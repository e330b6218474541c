//! What the teacher's verbs return: who is online, what came of a ban, and why a verb did nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use crate::chat::Session;
use crate::chat::moderation::MutedName;
use crate::printable::Printable;
use crate::storage::bans::Banned;
use crate::texts::lists::listed;
use crate::texts::{mistakes, reasons, refusals};
use crate::transport::PortKind;
use crate::wire::NameError;

/// A user who is online.
#[derive(Clone, Debug)]
pub struct User {
    /// The name, as its owner wrote it at login.
    pub name: String,
    /// Whether the user logged in without a password.
    pub is_guest: bool,
    /// Whether the user can't speak now.
    pub is_muted: bool,
    /// Where the user's connection comes from.
    pub address: SocketAddr,
    /// What is spoken on the port that it came to.
    pub kind: PortKind,
    /// When the user logged in.
    pub since: SystemTime,
    /// How many messages, to the room and private ones, the user has sent.
    pub messages: u64,
}

impl User {
    pub(super) fn of(session: &Session) -> User {
        let connection = session.connection();
        User {
            name: session.name().to_owned(),
            is_guest: session.is_guest(),
            is_muted: session.is_muted(),
            address: connection.peer(),
            kind: connection.kind(),
            since: session.since(),
            messages: connection.messages(),
        }
    }
}

/// Who is online, and what rules hold.
#[derive(Clone, Debug)]
pub struct RoomStatus {
    /// Everybody online, in the order of the alphabet.
    pub users: Vec<User>,
    /// Who is muted by name, online or not.
    pub muted: Vec<MutedName>,
    /// Whether everybody is muted.
    pub is_everybody_muted: bool,
    /// Whether nobody can log in.
    pub is_locked: bool,
    /// Whether private messages are refused.
    pub is_private_off: bool,
    /// In which time each user may say one thing to the room, if that is limited.
    pub slow: Option<Duration>,
}

/// What came of a ban.
#[derive(Debug)]
pub struct BanOutcome {
    /// Whether there was none before, or one with another end.
    pub is_new: bool,
    /// Who was online and had to leave, with the address.
    pub kicked: Vec<(String, IpAddr)>,
    /// Whether the ban is on disk. If it is not, it holds until the server stops.
    pub saved: io::Result<()>,
}

/// Why a verb did nothing.
#[derive(Debug)]
pub enum Refusal {
    /// The server stops, or has stopped.
    Stopped,
    /// No user can have this name: why.
    NoName(String, NameError),
    /// No user of this name is online.
    NotOnline(String),
    /// The name is not registered.
    NotRegistered(String),
    /// This can't be banned: why.
    NotBannable(IpAddr, &'static str),
    /// Several users who are online have this address.
    Shared(IpAddr, Vec<String>),
    /// There is no such ban.
    NotBanned(Banned),
    /// The text has more bytes than a message may have.
    TooLong(usize),
    /// The disk fails.
    Disk(io::Error),
    /// A file that the teacher has named can't be used.
    File(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Refusal::Stopped => reasons::server_stops().to_owned(),
            Refusal::NoName(name, why) => {
                mistakes::no_name(&Printable(name).to_string(), &why.to_string())
            }
            Refusal::NotOnline(name) => refusals::not_online(name),
            Refusal::NotRegistered(name) => refusals::not_registered(name),
            Refusal::NotBannable(address, why) => refusals::not_bannable(*address, why),
            Refusal::Shared(address, names) => refusals::shared(*address, &listed(names)),
            Refusal::NotBanned(banned) => refusals::not_banned(&banned.to_string()),
            Refusal::TooLong(limit) => refusals::too_long(*limit),
            Refusal::Disk(error) => refusals::disk(error),
            Refusal::File(error) => refusals::file(error),
        })
    }
}

impl std::error::Error for Refusal {}
