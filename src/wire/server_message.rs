//! What the server says.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::lines::{Lines, append_line, line_of};

/// A message from the server to a client. The server encodes it as a line; a client decodes it with `serde_json`.
/// Keys go out in the order of the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "Command", rename_all_fields = "PascalCase")]
pub enum ServerMessage<'a> {
    /// A sentence for the user, where no other reply fits. The published protocol has no such message.
    #[serde(rename = "10")]
    Notice {
        /// The sentence.
        message: Cow<'a, str>,
    },
    /// The reply to a login.
    #[serde(rename = "11")]
    LoginReply {
        /// 1 if the login succeeded.
        flag: u8,
        /// All users online, the new one among them, each with 1 for a guest; empty if the login was refused.
        friends: Vec<(Cow<'a, str>, u8)>,
        /// Why the login was refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<Cow<'a, str>>,
    },
    /// The reply to a registration.
    #[serde(rename = "12")]
    RegisterReply {
        /// 1 if the name is now registered, and on disk.
        flag: u8,
        /// Why the registration was refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<Cow<'a, str>>,
    },
    /// A private message, to its receiver.
    #[serde(rename = "13")]
    Private {
        /// The sender's name.
        friend_name: Cow<'a, str>,
        /// The text.
        message: Cow<'a, str>,
    },
    /// A heartbeat, which has no fields, or a receipt for a private message, which has a `flag`.
    #[serde(rename = "14")]
    HeartbeatOrReceipt {
        /// `"14"` in a receipt: the published protocol writes the number of a receipt under this key.
        #[serde(skip_serializing_if = "Option::is_none")]
        comment: Option<Cow<'a, str>>,
        /// 1 if the message was written to its receiver's socket.
        #[serde(skip_serializing_if = "Option::is_none")]
        flag: Option<u8>,
        /// The receiver's name, as the sender spelled it.
        #[serde(skip_serializing_if = "Option::is_none")]
        friend_name: Option<Cow<'a, str>>,
        /// Why the message was not delivered.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<Cow<'a, str>>,
    },
    /// A user has logged in.
    #[serde(rename = "30")]
    LoggedOn {
        /// The user's name.
        #[serde(rename = "LogOnUserName")]
        name: Cow<'a, str>,
        /// 1 for a guest. Taken for 0 where another server leaves it out.
        #[serde(default)]
        is_user_guest: u8,
    },
    /// A user has left.
    #[serde(rename = "31")]
    LoggedOut {
        /// The user's name.
        #[serde(rename = "LogOutUserName")]
        name: Cow<'a, str>,
    },
    /// A message to the room.
    #[serde(rename = "32")]
    Room {
        /// The name of the user who said it.
        speaker: Cow<'a, str>,
        /// The text.
        message: Cow<'a, str>,
    },
}

impl<'a> ServerMessage<'a> {
    /// A heartbeat.
    pub const HEARTBEAT: ServerMessage<'static> = ServerMessage::HeartbeatOrReceipt {
        comment: None,
        flag: None,
        friend_name: None,
        message: None,
    };

    /// A notice that tells the client `why`.
    pub fn notice(why: impl Into<Cow<'a, str>>) -> Self {
        ServerMessage::Notice {
            message: why.into(),
        }
    }

    /// The reply to a login that is refused because of `why`.
    pub fn login_refused(why: impl Into<Cow<'a, str>>) -> Self {
        ServerMessage::LoginReply {
            flag: 0,
            friends: Vec::new(),
            message: Some(why.into()),
        }
    }

    /// The reply to a registration. The error says why it was refused.
    pub fn register_reply(outcome: Result<(), Cow<'a, str>>) -> Self {
        ServerMessage::RegisterReply {
            flag: outcome.is_ok().into(),
            message: outcome.err(),
        }
    }

    /// The receipt for a private message to `friend`. The error says why it was not delivered.
    pub fn receipt(friend: &'a str, outcome: Result<(), &'a str>) -> Self {
        ServerMessage::HeartbeatOrReceipt {
            comment: Some(RECEIPT.into()),
            flag: Some(outcome.is_ok().into()),
            friend_name: Some(friend.into()),
            message: outcome.err().map(Cow::from),
        }
    }

    /// Encodes the message as one line.
    pub fn to_line(&self) -> Lines {
        line_of(self)
    }

    /// Encodes the message as a line behind those in `lines`.
    pub fn append_to(&self, lines: &mut Lines) {
        append_line(self, lines);
    }
}

/// The `Comment` of a receipt.
const RECEIPT: &str = "14";

/// Encodes one user as JSON, as it stands in `Friends`. `name` has only letters and digits.
pub fn roster_entry(name: &str, is_guest: bool) -> String {
    format!("[\"{name}\",{}]", u8::from(is_guest))
}

/// Encodes the reply to a login that succeeded, as one line. `roster` is already encoded: the [`roster_entry`] of
/// each user online, joined by commas. A roster can be long and changes little from one login to the next, so it is
/// not encoded anew each time.
pub fn login_accepted(roster: &str) -> Lines {
    const HEAD: &str = "{\"Command\":\"11\",\"Flag\":1,\"Friends\":[";
    const TAIL: &str = "]}\n";
    [HEAD, roster, TAIL].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &ServerMessage<'_>, expected: &str) {
        let line = message.to_line();
        assert_eq!(String::from_utf8_lossy(&line), format!("{expected}\n"));
        assert_eq!(
            &serde_json::from_slice::<ServerMessage<'_>>(&line).unwrap(),
            message
        );
    }

    #[test]
    fn messages_have_the_protocols_keys_in_its_order() {
        check(
            &ServerMessage::notice("no"),
            r#"{"Command":"10","Message":"no"}"#,
        );
        check(
            &ServerMessage::login_refused("no"),
            r#"{"Command":"11","Flag":0,"Friends":[],"Message":"no"}"#,
        );
        check(
            &ServerMessage::register_reply(Ok(())),
            r#"{"Command":"12","Flag":1}"#,
        );
        check(
            &ServerMessage::register_reply(Err("no".into())),
            r#"{"Command":"12","Flag":0,"Message":"no"}"#,
        );
        check(&ServerMessage::HEARTBEAT, r#"{"Command":"14"}"#);
        check(
            &ServerMessage::receipt("Bob1", Ok(())),
            r#"{"Command":"14","Comment":"14","Flag":1,"FriendName":"Bob1"}"#,
        );
        check(
            &ServerMessage::receipt("Bob1", Err("gone")),
            r#"{"Command":"14","Comment":"14","Flag":0,"FriendName":"Bob1","Message":"gone"}"#,
        );
        check(
            &ServerMessage::Private {
                friend_name: "Anna".into(),
                message: "hé \"你\"\n\0".into(),
            },
            r#"{"Command":"13","FriendName":"Anna","Message":"hé \"你\"\n\u0000"}"#,
        );
        check(
            &ServerMessage::LoggedOn {
                name: "Anna".into(),
                is_user_guest: 1,
            },
            r#"{"Command":"30","LogOnUserName":"Anna","IsUserGuest":1}"#,
        );
        check(
            &ServerMessage::LoggedOut {
                name: "Anna".into(),
            },
            r#"{"Command":"31","LogOutUserName":"Anna"}"#,
        );
        check(
            &ServerMessage::Room {
                speaker: "Anna".into(),
                message: "hi".into(),
            },
            r#"{"Command":"32","Speaker":"Anna","Message":"hi"}"#,
        );
    }

    #[test]
    fn an_encoded_roster_reads_back() {
        let roster = [roster_entry("Anna", true), roster_entry("Bob1", false)].join(",");
        let line = login_accepted(&roster);
        assert_eq!(
            line,
            b"{\"Command\":\"11\",\"Flag\":1,\"Friends\":[[\"Anna\",1],[\"Bob1\",0]]}\n"
        );
        let message: ServerMessage<'_> = serde_json::from_slice(&line).unwrap();
        let friends = vec![("Anna".into(), 1), ("Bob1".into(), 0)];
        assert_eq!(
            message,
            ServerMessage::LoginReply {
                flag: 1,
                friends,
                message: None
            }
        );
    }
}
