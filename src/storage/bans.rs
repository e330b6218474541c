//! Names and addresses that are banned, kept in a file.
//!
//! The list is asked when a connection comes and when a user logs in, never for a message.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{durable_file, regular_file};
use crate::printable::Printable;
use crate::sync::Mutex;
use crate::texts::{refusals, start_errors as texts};
use crate::wire::check_name;

/// Whom a ban keeps out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Banned {
    /// A name in any letter case, whether a guest uses it or it is registered.
    Name(String),
    /// Everybody from an address. An IPv4 address is never in IPv6 form.
    Address(IpAddr),
}

impl Banned {
    /// Turns an IPv4 address that is written as an IPv6 one (::ffff:192.0.2.7) into what it is.
    pub fn to_canonical(&self) -> Banned {
        match self {
            Banned::Address(address) => Banned::Address(address.to_canonical()),
            Banned::Name(name) => Banned::Name(name.clone()),
        }
    }

    fn is_same(&self, other: &Banned) -> bool {
        match (self, other) {
            (Banned::Name(one), Banned::Name(another)) => one.eq_ignore_ascii_case(another),
            (one, another) => one == another,
        }
    }
}

impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Banned::Name(name) => f.write_str(name),
            Banned::Address(address) => address.fmt(f),
        }
    }
}

/// One ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ban {
    /// Whom it keeps out.
    #[serde(flatten)]
    pub banned: Banned,
    /// Since when (RFC 3339, UTC).
    pub since: String,
    /// Until when it holds (likewise in the file). `None` is until it is lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Ban {
    fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Why the file can't be used.
#[derive(Debug)]
pub enum BansError {
    /// It can't be read.
    Io(PathBuf, io::Error),
    /// It can be read, but not understood: what is wrong.
    Damaged(PathBuf, String),
}

impl fmt::Display for BansError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            BansError::Io(path, error) => texts::bans(path.display(), error),
            BansError::Damaged(path, what) => {
                texts::bans_damaged(path.display(), &Printable(what).to_string())
            }
        })
    }
}

impl std::error::Error for BansError {}

/// All bans.
#[derive(Debug)]
pub struct Bans {
    path: PathBuf,
    /// A leaf lock, held for moments only.
    list: Mutex<List>,
    /// The number of the last change that is on disk. Held while the list is written, never together with `list`.
    saved: Mutex<u64>,
}

#[derive(Debug, Default)]
struct List {
    bans: Vec<Ban>,
    /// Counts changes.
    change: u64,
}

impl List {
    /// The ban that holds, if any does.
    fn find(&self, banned: &Banned) -> Option<&Ban> {
        let found = self.bans.iter().find(|ban| ban.banned.is_same(banned));
        // The clock is only asked where there may be a ban.
        found.filter(|ban| ban.holds(Timestamp::now()))
    }

    /// Removes those that are over.
    fn remove_expired(&mut self) {
        let (before, now) = (self.bans.len(), Timestamp::now());
        self.bans.retain(|ban| ban.holds(now));
        self.change += u64::from(self.bans.len() < before);
    }
}

impl Bans {
    /// Reads the bans from a file, if there is one.
    pub fn open(path: &Path) -> Result<Bans, BansError> {
        let bytes = match regular_file::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"[]".to_vec(),
            Err(error) => return Err(BansError::Io(path.to_owned(), error)),
        };
        let bans = parse(&bytes).map_err(|what| BansError::Damaged(path.to_owned(), what))?;
        Ok(Bans {
            path: path.to_owned(),
            list: Mutex::new(List { bans, change: 0 }),
            saved: Mutex::new(0),
        })
    }

    /// All that hold, the oldest first.
    pub fn list(&self) -> Vec<Ban> {
        let mut list = self.list.lock();
        list.remove_expired();
        list.bans.clone()
    }

    /// Whether connections from this address are refused.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.has(&Banned::Address(address.to_canonical()))
    }

    /// Whether nobody can log in by this name.
    pub fn has_name(&self, name: &str) -> bool {
        self.has(&Banned::Name(name.to_owned()))
    }

    fn has(&self, banned: &Banned) -> bool {
        self.list.lock().find(banned).is_some()
    }

    /// Adds a ban; it holds from now on, until the time given, if any is. One that there is already gets this end in place of
    /// its own. False if it is there with this same end. Nothing is on disk before [`save`](Self::save).
    pub fn add(&self, banned: Banned, until: Option<Timestamp>) -> bool {
        let mut list = self.list.lock();
        list.remove_expired();
        let found = list.bans.iter_mut().find(|ban| ban.banned.is_same(&banned));
        match found {
            Some(ban) if ban.until == until => return false,
            Some(ban) => ban.until = until,
            None => list.bans.push(Ban {
                banned,
                since: super::now(),
                until,
            }),
        }
        list.change += 1;
        true
    }

    /// Lifts a ban. False if there is none. Nothing is on disk before [`save`](Self::save).
    pub fn remove(&self, banned: &Banned) -> bool {
        self.remove_where(|ban| ban.banned.is_same(banned)) > 0
    }

    /// Lifts all bans. Returns how many there were. Nothing is on disk before [`save`](Self::save).
    pub fn remove_all(&self) -> usize {
        self.remove_where(|_| true)
    }

    fn remove_where(&self, is_lifted: impl Fn(&Ban) -> bool) -> usize {
        let mut list = self.list.lock();
        list.remove_expired();
        let before = list.bans.len();
        list.bans.retain(|ban| !is_lifted(ban));
        let lifted = before - list.bans.len();
        list.change += u64::from(lifted > 0);
        lifted
    }

    /// Writes the list to disk, unless another thread has done so since it changed. After an error the bans still hold
    /// until the server stops, and the next save tries again.
    pub fn save(&self) -> io::Result<()> {
        let (bytes, change) = {
            let list = self.list.lock();
            (text_of(&list.bans)?, list.change)
        };
        let mut saved = self.saved.lock();
        if *saved < change {
            durable_file::replace(&self.path, &bytes)?;
            *saved = change;
        }
        Ok(())
    }
}

/// The list as JSON, a ban a line, to be read and mended with a text editor while the server is stopped.
fn text_of(bans: &[Ban]) -> io::Result<Vec<u8>> {
    let lines: Result<Vec<String>, _> = bans.iter().map(serde_json::to_string).collect();
    let lines = lines?.join(",\n");
    Ok(format!("[\n{lines}\n]\n").into_bytes())
}

/// A ban as it may stand in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    address: Option<IpAddr>,
    #[serde(default)]
    since: String,
    until: Option<String>,
}

fn parse(bytes: &[u8]) -> Result<Vec<Ban>, String> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let entries: Vec<Entry> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    entries.into_iter().map(ban_of).collect()
}

fn ban_of(entry: Entry) -> Result<Ban, String> {
    let banned = match (entry.name, entry.address) {
        (Some(name), None) => {
            check_name(&name).map_err(|why| format!("{name:?}: {why}"))?;
            Banned::Name(name)
        }
        (None, Some(address)) => {
            let address = address.to_canonical();
            if let Some(why) = why_not_bannable(address) {
                return Err(refusals::not_bannable(address, why));
            }
            Banned::Address(address)
        }
        _ => return Err(texts::ban_of_neither().to_owned()),
    };
    let until = entry.until.map(|until| {
        let time = until.parse::<Timestamp>();
        time.map_err(|_| texts::ban_without_end(&format!("{until:?}")))
    });
    Ok(Ban {
        banned,
        since: entry.since,
        until: until.transpose()?,
    })
}

/// Why an address can't be banned, if it can't.
pub fn why_not_bannable(address: IpAddr) -> Option<&'static str> {
    if address.is_loopback() {
        Some(refusals::own_machine())
    } else if address.is_unspecified() || address.is_multicast() {
        Some(refusals::address_of_nobody())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn addresses_that_no_other_machine_has_cannot_be_banned() {
        for (address, is_bannable) in [
            ("127.0.0.1", false),
            ("127.8.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("0.0.0.0", false),
            ("::", false),
            ("224.0.0.1", false),
            ("192.0.2.7", true),
            ("fe80::1", true),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let why = why_not_bannable(address.to_canonical());
            assert_eq!(why.is_none(), is_bannable, "{address}");
        }
    }

    fn name(name: &str) -> Banned {
        Banned::Name(name.to_owned())
    }

    fn address(address: &str) -> Banned {
        Banned::Address(address.parse().unwrap())
    }

    #[test]
    fn bans_are_kept_until_they_are_lifted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bans.json");
        let bans = Bans::open(&path).unwrap();
        assert!(bans.add(name("Carol"), None) && bans.add(address("192.0.2.7"), None));
        assert!(!bans.add(name("CAROL"), None) && !bans.add(address("192.0.2.7"), None));
        bans.save().unwrap();

        let bans = Bans::open(&path).unwrap();
        assert!(bans.has_name("carol") && !bans.has_name("Carola"));
        for (address, is_banned) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.2.8", false),
        ] {
            assert_eq!(bans.has_address(address.parse().unwrap()), is_banned);
        }
        assert!(bans.remove(&name("cArol")) && !bans.remove(&name("Carol")));
        bans.save().unwrap();
        let left = Bans::open(&path).unwrap().list();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].banned, address("192.0.2.7"));
        assert!(left[0].since.ends_with('Z'));
    }

    #[test]
    fn a_ban_with_an_end_holds_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bans.json");
        let bans = Bans::open(&path).unwrap();
        let in_hours = |hours: i64| Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        let (later, past) = (Some(in_hours(1)), Some(in_hours(-1)));
        assert!(bans.add(name("Carol"), later) && !bans.add(name("Carol"), later));
        assert!(bans.add(name("Dora"), past) && !bans.has_name("Dora"));
        bans.save().unwrap();

        let bans = Bans::open(&path).unwrap();
        assert!(bans.has_name("Carol"));
        let listed: Vec<_> = bans.list().into_iter().map(|ban| ban.until).collect();
        assert_eq!(listed, [later]);
        // A later word counts.
        assert!(bans.add(name("Carol"), None) && bans.list()[0].until.is_none());
        assert!(bans.add(name("Carol"), past) && !bans.has_name("Carol"));
        assert!(!bans.remove(&name("Carol")));
        assert!(bans.add(name("Carol"), None) && bans.add(address("192.0.2.7"), later));
        assert_eq!((bans.remove_all(), bans.remove_all()), (2, 0));
        bans.save().unwrap();
        assert!(Bans::open(&path).unwrap().list().is_empty());
    }

    #[test]
    fn a_file_that_went_through_an_editor_is_read_and_a_damaged_one_is_not() {
        let edited =
            "\u{feff}[\r\n {\"name\": \"Carol\"},\r\n {\"address\": \"::ffff:192.0.2.7\"}\r\n]";
        let bans: Vec<Banned> = parse(edited.as_bytes())
            .unwrap()
            .into_iter()
            .map(|ban| ban.banned)
            .collect();
        assert_eq!(bans, [name("Carol"), address("192.0.2.7")]);
        for damaged in [
            "",
            "[",
            "{}",
            r#"[{"name":"Carol"},]"#,
            r#"[{"name":"Al"}]"#,
            r#"[{"address":"192.0.2"}]"#,
            r#"[{"since":"2026-01-01T08:00:00Z"}]"#,
            r#"[{"name":"Carol","address":"192.0.2.7"}]"#,
            r#"[{"name":"Carol","until":"never"}]"#,
            r#"[{"address":"::ffff:127.0.0.1"}]"#,
        ] {
            assert!(parse(damaged.as_bytes()).is_err(), "{damaged}");
        }
    }

    #[test]
    fn a_ban_that_cannot_be_saved_holds_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bans.json");
        let bans = Bans::open(&path).unwrap();
        fs::create_dir(&path).unwrap();
        bans.add(name("Carol"), None);
        assert!(bans.save().is_err());
        assert!(bans.has_name("Carol"));
        fs::remove_dir(&path).unwrap();
        bans.save().unwrap();
        assert!(Bans::open(&path).unwrap().has_name("Carol"));
    }
}
