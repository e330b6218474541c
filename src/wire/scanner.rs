//! Finds where a JSON object ends, in bytes that arrive piece by piece.

use super::framing::error::FrameError;

/// Deepest nesting of arrays and objects in a frame, in levels. The protocol promises 100; a frame nested deeper than
/// this is a syntax error.
pub const MAX_NESTING: u32 = 128;

/// Finds the closing brace of one object without parsing the object, and checks its strings. It can stop after any
/// byte and go on when more have arrived.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Bytes of the frame scanned so far.
    position: usize,
    /// Arrays and objects open.
    depth: u32,
    state: ScanState,
}

#[derive(Clone, Copy, Debug, Default)]
enum ScanState {
    #[default]
    OutsideString,
    InString,
    /// Behind a backslash.
    Escape,
    /// Behind `\u` and `digits` hexadecimal digits, which have the value `value`. `after_high` says that a high
    /// surrogate came before, so a low one must result.
    Hex {
        digits: u8,
        value: u16,
        after_high: bool,
    },
    /// Behind a high surrogate: a backslash must follow.
    WantBackslash,
    /// Behind a high surrogate and a backslash: a `u` must follow.
    WantU,
}

impl Scanner {
    /// Whether a frame has begun.
    pub(super) fn is_inside(&self) -> bool {
        self.position > 0
    }

    /// How many bytes of the frame were scanned so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Whether the bytes scanned so far end inside a string.
    pub(super) fn is_in_string(&self) -> bool {
        !matches!(self.state, ScanState::OutsideString)
    }

    /// Scans on through `frame`, which begins with `{`, and whose first `position` bytes were scanned before. True if the
    /// object is complete: then its bytes are the first `position` ones.
    pub(super) fn advance(&mut self, frame: &[u8]) -> Result<bool, FrameError> {
        while let Some(&byte) = frame.get(self.position) {
            self.position += 1;
            self.state = match self.state {
                ScanState::OutsideString => match byte {
                    b'"' => {
                        self.position += plain_prefix(&frame[self.position..]);
                        ScanState::InString
                    }
                    b'{' | b'[' => {
                        self.depth += 1;
                        if self.depth > MAX_NESTING {
                            return Err(FrameError::TooDeep(MAX_NESTING));
                        }
                        ScanState::OutsideString
                    }
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            return Ok(true);
                        }
                        ScanState::OutsideString
                    }
                    _ => ScanState::OutsideString,
                },
                ScanState::InString => match byte {
                    b'"' => ScanState::OutsideString,
                    b'\\' => ScanState::Escape,
                    0..0x20 => return Err(FrameError::RawControlCharacter(byte)),
                    _ => {
                        self.position += plain_prefix(&frame[self.position..]);
                        ScanState::InString
                    }
                },
                ScanState::Escape if byte == b'u' => ScanState::Hex {
                    digits: 0,
                    value: 0,
                    after_high: false,
                },
                ScanState::Escape => ScanState::InString,
                ScanState::Hex {
                    digits,
                    value,
                    after_high,
                } => {
                    let digit = char::from(byte).to_digit(16).ok_or(FrameError::BadEscape)?;
                    let value = value << 4 | digit as u16;
                    match (digits, value, after_high) {
                        (0..3, ..) => ScanState::Hex {
                            digits: digits + 1,
                            value,
                            after_high,
                        },
                        (_, 0xdc00..=0xdfff, true) => ScanState::InString,
                        (_, _, true) | (_, 0xdc00..=0xdfff, false) => {
                            return Err(FrameError::BadEscape);
                        }
                        (_, 0xd800..=0xdbff, false) => ScanState::WantBackslash,
                        _ => ScanState::InString,
                    }
                }
                ScanState::WantBackslash if byte == b'\\' => ScanState::WantU,
                ScanState::WantU if byte == b'u' => ScanState::Hex {
                    digits: 0,
                    value: 0,
                    after_high: true,
                },
                ScanState::WantBackslash | ScanState::WantU => return Err(FrameError::BadEscape),
            };
        }
        Ok(false)
    }
}

/// How many bytes at the beginning of `bytes` stand for themselves in a JSON string: all up to a quotation mark, a
/// backslash or a control character (RFC 8259, section 7).
fn plain_prefix(bytes: &[u8]) -> usize {
    let end = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
    // Nearly all text has no control character. The least byte tells so without a branch for each byte.
    let least = bytes[..end]
        .iter()
        .fold(u8::MAX, |least, byte| least.min(*byte));
    if least >= 0x20 {
        return end;
    }
    let control = bytes.iter().position(|byte| *byte < 0x20);
    control.unwrap_or(end)
}

/// Whether `byte` is white space between JSON values (RFC 8259, section 2).
pub(super) fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
