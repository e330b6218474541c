//! What a client asks for.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One command of a client, with the fields that matter to it. Parsing does not judge them: the handler decides
/// whether a field is valid, because each command has a reply of its own for what is not.
#[derive(Debug, PartialEq)]
pub enum Command<'a> {
    /// `01`: log in, as a guest where the password is absent, `null` or empty.
    Login {
        /// `Name`.
        name: Field<'a>,
        /// `Password`.
        password: Field<'a>,
    },
    /// `02`: register a name.
    Register {
        /// `Name`.
        name: Field<'a>,
        /// `Password`.
        password: Field<'a>,
    },
    /// `03`: log out.
    Logout,
    /// `04`: a message to one user.
    Private {
        /// `FriendName`, the receiver.
        friend: Field<'a>,
        /// `Message`.
        message: Field<'a>,
    },
    /// `05`: a message to the room.
    Room {
        /// `Message`.
        message: Field<'a>,
    },
    /// `14`: an answer to a heartbeat. The server does not need it.
    HeartbeatAnswer,
    /// The frame has a `Command`, but none that clients may send.
    Unknown,
    /// The frame has no `Command`.
    Missing,
}

/// The value of one key of a frame.
#[derive(Debug, Default, PartialEq)]
pub enum Field<'a> {
    /// The key is absent, or `null`.
    #[default]
    Absent,
    /// A string, its escapes resolved.
    Text(Cow<'a, str>),
    /// Something else.
    Other,
}

impl<'a> Field<'a> {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Field::Text(text) => Some(text),
            Field::Absent | Field::Other => None,
        }
    }

    fn from_raw(raw: Option<&'a RawValue>) -> Field<'a> {
        match raw.map(RawValue::get) {
            None | Some("null") => Field::Absent,
            Some(json) => text_of(json).map_or(Field::Other, Field::Text),
        }
    }
}

impl<'a> Command<'a> {
    /// Parses one frame. The error says why the frame is not a JSON object, in words for the client.
    ///
    /// If a key stands twice, its last value counts. Unknown keys are ignored, whatever their values.
    pub fn parse(frame: &'a str) -> Result<Command<'a>, serde_json::Error> {
        let keys: Keys<'a> = serde_json::from_str(frame)?;
        let Some(command) = keys.command else {
            return Ok(Command::Missing);
        };
        let name = Field::from_raw(keys.name);
        let password = Field::from_raw(keys.password);
        let friend = Field::from_raw(keys.friend_name);
        let message = Field::from_raw(keys.message);
        Ok(match command_number(command.get()) {
            Some(1) => Command::Login { name, password },
            Some(2) => Command::Register { name, password },
            Some(3) => Command::Logout,
            Some(4) => Command::Private { friend, message },
            Some(5) => Command::Room { message },
            Some(14) => Command::HeartbeatAnswer,
            _ => Command::Unknown,
        })
    }
}

/// The number in `Command`: `"01"`, `"1"` and `1` are one.
fn command_number(json: &str) -> Option<u8> {
    let text = text_of(json);
    let digits = match &text {
        Some(text) => text,
        None => json,
    };
    let well_formed =
        matches!(digits.len(), 1 | 2) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed {
        digits.parse().ok()
    } else {
        None
    }
}

/// The text of a JSON string, borrowed if it has no escapes; `None` if `json` is another kind of value.
fn text_of(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inside))
    }
}

/// The keys that commands know, each with the JSON text of its value. Values are left unparsed: one that no Rust
/// type can represent, such as `1e999`, does not make the frame wrong.
#[derive(Default)]
struct Keys<'a> {
    command: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    password: Option<&'a RawValue>,
    friend_name: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
enum Key {
    Command,
    Name,
    Password,
    FriendName,
    Message,
    #[serde(other)]
    Unknown,
}

/// Written by hand, because the implementation that serde derives rejects a key that stands twice.
impl<'de: 'a, 'a> Deserialize<'de> for Keys<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;

        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Keys<'de>, M::Error> {
                let mut keys = Keys::default();
                while let Some(key) = map.next_key()? {
                    let field = match key {
                        Key::Command => &mut keys.command,
                        Key::Name => &mut keys.name,
                        Key::Password => &mut keys.password,
                        Key::FriendName => &mut keys.friend_name,
                        Key::Message => &mut keys.message,
                        Key::Unknown => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *field = Some(map.next_value()?);
                }
                Ok(keys)
            }
        }

        deserializer.deserialize_map(KeysVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Field<'_> {
        Field::Text(text.into())
    }

    #[test]
    fn a_command_is_a_string_or_an_integer() {
        for json in ["\"03\"", "\"3\"", "3", "\"\\u0030\\u0033\""] {
            assert_eq!(
                Command::parse(&format!("{{\"Command\":{json}}}")).unwrap(),
                Command::Logout,
                "{json}"
            );
        }
        let not_commands = [
            "\" 03\"", "\"003\"", "3.0", "3e0", "-3", "true", "[3]", "{}", "\"\"", "\"x\"",
            "1e999", "99", "\"11\"",
        ];
        for json in not_commands {
            assert_eq!(
                Command::parse(&format!("{{\"Command\":{json}}}")).unwrap(),
                Command::Unknown,
                "{json}"
            );
        }
        assert_eq!(Command::parse("{}").unwrap(), Command::Missing);
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_unknown_keys_do_not() {
        let frame = r#"{"Command":"02","x":1e999,"Message":"a","y":{"Command":[1]},"\u0043ommand":5,"Message":"b"}"#;
        assert_eq!(
            Command::parse(frame).unwrap(),
            Command::Room { message: text("b") }
        );
    }

    #[test]
    fn fields_tell_absent_text_and_other_apart() {
        let frame = r#"{"Command":1,"Name":"\u00e9\n","Password":null}"#;
        assert_eq!(
            Command::parse(frame).unwrap(),
            Command::Login {
                name: text("é\n"),
                password: Field::Absent
            }
        );
        let frame = r#"{"Command":4,"FriendName":7,"Message":""}"#;
        assert_eq!(
            Command::parse(frame).unwrap(),
            Command::Private {
                friend: Field::Other,
                message: text("")
            }
        );
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        for frame in [
            "{\"Command\":01}",
            "{]",
            "{\"a\" 1}",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"a\":\"\\x\"}",
            "{\"a\":nul}",
        ] {
            assert!(Command::parse(frame).is_err(), "{frame}");
        }
    }
}
