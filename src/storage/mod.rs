//! What outlives the process: accounts, bans and the certificate, in files of the data folder.
//!
//! Each file is replaced whole, by one helper, so that a crash leaves the old one or the new one. Nothing here knows who
//! is online.

pub mod accounts;
mod accounts_file;
pub mod bans;
pub mod certificate;
mod certificate_check;
pub mod clock;
mod data_dir;
mod durable_file;
mod hashing_gate;
pub(crate) mod password;
pub mod permissions;
mod regular_file;

pub use accounts::Accounts;
pub use accounts_file::AccountsError;
pub use bans::{Bans, BansError};
pub use certificate::CertificateError;
pub use data_dir::{DataDir, DataDirError};

/// The time now, to the second (RFC 3339, UTC).
fn now() -> String {
    jiff::Timestamp::now().strftime("%FT%TZ").to_string()
}
