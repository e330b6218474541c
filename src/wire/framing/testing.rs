//! What the tests of framings share: bytes fed to a reader in pieces.

use super::{FrameError, FrameReader};

pub(super) const LIMIT: usize = 64 << 10;

/// Feeds `bytes` in pieces of `step` to a reader that detects the framing, and collects all that comes out.
#[track_caller]
pub(super) fn frames(bytes: &[u8], step: usize) -> (Vec<String>, Option<FrameError>) {
    read(FrameReader::detecting(), bytes, step)
}

/// Feeds `bytes` in pieces of `step` to `reader`, and collects all that comes out.
#[track_caller]
pub(super) fn read(
    mut reader: FrameReader,
    bytes: &[u8],
    step: usize,
) -> (Vec<String>, Option<FrameError>) {
    read_some(&mut reader, bytes, step)
}

/// The same, with a reader that goes on. Frames without a message are passed over.
#[track_caller]
pub(super) fn read_some(
    reader: &mut FrameReader,
    bytes: &[u8],
    step: usize,
) -> (Vec<String>, Option<FrameError>) {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = reader.space();
        let count = step.min(space.len()).min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        reader.filled(count);
        rest = &rest[count..];
        loop {
            match reader
                .next_frame(LIMIT)
                .map(|frame| frame.map(str::to_owned))
            {
                Ok(Some(frame)) => out.push(frame),
                Ok(None) if reader.take_control().is_some() => {}
                Ok(None) => break,
                Err(error) => return (out, Some(error)),
            }
        }
    }
    (out, None)
}

/// Feeds `bytes` at once, and returns the reader too.
pub(super) fn feed(bytes: &[u8]) -> (FrameReader, Vec<String>, Option<FrameError>) {
    let mut reader = FrameReader::detecting();
    let (frames, error) = read_some(&mut reader, bytes, bytes.len());
    (reader, frames, error)
}

#[track_caller]
pub(super) fn check(bytes: &[u8], expected: &[&str]) {
    for step in [1, 2, 3, 7, bytes.len()] {
        let (got, error) = frames(bytes, step);
        assert_eq!(
            (got.iter().map(String::as_str).collect::<Vec<_>>(), error),
            (expected.to_vec(), None)
        );
    }
}

#[track_caller]
pub(super) fn check_error(bytes: &[u8], expected: FrameError) {
    check_error_by(bytes, |error| error == expected);
}

/// Checks that reading `bytes` ends in an error of some kind. What it says may depend on how much had come.
#[track_caller]
pub(super) fn check_error_by(bytes: &[u8], is_expected: impl Fn(FrameError) -> bool) {
    for step in [1, 2, bytes.len()] {
        let error = frames(bytes, step).1;
        assert!(
            error.is_some_and(&is_expected),
            "{error:?} in steps of {step}"
        );
    }
}
