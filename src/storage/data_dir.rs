//! The folder in which a server keeps what outlives it.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{durable_file, regular_file};
use crate::texts::start_errors as texts;

/// The data folder. No other server can use it while this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// A locked file. The system unlocks it when the process ends, however that happens.
    _lock: File,
}

/// Why the data folder can't be used.
#[derive(Debug)]
pub enum DataDirError {
    /// It can't be made or written to.
    Io(PathBuf, io::Error),
    /// Its lock file is none: the file, and what it is instead.
    NoLockFile(PathBuf, &'static str),
    /// It can't be locked.
    Lock(PathBuf, io::Error),
    /// Another server uses it.
    InUse(PathBuf),
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            DataDirError::Io(path, error) => texts::data_folder(path.display(), error),
            DataDirError::NoLockFile(path, what) => texts::no_lock_file(path.display(), what),
            DataDirError::Lock(path, error) => texts::cannot_lock(path.display(), error),
            DataDirError::InUse(path) => texts::data_folder_in_use(path.display()),
        })
    }
}

impl std::error::Error for DataDirError {}

impl DataDir {
    /// Makes the folder if there is none, private to its owner, and locks it against other servers.
    pub fn open(path: &Path) -> Result<DataDir, DataDirError> {
        let failed = |error| DataDirError::Io(path.to_owned(), error);
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(failed)?;
        let path = std::path::absolute(path).map_err(failed)?;

        let lock = open_lock(&path.join("chatd.lock"), failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(path)),
            Err(TryLockError::Error(error)) => return Err(DataDirError::Lock(path, error)),
        }
        if !durable_file::can_sync_folder(&path) {
            log::warn!(
                "the data folder {} can't be fsynced, as on some network drives: a power cut may undo the last \
                 registrations and bans; a local folder is safer (--data-dir)",
                path.display()
            );
        }
        Ok(DataDir { path, _lock: lock })
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of accounts.
    pub fn accounts(&self) -> PathBuf {
        self.path.join("accounts.jsonl")
    }

    /// The file of bans.
    pub fn bans(&self) -> PathBuf {
        self.path.join("bans.json")
    }

    /// The certificate of the TLS port.
    pub fn certificate(&self) -> PathBuf {
        self.path.join("certificate.pem")
    }

    /// The certificate's private key.
    pub fn key(&self) -> PathBuf {
        self.path.join("key.pem")
    }
}

/// Opens the file that is locked, or makes it, and changes nothing in it. In a folder that others can write to there may
/// be a trap in its place: a link must not have another file made or locked, and a pipe must not be waited for.
fn open_lock(
    path: &Path,
    failed: impl Fn(io::Error) -> DataDirError,
) -> Result<File, DataDirError> {
    match fs::symlink_metadata(path) {
        Ok(found) => {
            if let Some(what) = regular_file::what_else(found.file_type()) {
                return Err(DataDirError::NoLockFile(path.to_owned(), what));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        // Who can open the file can lock it, so that no server starts.
        options.mode(0o600);
        // The trap may be set just now.
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    options.open(path).map_err(failed)
}
