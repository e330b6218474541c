//! What server and clients say, as typed values, and the lines that carry them.
//!
//! The server builds [`ServerMessage`]s and turns them into lines; a client written in Rust does the reverse, and
//! builds [`ClientMessage`]s.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::scanner::plain_prefix;

/// A line: one message as compact JSON, then a newline. The only newline is the last byte, because JSON escapes
/// those in strings.
pub type Line = Vec<u8>;

/// What the server says. Keys go out in the order of the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "Command", rename_all_fields = "PascalCase")]
pub enum ServerMessage<'a> {
    /// A sentence for what no other reply can answer. It goes beyond the published protocol.
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
        /// Everybody online, the new user too, each with 1 for a guest; empty after a refusal.
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
        /// The sender.
        friend_name: Cow<'a, str>,
        /// The text.
        message: Cow<'a, str>,
    },
    /// A heartbeat (no fields) or a receipt for a private message (`flag` is there).
    #[serde(rename = "14")]
    HeartbeatOrReceipt {
        /// `"14"` in receipts: the published protocol writes the first key of a receipt so.
        #[serde(skip_serializing_if = "Option::is_none")]
        comment: Option<Cow<'a, str>>,
        /// 1 if the message was written to its receiver's socket.
        #[serde(skip_serializing_if = "Option::is_none")]
        flag: Option<u8>,
        /// The receiver, as the sender wrote it.
        #[serde(skip_serializing_if = "Option::is_none")]
        friend_name: Option<Cow<'a, str>>,
        /// Why the message was not delivered.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<Cow<'a, str>>,
    },
    /// Somebody came.
    #[serde(rename = "30")]
    LoggedOn {
        /// Who.
        #[serde(rename = "LogOnUserName")]
        name: Cow<'a, str>,
        /// 1 for a guest.
        is_user_guest: u8,
    },
    /// Somebody left.
    #[serde(rename = "31")]
    LoggedOut {
        /// Who.
        #[serde(rename = "LogOutUserName")]
        name: Cow<'a, str>,
    },
    /// A message to the room.
    #[serde(rename = "32")]
    Room {
        /// Who said it.
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

    /// A notice that says `why`.
    pub fn notice(why: impl Into<Cow<'a, str>>) -> Self {
        ServerMessage::Notice {
            message: why.into(),
        }
    }

    /// The refusal of a login.
    pub fn login_refused(why: impl Into<Cow<'a, str>>) -> Self {
        ServerMessage::LoginReply {
            flag: 0,
            friends: Vec::new(),
            message: Some(why.into()),
        }
    }

    /// The reply to a registration: accepted, or refused for a reason.
    pub fn register_reply(outcome: Result<(), Cow<'a, str>>) -> Self {
        ServerMessage::RegisterReply {
            flag: outcome.is_ok().into(),
            message: outcome.err(),
        }
    }

    /// The receipt for a private message to `friend`: delivered, or not for a reason.
    pub fn receipt(friend: &'a str, outcome: Result<(), &'a str>) -> Self {
        ServerMessage::HeartbeatOrReceipt {
            comment: Some(RECEIPT.into()),
            flag: Some(outcome.is_ok().into()),
            friend_name: Some(friend.into()),
            message: outcome.err().map(Cow::from),
        }
    }

    /// The message as a line.
    pub fn to_line(&self) -> Line {
        let mut line = Vec::with_capacity(LINE_CAPACITY);
        self.append_to(&mut line);
        line
    }

    /// Adds the message as a line to others.
    ///
    /// The three kinds that traffic mostly consists of are put together by hand, at less than half the cost.
    pub fn append_to(&self, lines: &mut Line) {
        match self {
            ServerMessage::Private {
                friend_name,
                message,
            } => {
                lines.extend_from_slice(br#"{"Command":"13","FriendName":"#);
                append_string(friend_name, lines);
                lines.extend_from_slice(br#","Message":"#);
                append_string(message, lines);
                lines.extend_from_slice(b"}\n");
            }
            ServerMessage::HeartbeatOrReceipt {
                comment: Some(comment),
                flag: Some(1),
                friend_name: Some(friend_name),
                message: None,
            } if comment == RECEIPT => {
                lines
                    .extend_from_slice(br#"{"Command":"14","Comment":"14","Flag":1,"FriendName":"#);
                append_string(friend_name, lines);
                lines.extend_from_slice(b"}\n");
            }
            ServerMessage::Room { speaker, message } => {
                lines.extend_from_slice(br#"{"Command":"32","Speaker":"#);
                append_string(speaker, lines);
                lines.extend_from_slice(br#","Message":"#);
                append_string(message, lines);
                lines.extend_from_slice(b"}\n");
            }
            _ => append_line(self, lines),
        }
    }
}

/// What stands in the `Comment` of a receipt.
const RECEIPT: &str = "14";

/// What a client says.
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
    /// The message as a line.
    pub fn to_line(&self) -> Line {
        let mut line = Vec::with_capacity(LINE_CAPACITY);
        append_line(self, &mut line);
        line
    }
}

/// Most lines have room in this many bytes.
const LINE_CAPACITY: usize = 160;

/// Adds `text` as a JSON string.
fn append_string(text: &str, lines: &mut Line) {
    if plain_prefix(text.as_bytes()) < text.len() {
        return append_json(text, lines);
    }
    lines.push(b'"');
    lines.extend_from_slice(text.as_bytes());
    lines.push(b'"');
}

fn append_json(value: &(impl Serialize + ?Sized), lines: &mut Line) {
    let start = lines.len();
    // Serialising strings and small integers into memory can't fail; half a line would spoil the rest.
    if serde_json::to_writer(&mut *lines, value).is_err() {
        lines.truncate(start);
    }
}

fn append_line(message: &impl Serialize, lines: &mut Line) {
    append_json(message, lines);
    lines.push(b'\n');
}

/// One entry of `Friends` as JSON, to be joined by commas for [`login_accepted`].
pub fn roster_entry(name: &str, is_guest: bool) -> String {
    format!("[\"{name}\",{}]", u8::from(is_guest))
}

/// The reply to a login that succeeded. A roster can be long and changes little from one login to the next, so
/// it comes already encoded: [`roster_entry`]s joined by commas.
pub fn login_accepted(roster: &str) -> Line {
    const HEAD: &str = "{\"Command\":\"11\",\"Flag\":1,\"Friends\":[";
    const TAIL: &str = "]}\n";
    [HEAD, roster, TAIL].concat().into_bytes()
}

/// Turns lines into length-prefixed frames: the newline goes, four bytes of big-endian length come before.
pub fn prefix_lines(lines: &[u8]) -> Vec<u8> {
    let mut frames = Vec::with_capacity(lines.len() + lines.len() / 8 + 4);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let json = line.strip_suffix(b"\n").unwrap_or(line);
        // No line approaches 4 GiB: the longest are a roster of all connections and a relayed frame below 16 MiB.
        frames.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_be_bytes());
        frames.extend_from_slice(json);
    }
    frames
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
    fn lines_put_together_by_hand_are_those_of_serde() {
        for text in [
            "",
            "hi",
            "\"",
            "\\",
            "\n",
            "你好\u{7f}",
            "a long text with a \u{1} in it",
            "\0",
        ] {
            for message in [
                ServerMessage::Private {
                    friend_name: "Anna".into(),
                    message: text.into(),
                },
                ServerMessage::receipt(text, Ok(())),
                ServerMessage::Room {
                    speaker: "Anna".into(),
                    message: text.into(),
                },
            ] {
                let line = serde_json::to_string(&message).unwrap() + "\n";
                assert_eq!(String::from_utf8(message.to_line()).unwrap(), line);
            }
        }
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

    #[test]
    fn prefixed_frames_have_no_newline() {
        assert_eq!(
            prefix_lines(b"{}\n{\"a\":1}\n"),
            b"\0\0\0\x02{}\0\0\0\x07{\"a\":1}"
        );
    }
}
