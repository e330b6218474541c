//! Who is here, and who hears what.

pub mod accounts;
pub mod accounts_file;
pub mod bans;
pub mod disk;
pub mod events;
pub mod fanout;
pub mod heartbeat;
pub mod laggards;
pub mod moderation;
pub mod pace;
pub mod password;
pub mod roster;
pub mod session;

pub use accounts::Accounts;
pub use bans::Bans;
pub use events::{Event, Events};
pub use session::{Session, SessionMap};
