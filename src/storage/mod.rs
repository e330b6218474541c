//! What outlives the process: accounts, bans, the certificate, and the folder that holds them.

pub mod accounts;
pub mod accounts_file;
pub mod bans;
pub mod certificate;
pub mod data_dir;
pub mod durable_file;
pub mod hashing_gate;
pub mod password;

pub use accounts::Accounts;
pub use bans::Bans;
pub use data_dir::DataDir;
