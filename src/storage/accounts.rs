//! Registered names, and who may use which.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use super::accounts_file::{AccountsError, AccountsFile, Record};
use super::hashing_gate::HashingGate;
use super::password::PasswordHash;
use crate::sync::{Arc, Mutex};
use crate::wire::NameKey;

/// Why a login with a password fails, whichever of the two is wrong.
pub const WRONG_PASSWORD: &str =
    "no such name and password; register first, or leave the password empty";

/// Why a guest can't have a name.
const REGISTERED: &str =
    "this name is registered; log in with its password, or choose another name";

/// Why a password can't be hashed now.
const BUSY: &str = "the server is checking many passwords right now; try again in a moment";

/// What went wrong inside, said to a client that can't help it.
const INTERNAL: &str = "the server failed at this; ask your teacher to look at its log";

/// All accounts, and the names that are promised to somebody.
#[derive(Debug)]
pub struct Accounts {
    /// A leaf lock, held for moments only.
    names: Mutex<Names>,
    /// Held while an account goes to disk, never together with `names`.
    file: Mutex<AccountsFile>,
    gate: HashingGate,
    /// Whether new names may be registered.
    is_open: bool,
}

/// Who has which name. A name that a guest uses can't be registered by another, and one that is registered, or
/// about to be, can't be used by a guest: both are decided here, under one lock.
#[derive(Debug, Default)]
struct Names {
    registered: HashMap<NameKey, Arc<Record>>,
    /// Names whose registration is under way.
    reserved: HashSet<NameKey>,
    /// Names of guests who are online, with the number of the connection.
    guests: HashMap<NameKey, u64>,
}

impl Accounts {
    /// Reads the accounts from a file, and makes it if there is none.
    pub fn open(path: &Path, is_open: bool) -> Result<Accounts, AccountsError> {
        let (file, records) = AccountsFile::open(path)?;
        let registered = records
            .into_iter()
            .map(|record| (NameKey::new(&record.name), Arc::new(record)))
            .collect();
        let names = Mutex::new(Names {
            registered,
            ..Names::default()
        });
        Ok(Accounts {
            names,
            file: Mutex::new(file),
            gate: HashingGate::default(),
            is_open,
        })
    }

    /// Lets no thread wait any more for its turn to hash a password: the server stops.
    pub fn close(&self) {
        self.gate.close();
    }

    /// How many names are registered.
    pub fn count(&self) -> usize {
        self.names.lock().registered.len()
    }

    /// Whether the name is registered.
    pub fn contains(&self, key: &NameKey) -> bool {
        self.names.lock().registered.contains_key(key)
    }

    /// Whether `password` belongs to the name. Waits for its turn and takes its time.
    // Not inlined, for the stacks of idle connections.
    #[inline(never)]
    pub fn verify(&self, key: &NameKey, password: &str) -> Result<bool, &'static str> {
        let Some(record) = self.names.lock().registered.get(key).cloned() else {
            return Ok(false);
        };
        let is_right = {
            let _turn = self.gate.enter().ok_or(BUSY)?;
            record.hash.verify(password).map_err(|error| {
                log::error!("cannot verify a password: {error}");
                INTERNAL
            })?
        };
        // That takes a while: meanwhile the account may have been forgotten, and the name be registered anew.
        let names = self.names.lock();
        let current = names.registered.get(key);
        Ok(is_right && current.is_some_and(|current| Arc::ptr_eq(current, &record)))
    }

    /// Registers a name for the client of `connection`, and returns when it is on disk.
    pub fn register(
        &self,
        name: &str,
        password: &str,
        connection: u64,
    ) -> Result<(), Cow<'static, str>> {
        if !self.is_open {
            return Err("registration is switched off on this server".into());
        }
        let reservation = self.reserve(name, connection)?;
        let hash = {
            let _turn = self.gate.enter().ok_or(BUSY)?;
            PasswordHash::new(password).map_err(|error| {
                log::error!("cannot hash a password: {error}");
                INTERNAL
            })?
        };
        let now = jiff::Timestamp::now();
        let registered = jiff::Timestamp::from_second(now.as_second())
            .unwrap_or(now)
            .to_string();
        let record = Record {
            name: name.to_owned(),
            hash,
            registered,
        };
        self.file.lock().add(&record).map_err(|error| {
            log::error!("cannot write the accounts file: {error}");
            format!("the server cannot save accounts now: {error}")
        })?;
        self.names
            .lock()
            .registered
            .insert(reservation.key.clone(), Arc::new(record));
        Ok(())
    }

    /// Removes an account from the disk, and returns when it is gone from there. Until the [`Forgotten`] is
    /// [released](Self::release) its password still counts, and nobody else can have the name. `None` says that no
    /// such name is registered.
    pub fn forget(&self, key: &NameKey) -> io::Result<Option<Forgotten<'_>>> {
        {
            let mut names = self.names.lock();
            if !names.registered.contains_key(key) || !names.reserved.insert(key.clone()) {
                return Ok(None);
            }
        }
        let forgotten = Forgotten(Reservation {
            accounts: self,
            key: key.clone(),
        });
        self.file.lock().remove(key)?;
        Ok(Some(forgotten))
    }

    fn reserve(&self, name: &str, connection: u64) -> Result<Reservation<'_>, &'static str> {
        let key = NameKey::new(name);
        let mut names = self.names.lock();
        if names.registered.contains_key(&key) {
            return Err("this name is registered already");
        }
        if names
            .guests
            .get(&key)
            .is_some_and(|user| *user != connection)
        {
            return Err("a guest is using this name now");
        }
        if !names.reserved.insert(key.clone()) {
            return Err("somebody else is registering this name right now");
        }
        Ok(Reservation {
            accounts: self,
            key,
        })
    }

    /// Lets go of a name whose account was removed from the disk. If it is online, through `connection`, it stays
    /// that user's for as long as the claim lives: only that connection can register it meanwhile.
    pub fn release(self: &Arc<Self>, key: &NameKey, connection: Option<u64>) -> Option<GuestClaim> {
        let mut names = self.names.lock();
        names.registered.remove(key);
        let connection = connection?;
        names.guests.insert(key.clone(), connection);
        Some(GuestClaim {
            accounts: Arc::clone(self),
            key: key.clone(),
        })
    }

    /// Lets a guest use a name for as long as the claim lives.
    pub fn claim_for_guest(
        self: &Arc<Self>,
        key: &NameKey,
        connection: u64,
    ) -> Result<GuestClaim, &'static str> {
        let mut names = self.names.lock();
        if names.registered.contains_key(key) || names.reserved.contains(key) {
            return Err(REGISTERED);
        }
        names.guests.insert(key.clone(), connection);
        Ok(GuestClaim {
            accounts: Arc::clone(self),
            key: key.clone(),
        })
    }
}

/// A name whose registration is under way.
#[derive(Debug)]
struct Reservation<'a> {
    accounts: &'a Accounts,
    key: NameKey,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.accounts.names.lock().reserved.remove(&self.key);
    }
}

/// A name whose account is gone from the disk, and that nobody else can have until this is dropped.
#[derive(Debug)]
pub struct Forgotten<'a>(#[expect(dead_code, reason = "it is held, not read")] Reservation<'a>);

/// A guest's right to its name.
#[derive(Debug)]
pub struct GuestClaim {
    accounts: Arc<Accounts>,
    key: NameKey,
}

impl Drop for GuestClaim {
    fn drop(&mut self) {
        self.accounts.names.lock().guests.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        let accounts = Arc::new(Accounts::open(&path, true).unwrap());
        let anna = NameKey::new("Anna");

        let claim = accounts.claim_for_guest(&anna, 1).unwrap();
        assert!(accounts.register("ANNA", "pass", 2).is_err());
        drop(claim);

        let reservation = accounts.reserve("Anna", 2).unwrap();
        assert!(accounts.claim_for_guest(&anna, 1).is_err());
        assert!(accounts.register("anna", "pass", 3).is_err());
        drop(reservation);

        let claim = accounts.claim_for_guest(&anna, 1).unwrap();
        accounts.register("Anna", "pass", 1).unwrap();
        drop(claim);
        assert!(accounts.claim_for_guest(&anna, 1).is_err());
        assert!(accounts.verify(&anna, "pass").unwrap());
        assert!(!accounts.verify(&anna, "Pass").unwrap());

        let forgotten = accounts.forget(&anna).unwrap().unwrap();
        assert!(accounts.forget(&anna).unwrap().is_none());
        let claim = accounts.release(&anna, Some(1));
        assert!(accounts.register("Anna", "pass", 1).is_err());
        drop(forgotten);
        assert!(accounts.forget(&anna).unwrap().is_none());
        assert!(!accounts.verify(&anna, "pass").unwrap());
        assert!(accounts.register("Anna", "pass", 2).is_err());
        accounts.register("Anna", "pass", 1).unwrap();
        drop(claim);

        drop(accounts);
        let reopened = Accounts::open(&path, false).unwrap();
        assert!(reopened.verify(&anna, "pass").unwrap());
        assert!(reopened.register("Bobby", "pass", 1).is_err());
    }
}
