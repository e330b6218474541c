//! What clients say.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::lines::{Lines, line_of};

/// A message from a client to the server, as a client writes it. The server reads it as a
/// [`Command`](super::Command), which accepts more spellings. Keys go out in the order of the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "Command", rename_all_fields = "PascalCase")]
pub enum ClientMessage<'a> {
    /// Log in, as a guest if there is no password.
    #[serde(rename = "01")]
    Login {
        /// The name to use.
        name: Cow<'a, str>,
        /// The password of a registered name.
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<Cow<'a, str>>,
    },
    /// Register a name.
    #[serde(rename = "02")]
    Register {
        /// The name.
        name: Cow<'a, str>,
        /// Its password.
        password: Cow<'a, str>,
    },
    /// Log out.
    #[serde(rename = "03")]
    Logout,
    /// Say something to one user.
    #[serde(rename = "04")]
    Private {
        /// The receiver.
        friend_name: Cow<'a, str>,
        /// The text.
        message: Cow<'a, str>,
    },
    /// Say something to the room.
    #[serde(rename = "05")]
    Room {
        /// The text.
        message: Cow<'a, str>,
    },
}

impl ClientMessage<'_> {
    /// Encodes the message as one line.
    pub fn to_line(&self) -> Lines {
        line_of(self)
    }
}
