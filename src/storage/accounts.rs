//! Registered names, and who may use which name.
//!
//! Two locks: `names` is a leaf, held for moments only; `file` is held while an account goes to disk. No thread holds
//! both, so nobody who logs in waits for the disk.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use super::accounts_file::{AccountsError, AccountsFile};
use super::hashing_gate::HashingGate;
use super::password::PasswordHash;
use crate::sync::{Arc, Mutex};
use crate::texts::reasons;
use crate::transport::Origin;
use crate::wire::NameKey;

/// All accounts, and the names that guests use.
#[derive(Debug)]
pub struct Accounts {
    names: Mutex<Names>,
    file: Mutex<AccountsFile>,
    gate: HashingGate,
    /// Whether new names may be registered.
    is_open: bool,
}

/// Who has which name. While a guest uses a name, no other client can register it; while a name is registered or
/// reserved, no guest can use it. One lock decides both.
#[derive(Debug, Default)]
struct Names {
    registered: HashMap<NameKey, Arc<PasswordHash>>,
    /// Names whose account is being written to disk or removed from it.
    reserved: HashSet<NameKey>,
    /// Names that guests use who are online, each with the number of the guest's connection.
    guests: HashMap<NameKey, u64>,
}

impl Accounts {
    /// Reads the accounts from the file, or makes an empty one. If `is_open`, new names may be registered.
    pub fn open(path: &Path, is_open: bool) -> Result<Accounts, AccountsError> {
        let (file, hashes) = AccountsFile::open(path)?;
        let registered = hashes
            .into_iter()
            .map(|(key, hash)| (key, Arc::new(hash)))
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

    /// How many names are registered.
    pub fn len(&self) -> usize {
        self.names.lock().registered.len()
    }

    /// Whether no name is registered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the name is registered.
    pub fn contains(&self, key: &NameKey) -> bool {
        self.names.lock().registered.contains_key(key)
    }

    /// The account of this name, if `password` is its password. Waits for a turn to hash, and hashes. The error is a
    /// sentence for the client.
    // Not inlined, for the stacks of idle connections.
    #[inline(never)]
    pub fn verify(
        &self,
        key: &NameKey,
        password: &str,
        origin: Origin,
    ) -> Result<Option<Account>, &'static str> {
        let Some(hash) = self.names.lock().registered.get(key).cloned() else {
            return Ok(None);
        };
        let _turn = self.gate.wait_for_turn(origin).ok_or_else(reasons::busy)?;
        let is_right = hash.verify(password).map_err(|error| {
            log::error!("cannot verify a password: {error}");
            reasons::internal()
        })?;
        Ok(is_right.then_some(Account(hash)))
    }

    /// Whether the name still belongs to this account: since its password was verified, the account may have been
    /// forgotten, and its name registered anew.
    pub fn is_current(&self, key: &NameKey, account: &Account) -> bool {
        let names = self.names.lock();
        let current = names.registered.get(key);
        current.is_some_and(|current| Arc::ptr_eq(current, &account.0))
    }

    /// Registers a name for the client of `connection`, and returns when the account is on disk. After an error,
    /// which is a sentence for the client, there is no account.
    pub fn register(
        &self,
        name: &str,
        password: &str,
        connection: u64,
        origin: Origin,
    ) -> Result<(), Cow<'static, str>> {
        match self.is_open {
            true => self.add(name, password, connection, origin),
            false => Err(reasons::registration_off().into()),
        }
    }

    /// The same, also while nobody may register: for the teacher.
    pub fn add(
        &self,
        name: &str,
        password: &str,
        connection: u64,
        origin: Origin,
    ) -> Result<(), Cow<'static, str>> {
        let reservation = self.reserve(name, connection)?;
        let hash = {
            let _turn = self.gate.wait_for_turn(origin).ok_or_else(reasons::busy)?;
            PasswordHash::new(password).map_err(|error| {
                log::error!("cannot hash a password: {error}");
                reasons::internal()
            })?
        };
        self.file.lock().add(name, &hash).map_err(|error| {
            log::error!("cannot write the accounts file: {error}");
            reasons::accounts_not_saved(&error)
        })?;
        self.names
            .lock()
            .registered
            .insert(reservation.key.clone(), Arc::new(hash));
        Ok(())
    }

    /// Removes an account from the disk, and returns when it is gone from there. Until the name is
    /// [released](Self::release) its password still counts, and until the [`Forgotten`] is dropped nobody can register
    /// it anew. `None` says that no such name is registered. After an error the account is as it was.
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

    /// Ends the registration of a name whose account was [forgotten](Self::forget). If the name is online, through
    /// `connection`, its user becomes a guest: only that connection can register the name while the claim lives.
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

    /// Lets a guest use a name while the claim lives. The error is a sentence for the client.
    pub fn claim_for_guest(
        self: &Arc<Self>,
        key: &NameKey,
        connection: u64,
    ) -> Result<GuestClaim, &'static str> {
        let mut names = self.names.lock();
        if names.registered.contains_key(key) || names.reserved.contains(key) {
            return Err(reasons::name_registered());
        }
        names.guests.insert(key.clone(), connection);
        Ok(GuestClaim {
            accounts: Arc::clone(self),
            key: key.clone(),
        })
    }

    /// Lets no thread wait for a turn to hash any more: from now on, logins with a password and registrations that
    /// have not begun to hash are refused. For a server that stops.
    pub fn close(&self) {
        self.gate.close();
    }

    /// Reserves a name for a registration by the client of `connection`.
    fn reserve(&self, name: &str, connection: u64) -> Result<Reservation<'_>, &'static str> {
        let key = NameKey::new(name);
        let mut names = self.names.lock();
        if names.registered.contains_key(&key) {
            return Err(reasons::name_registered_already());
        }
        if names
            .guests
            .get(&key)
            .is_some_and(|user| *user != connection)
        {
            return Err(reasons::name_used_by_guest());
        }
        if !names.reserved.insert(key.clone()) {
            return Err(reasons::name_being_registered());
        }
        Ok(Reservation {
            accounts: self,
            key,
        })
    }
}

/// An account whose password was verified.
#[derive(Clone, Debug)]
pub struct Account(Arc<PasswordHash>);

/// A name that nobody else can register, or use as a guest, until this is dropped.
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

/// A name whose account is gone from the disk. Nobody can register it, or use it as a guest, until this is dropped.
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

    const ORIGIN: Origin = Origin::Own(1);

    fn has_password(accounts: &Accounts, name: &NameKey, password: &str) -> bool {
        let account = accounts.verify(name, password, ORIGIN).unwrap();
        account.is_some_and(|account| accounts.is_current(name, &account))
    }

    #[test]
    fn a_password_of_an_account_that_is_gone_opens_no_other_one_of_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        let accounts = Arc::new(Accounts::open(&path, true).unwrap());
        let anna = NameKey::new("Anna");
        accounts.register("Anna", "old", 1, ORIGIN).unwrap();
        let account = accounts.verify(&anna, "old", ORIGIN).unwrap().unwrap();
        assert!(accounts.is_current(&anna, &account));
        drop(accounts.forget(&anna).unwrap().unwrap());
        accounts.release(&anna, None);
        assert!(!accounts.is_current(&anna, &account));
        accounts.register("Anna", "new", 2, ORIGIN).unwrap();
        assert!(!accounts.is_current(&anna, &account));
    }

    #[test]
    fn a_name_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        let accounts = Arc::new(Accounts::open(&path, true).unwrap());
        let anna = NameKey::new("Anna");

        let claim = accounts.claim_for_guest(&anna, 1).unwrap();
        assert!(accounts.register("ANNA", "pass", 2, ORIGIN).is_err());
        drop(claim);

        let reservation = accounts.reserve("Anna", 2).unwrap();
        assert!(accounts.claim_for_guest(&anna, 1).is_err());
        assert!(accounts.register("anna", "pass", 3, ORIGIN).is_err());
        drop(reservation);

        let claim = accounts.claim_for_guest(&anna, 1).unwrap();
        accounts.register("Anna", "pass", 1, ORIGIN).unwrap();
        drop(claim);
        assert!(accounts.claim_for_guest(&anna, 1).is_err());
        assert!(has_password(&accounts, &anna, "pass"));
        assert!(!has_password(&accounts, &anna, "Pass"));

        let forgotten = accounts.forget(&anna).unwrap().unwrap();
        assert!(accounts.forget(&anna).unwrap().is_none());
        let claim = accounts.release(&anna, Some(1));
        assert!(accounts.register("Anna", "pass", 1, ORIGIN).is_err());
        drop(forgotten);
        assert!(accounts.forget(&anna).unwrap().is_none());
        assert!(!has_password(&accounts, &anna, "pass"));
        assert!(accounts.register("Anna", "pass", 2, ORIGIN).is_err());
        accounts.register("Anna", "pass", 1, ORIGIN).unwrap();
        drop(claim);

        drop(accounts);
        let reopened = Accounts::open(&path, false).unwrap();
        assert!(has_password(&reopened, &anna, "pass"));
        assert!(reopened.register("Bobby", "pass", 1, ORIGIN).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_the_disk_refuses_is_so_neither_in_memory_nor_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        let accounts = Arc::new(Accounts::open(&path, true).unwrap());
        let [anna, bobby] = ["Anna", "Bobby"].map(NameKey::new);
        accounts.register("Anna", "pass", 1, ORIGIN).unwrap();

        accounts.file.lock().sync_folder = |_| Err(io::Error::other("no"));
        assert!(accounts.forget(&anna).is_err());
        let why = accounts.register("Bobby", "pass", 1, ORIGIN).unwrap_err();
        assert!(why.contains("cannot save accounts now"), "{why}");
        let reopened = Arc::new(Accounts::open(&path, true).unwrap());
        for accounts in [&accounts, &reopened] {
            assert!(has_password(accounts, &anna, "pass"));
            assert!(!accounts.contains(&bobby));
            drop(accounts.claim_for_guest(&bobby, 2).unwrap());
        }

        // The disk recovers.
        accounts.file.lock().sync_folder = std::fs::File::sync_all;
        accounts.register("Bobby", "pass", 1, ORIGIN).unwrap();
        drop(accounts.forget(&anna).unwrap().unwrap());
        accounts.release(&anna, None);
        let reopened = Arc::new(Accounts::open(&path, true).unwrap());
        for accounts in [&accounts, &reopened] {
            assert!(!accounts.contains(&anna));
            assert!(has_password(accounts, &bobby, "pass"));
        }
    }

    #[test]
    fn nobody_waits_to_hash_for_a_server_that_stops() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        let accounts = Accounts::open(&path, true).unwrap();
        accounts.register("Anna", "pass", 1, ORIGIN).unwrap();
        accounts.close();
        assert!(
            accounts
                .verify(&NameKey::new("Anna"), "pass", ORIGIN)
                .is_err()
        );
        assert!(accounts.register("Bobby", "pass", 1, ORIGIN).is_err());
        assert!(!accounts.contains(&NameKey::new("Bobby")));
    }
}
