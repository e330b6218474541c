//! Frames: random streams of bytes, cut anywhere, against `serde_json`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::cases;
use crate::oracle::framing::{
    LIMIT, WebMessage, check_bytes, check_command, check_prefixed, check_stream, check_web_bytes,
    check_web_socket, read,
};

/// Keys that commands know, and some that they don't.
const KEYS: [&str; 10] = [
    "Command",
    "Command",
    "Name",
    "Password",
    "FriendName",
    "Message",
    "Message",
    "message",
    "",
    "x",
];

/// Pieces of JSON, and of what is almost JSON.
const SPICES: [&str; 62] = [
    "{",
    "}",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\"",
    "\\",
    ",",
    ":",
    " ",
    "\n",
    "\t",
    "\r",
    "\u{b}",
    "\u{c}",
    "\0",
    "\u{1f}",
    "\u{7f}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "{}",
    "[]",
    "\"\"",
    "{}{}",
    "[{",
    "}]",
    "{\"a\":",
    "\"Command\":",
    "\"Command\":5,",
    "\"Command\":\"01\"",
    "\"Message\":\"",
    "\"Name\":\"Anna\",",
    "\\u",
    "\\ud800",
    "\\udc00",
    "\\ud83d\\ude00",
    "\\uD83D",
    "\\u12",
    "\\u00g0",
    "\\\"",
    "\\\\",
    "\\/",
    "\\x",
    "0",
    "01",
    "-",
    "-0",
    "1.",
    ".5",
    "1e999",
    "1E+5",
    "99999999999999999999999",
    "NaN",
    "null",
    "nul",
    "true",
    "false",
    "/**/",
    "'",
];

/// Bytes that no text has.
const BAD_BYTES: [&[u8]; 7] = [
    b"\xff",
    b"\x80",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe4\xbd",
    b"\xef\xbb",
];

/// White space between values.
fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 3 => "[ \t\r\n]{1,3}", 1 => "[ \n]{0,40}"]
}

/// A string as JSON, some of its characters escaped.
fn string() -> impl Strategy<Value = String> {
    let plain = "[a-z0-9 {}\\[\\],:é你😀\u{7f}\u{2028}\u{feff}]{1,6}";
    let escape = select(vec![
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\n",
        "\\r",
        "\\t",
        "\\u0000",
        "\\u4F60",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\uDBFF\\uDFFF",
        "\\u007b",
    ]);
    vec(
        prop_oneof![plain.prop_map(String::from), escape.prop_map(String::from)],
        0..5,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()))
}

/// A value as JSON.
fn value() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        3 => string(),
        2 => select(vec!["null", "true", "false", "0", "-0", "1", "5", "14", "100", "1.5", "3.0", "-1e5", "1E999", "1e-999"])
            .prop_map(String::from),
        1 => "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][-+]?[0-9]{1,5})?",
        1 => (0..132_usize, any::<bool>()).prop_map(|(depth, is_array)| match is_array {
            true => "[".repeat(depth) + "0" + &"]".repeat(depth),
            false => "{\"a\":".repeat(depth) + "0" + &"}".repeat(depth),
        }),
    ];
    atom.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..4), space()).prop_map(|(items, space)| {
                let separator = format!("{space},{space}");
                format!("[{space}{}{space}]", items.join(&separator))
            }),
            object_of(inner),
        ]
    })
}

/// An object as JSON, with keys that may stand in it twice.
fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let key = prop_oneof![
        4 => select(&KEYS[..]).prop_map(|key| format!("\"{key}\"")),
        1 => Just("\"\\u0043ommand\"".to_owned()),
        1 => string(),
    ];
    (vec((key, value), 0..6), space()).prop_map(|(entries, space)| {
        let entries: Vec<String> = entries
            .iter()
            .map(|(key, value)| format!("{key}{space}:{space}{value}"))
            .collect();
        format!("{{{space}{}{space}}}", entries.join(","))
    })
}

/// A command that a client may send, with its keys in any order and some of them more than once.
fn command() -> impl Strategy<Value = String> {
    const NUMBERS: [&str; 13] = [
        "\"003\"",
        "\" 5\"",
        "5.0",
        "104",
        "\"01\"",
        "\"02\"",
        "3",
        "\"4\"",
        "\"04\"",
        "5",
        "\"05\"",
        "\"14\"",
        "\"\\u00305\"",
    ];
    let number = select(&NUMBERS[..]).prop_map(|number| format!("\"Command\":{number}"));
    let value = prop_oneof![4 => string(), 1 => Just("null".to_owned()), 1 => Just("7".to_owned())];
    let field = (select(&KEYS[2..]), value).prop_map(|(key, value)| format!("\"{key}\":{value}"));
    (vec(number, 1..3), vec(field, 0..7))
        .prop_map(|(numbers, fields)| [numbers, fields].concat())
        .prop_shuffle()
        .prop_map(|entries| format!("{{{}}}", entries.join(",")))
}

fn object() -> impl Strategy<Value = String> {
    prop_oneof![1 => command(), 2 => object_of(value())]
}

/// Objects with white space between them, perhaps behind a byte-order mark.
fn good_stream() -> impl Strategy<Value = Vec<u8>> {
    let mark = prop_oneof![4 => Just(""), 1 => Just("\u{feff}")];
    (mark, space(), vec((object(), space()), 0..6)).prop_map(|(mark, space, objects)| {
        let mut stream = format!("{mark}{space}");
        for (object, space) in objects {
            stream += &object;
            stream += &space;
        }
        stream.into_bytes()
    })
}

/// Something that makes of good bytes bad ones, or other good ones.
#[derive(Clone, Debug)]
enum Mutation {
    Insert(Index, Vec<u8>),
    /// Behind a quote, so that strings get their share.
    Quote(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Replace(Index, u8),
    Truncate(Index),
}

fn piece() -> impl Strategy<Value = Vec<u8>> + Clone {
    prop_oneof![
        12 => select(&SPICES[..]).prop_map(|spice| spice.as_bytes().to_vec()),
        2 => select(&BAD_BYTES[..]).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 1..4),
    ]
}

/// What strings may and may not have in them.
fn piece_of_string() -> impl Strategy<Value = Vec<u8>> {
    const ESCAPES: [&str; 12] = [
        "\\ud800",
        "\\udc00",
        "\\udfff",
        "\\ud83d\\ud83d",
        "\\udc00\\ud800",
        "\\ud83d\\ude00",
        "\\ud83dx",
        "\\ud83d\\n",
        "\\u12",
        "\\u00g0",
        "\\x",
        "\\u0000",
    ];
    prop_oneof![
        2 => select(&ESCAPES[..]).prop_map(|escape| escape.as_bytes().to_vec()),
        1 => select(&BAD_BYTES[..]).prop_map(<[u8]>::to_vec),
        1 => (0..0x21_u8).prop_map(|control| vec![control]),
    ]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        4 => (any::<Index>(), piece()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        4 => (any::<Index>(), piece_of_string()).prop_map(|(at, piece)| Mutation::Quote(at, piece)),
        3 => (any::<Index>(), 1..4_usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        1 => (any::<Index>(), 1..20_usize).prop_map(|(at, count)| Mutation::Repeat(at, count)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        1 => any::<Index>().prop_map(Mutation::Truncate),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let length = bytes.len();
    let end = |start: usize, count: &usize| length.min(start + count);
    match mutation {
        Mutation::Insert(at, piece) => {
            let at = at.index(length + 1);
            bytes.splice(at..at, piece.iter().copied());
        }
        Mutation::Quote(at, piece) => {
            let quotes: Vec<usize> = (0..length).filter(|at| bytes[*at] == b'"').collect();
            if !quotes.is_empty() {
                let at = at.get(&quotes) + 1;
                bytes.splice(at..at, piece.iter().copied());
            }
        }
        _ if bytes.is_empty() => {}
        Mutation::Remove(at, count) => {
            let at = at.index(length);
            bytes.drain(at..end(at, count));
        }
        Mutation::Repeat(at, count) => {
            let at = at.index(length);
            let part = bytes[at..end(at, count)].to_vec();
            bytes.splice(at..at, part);
        }
        Mutation::Replace(at, byte) => bytes[at.index(length)] = *byte,
        Mutation::Truncate(at) => bytes.truncate(at.index(length)),
    }
}

/// Good streams made a little worse, and heaps of pieces.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let mutated = (good_stream(), vec(mutation(), 1..4)).prop_map(|(mut stream, mutations)| {
        for mutation in &mutations {
            mutate(&mut stream, mutation);
        }
        stream
    });
    let heap = vec(piece(), 0..12).prop_map(|pieces| pieces.concat());
    let object = heap
        .clone()
        .prop_map(|heap| [b"{", &heap[..], b"}{}"].concat());
    prop_oneof![3 => mutated, 1 => heap, 1 => object]
}

/// A message by WebSocket, mostly a good one, in fragments of any size.
fn web_message() -> impl Strategy<Value = WebMessage> {
    let body = prop_oneof![
        6 => (space(), object(), space())
            .prop_map(|(before, object, after)| (before + &object + &after).into_bytes()),
        1 => any_stream(),
        // So large that a length has two bytes, or eight.
        1 => (0..70_000_usize).prop_map(|size| format!("{{\"x\":\"{}\"}}", "é".repeat(size)).into_bytes()),
    ];
    let cuts = prop_oneof![
        4 => vec(any::<Index>(), 0..5),
        1 => vec(any::<Index>(), 0..80),
    ];
    let control = prop_oneof![
        1 => Just(None),
        2 => vec(any::<u8>(), 0..126).prop_map(Some),
    ];
    (body, cuts, any::<[u8; 4]>(), vec(control, 0..8)).prop_map(|(body, cuts, mask, controls)| {
        let cuts = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        WebMessage {
            body,
            cuts,
            mask,
            controls,
        }
    })
}

/// Headers of WebSocket as they should be and otherwise, and what may follow them.
fn web_pieces() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => select(&[0x81_u8, 0x01, 0x00, 0x80, 0x89, 0x8a, 0x88][..]),
        1 => any::<u8>(),
    ];
    let length = prop_oneof![
        8 => (0..20_u8).prop_map(|length| vec![0x80 | length]),
        2 => any::<u16>().prop_map(|length| [&[0xfe][..], &length.to_be_bytes()].concat()),
        1 => any::<u64>().prop_map(|length| [&[0xff][..], &length.to_be_bytes()].concat()),
        1 => (0..4_u64).prop_map(|less| [&[0xff][..], &(u64::MAX - less).to_be_bytes()].concat()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    let payload = prop_oneof![
        3 => Just(b"{}".to_vec()),
        2 => piece(),
        2 => vec(any::<u8>(), 0..20),
    ];
    // Without a mask that does anything, so that some of the text can be read.
    let frame = (first, length, payload)
        .prop_map(|(first, length, payload)| [&[first], &length[..], &[0; 4], &payload].concat());
    let right =
        (select(&[0x81_u8, 0x01, 0x00, 0x80, 0x89][..]), piece()).prop_map(|(first, payload)| {
            [
                &[first, 0x80 | payload.len() as u8, 0, 0, 0, 0],
                &payload[..],
            ]
            .concat()
        });
    vec(prop_oneof![1 => frame, 2 => right], 0..8).prop_map(|frames| frames.concat())
}

/// A stream and where it is cut.
fn cut(stream: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let cuts = prop_oneof![
        4 => vec(any::<Index>(), 0..8).prop_map(Some),
        // Byte by byte.
        1 => Just(None),
    ];
    (stream, cuts).prop_map(|(stream, cuts)| {
        let cuts = match cuts {
            Some(cuts) => cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect(),
            None => (0..stream.len()).collect(),
        };
        (stream, cuts)
    })
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn good_objects_are_read_wherever_they_are_cut((stream, cuts) in cut(good_stream())) {
        check_stream(&stream, &cuts);
    }

    #[test]
    fn what_is_accepted_is_what_serde_json_finds((stream, cuts) in cut(any_stream())) {
        prop_assume!(stream.first() != Some(&0));
        check_stream(&stream, &cuts);
    }

    #[test]
    fn prefixed_frames_hold_one_good_object(
        bodies in vec(prop_oneof![
            3 => (space(), object(), space()).prop_map(|(before, object, after)| (before + &object + &after).into_bytes()),
            1 => any_stream(),
        ].prop_filter("it has no prefix", |body| !body.is_empty()), 1..5),
        cuts in vec(0..2000_usize, 0..8),
    ) {
        check_prefixed(&bodies, &cuts);
    }

    #[test]
    fn messages_by_web_socket_are_one_good_object_however_they_are_fragmented(
        messages in vec(web_message(), 0..5),
        cuts in prop_oneof![vec(0..2000_usize, 0..8), vec(0..200_000_usize, 0..8)],
    ) {
        check_web_socket(&messages, &cuts);
    }

    #[test]
    fn whatever_comes_by_web_socket_is_read_or_refused(
        (stream, cuts) in cut(prop_oneof![
            4 => web_pieces(),
            1 => vec(any::<u8>(), 0..300),
        ]),
        limit in prop_oneof![0..200_usize, Just(LIMIT)],
    ) {
        check_web_bytes(&stream, &cuts, limit);
    }

    #[test]
    fn no_frame_passes_the_limit(
        (stream, cuts) in cut(prop_oneof![good_stream(), any_stream()]),
        prefix in prop_oneof![2 => Just(None), 1 => any::<u8>().prop_map(Some)],
        limit in 0..200_usize,
    ) {
        let mut bytes = prefix.map_or_else(Vec::new, |length| vec![0, 0, 0, length]);
        bytes.extend(stream);
        check_bytes(&bytes, &cuts, limit);
    }

    #[test]
    fn what_a_command_says_can_be_said_again(text in prop_oneof![
        command(),
        object(),
        any_stream().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]) {
        check_command(&text);
    }

    #[test]
    fn a_frame_of_exactly_the_limit_is_read(
        (json, cuts) in cut(object().prop_map(String::into_bytes)),
    ) {
        let fits = read(&json, &cuts, json.len());
        let too_long = read(&json, &cuts, json.len() - 1);
        prop_assert!(too_long.frames.is_empty() && too_long.end.is_err());
        if read(&json, &[], LIMIT).end.is_ok() {
            prop_assert_eq!(fits.frames, [String::from_utf8(json).unwrap()]);
        }
    }
}
