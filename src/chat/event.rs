//! What has its place in the one order.

use std::borrow::Cow;

use super::flow_control::SpeakingTurn;
use super::moderation::ModeratorAction;
use super::session::Session;
use crate::storage::accounts::Account;
use crate::sync::Arc;
use crate::sync::channel::Sender;
use crate::transport::Receipt;
use crate::wire::{Lines, NameKey};

/// Something that has its place in the one order: the [room](super::room::Room) applies events one at a time.
#[derive(Debug)]
pub enum Event {
    /// A user logs in.
    Join {
        /// The session. Its name was checked.
        session: Arc<Session>,
        /// The account whose password was verified; `None` for a guest.
        account: Option<Account>,
        /// Told whether the user is in. The room has sent the 11 of a success by then; that of a refusal is left to the
        /// connection's own thread.
        reply: Sender<Result<(), Cow<'static, str>>>,
    },
    /// A user says something to the room.
    Say {
        /// The speaker.
        session: Arc<Session>,
        /// One or more 32s.
        lines: Lines,
        /// The speaker's turn. It ends when all members were sent the lines.
        turn: SpeakingTurn,
    },
    /// A private message that must not overtake what its sender said before.
    Private {
        /// The sender.
        session: Arc<Session>,
        /// The receiver.
        friend: NameKey,
        /// The 13.
        line: Lines,
        /// The receipt for it.
        receipt: Receipt,
    },
    /// A user leaves, or is gone.
    Leave {
        /// Whose session ends.
        session: Arc<Session>,
        /// Told when the user is off the roster and was sent everything said before.
        reply: Sender<()>,
    },
    /// The teacher wants something of the room.
    Moderate(ModeratorAction),
    /// The server stops. Everybody is sent what was said before, and is off the roster without a 31.
    Stop {
        /// Told who was online.
        reply: Sender<Vec<Arc<Session>>>,
    },
}
