//! What a frame asks for.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What a client wants, with the fields that matter to it as they came: whether they are valid is decided by
/// whoever carries the request out, because each command has a refusal of its own.
#[derive(Debug, PartialEq)]
pub enum Request<'a> {
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
    /// `14`: an answer to the heartbeat, which needs none.
    HeartbeatAnswer,
    /// There is a `Command`, but none that clients may send.
    Unknown,
    /// There is no `Command`.
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

impl<'a> Request<'a> {
    /// Parses one frame. The error is the parser's, to be shown to the client: the frame is not a JSON object.
    ///
    /// Of a key that stands twice the last value counts; unknown keys are ignored, whatever they hold.
    pub fn parse(frame: &'a str) -> Result<Request<'a>, serde_json::Error> {
        let keys: Keys<'a> = serde_json::from_str(frame)?;
        let Some(command) = keys.command else {
            return Ok(Request::Missing);
        };
        let name = Field::from_raw(keys.name);
        let password = Field::from_raw(keys.password);
        let friend = Field::from_raw(keys.friend_name);
        let message = Field::from_raw(keys.message);
        Ok(match command_number(command.get()) {
            Some(1) => Request::Login { name, password },
            Some(2) => Request::Register { name, password },
            Some(3) => Request::Logout,
            Some(4) => Request::Private { friend, message },
            Some(5) => Request::Room { message },
            Some(14) => Request::HeartbeatAnswer,
            _ => Request::Unknown,
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

/// The keys that commands know, each as the text of its value. Values are left unparsed, because one that can't
/// be represented, such as `1e999`, is no reason to distrust the frame.
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

/// Written out, because serde's derived implementation calls a key that stands twice an error.
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
                Request::parse(&format!("{{\"Command\":{json}}}")).unwrap(),
                Request::Logout,
                "{json}"
            );
        }
        let not_commands = [
            "\" 03\"", "\"003\"", "3.0", "3e0", "-3", "true", "[3]", "{}", "\"\"", "\"x\"",
            "1e999", "99", "\"11\"",
        ];
        for json in not_commands {
            assert_eq!(
                Request::parse(&format!("{{\"Command\":{json}}}")).unwrap(),
                Request::Unknown,
                "{json}"
            );
        }
        assert_eq!(Request::parse("{}").unwrap(), Request::Missing);
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_unknown_keys_do_not() {
        let frame = r#"{"Command":"02","x":1e999,"Message":"a","y":{"Command":[1]},"\u0043ommand":5,"Message":"b"}"#;
        assert_eq!(
            Request::parse(frame).unwrap(),
            Request::Room { message: text("b") }
        );
    }

    #[test]
    fn fields_tell_absent_text_and_other_apart() {
        let frame = r#"{"Command":1,"Name":"\u00e9\n","Password":null}"#;
        assert_eq!(
            Request::parse(frame).unwrap(),
            Request::Login {
                name: text("é\n"),
                password: Field::Absent
            }
        );
        let frame = r#"{"Command":4,"FriendName":7,"Message":""}"#;
        assert_eq!(
            Request::parse(frame).unwrap(),
            Request::Private {
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
            assert!(Request::parse(frame).is_err(), "{frame}");
        }
    }
}
