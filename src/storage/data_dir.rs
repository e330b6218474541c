//! The folder in which a server keeps what outlives it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::server::error::StartError;

/// The data folder, held by this server alone for as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Its lock goes with the process, however that ends.
    _lock: File,
}

impl DataDir {
    /// Makes the folder if need be, private to its owner, and makes sure that no other server uses it.
    pub fn open(path: &Path) -> Result<DataDir, StartError> {
        let failed = |error| StartError::DataDir(path.to_owned(), error);
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(failed)?;
        let path = std::path::absolute(path).map_err(failed)?;

        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let lock = options.open(path.join("chatd.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StartError::DataDirInUse(path)),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The registered names.
    pub fn accounts(&self) -> PathBuf {
        self.path.join("accounts.jsonl")
    }

    /// Who may not come.
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
