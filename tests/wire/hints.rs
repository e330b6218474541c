//! What clients are told of the mistakes that their authors are likely to make.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::harness::platform::is_timeout;
use crate::harness::{PATIENCE, TestServer, Way};

const LOGIN: &str = r#"{"Command":"01","Name":"Anna"}"#;
const NEXT: &str = r#"{"Command":"77"}"#;

/// What comes back until the server closes, on the plain port.
fn answers_to(server: &TestServer, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.plain_address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(bytes).unwrap();
    let mut answers = Vec::new();
    match socket.read_to_end(&mut answers) {
        Err(error) if is_timeout(&error) => {
            panic!("{}: no end", bytes.escape_ascii())
        }
        _ => String::from_utf8_lossy(&answers).replace('\0', "␀"),
    }
}

/// Checks for each input that the server says all these words about it, and ends the connection.
#[track_caller]
fn check(table: &[(Vec<u8>, &[&str])]) {
    let server = TestServer::calm();
    for (bytes, words) in table {
        let answers = answers_to(&server, bytes);
        for word in *words {
            let escaped = json!(word).to_string();
            let word = escaped.trim_matches('"');
            assert!(
                answers.contains(word),
                "no {word} for {}: {answers}",
                bytes.escape_ascii()
            );
        }
        assert!(
            answers.contains(r#""Command":"10""#),
            "{}: {answers}",
            bytes.escape_ascii()
        );
    }
}

fn utf_16_le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn utf_16_be(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn utf_32_le(text: &str) -> Vec<u8> {
    let chars = text.chars().map(u32::from);
    chars.flat_map(u32::to_le_bytes).collect()
}

fn utf_32_be(text: &str) -> Vec<u8> {
    let chars = text.chars().map(u32::from);
    chars.flat_map(u32::to_be_bytes).collect()
}

/// `body` behind its length.
fn prefixed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

/// A good message and then `bytes`.
fn after_one(bytes: &[u8]) -> Vec<u8> {
    [NEXT.as_bytes(), bytes].concat()
}

/// A message of `size` bytes.
fn of_size(size: usize) -> String {
    let bare = r#"{"Command":"77","x":""}"#.len();
    format!(r#"{{"Command":"77","x":"{}"}}"#, "x".repeat(size - bare))
}

/// A 05 with bytes as its text that need not be UTF-8.
fn speech(text: &[u8]) -> Vec<u8> {
    [br#"{"Command":"05","Message":""#, text, br#""}"#].concat()
}

#[test]
fn utf_16_is_named_in_all_its_forms() {
    let mut table: Vec<(Vec<u8>, &[&str])> = Vec::new();
    for encode in [utf_16_le, utf_16_be, utf_32_le] {
        for mark in ["", "\u{feff}"] {
            let text = format!("{mark}{LOGIN}");
            table.push((encode(&text), &["UTF-16", "UTF-8"]));
        }
    }
    for encode in [utf_16_le, utf_16_be, utf_32_le, utf_32_be] {
        for mark in ["", "\u{feff}"] {
            // Big-endian and without a mark this is what a QDataStream writes for a QString.
            let text = format!("{mark}{LOGIN}");
            table.push((prefixed(&encode(&text)), &["UTF-16", "UTF-8"]));
            table.push((
                [prefixed(NEXT.as_bytes()), prefixed(&encode(&text))].concat(),
                &["UTF-16", "UTF-8"],
            ));
        }
    }
    for encode in [utf_16_le, utf_16_be] {
        for mark in ["", "\u{feff}"] {
            let text = format!("{mark}{NEXT}");
            table.push((after_one(&encode(&text)), &["UTF-16", "UTF-8"]));
        }
    }
    check(&table);
}

#[test]
fn text_in_gbk_or_big5_is_named_before_what_its_bytes_happen_to_be() {
    let gbk = b"\xc4\xe3\xba\xc3";
    // Characters of Big5 whose last byte is a backslash, in front of what may not be escaped, or must be.
    let mut table: Vec<(Vec<u8>, &[&str])> = Vec::new();
    for text in [
        &gbk[..],
        b"\xa5\x5c\xaf\xe0",
        b"\xb3\x5cudent",
        b"\xb3\x5cx",
        b"\xb3\x5c\" and more\n",
        b"\xc4\xe3\n",
        b"\xc4\xe3\t\xba\xc3",
    ] {
        table.push((speech(text), &["UTF-8", "GBK", "Big5", "at its byte 28"]));
        table.push((prefixed(&speech(text)), &["UTF-8", "GBK", "Big5"]));
    }
    let too_long = gbk.repeat(2000);
    table.push((speech(&too_long), &["GBK"]));
    table.push((
        speech(b"\xed\xa0\xbd\xed\xb8\x80"),
        &["UTF-8", "modified", "Java"],
    ));
    table.push((speech(b"\xc0\x80"), &["UTF-8", "modified", "Java"]));
    check(&table);
}

#[test]
fn a_length_in_another_form_is_named() {
    let login = LOGIN.as_bytes();
    let with = |length: &[u8], body: &str| [length, body.as_bytes()].concat();
    let mut table: Vec<(Vec<u8>, &[&str])> = vec![
        // The BinaryWriter of .NET, with all in one segment, or with the length in a segment of its own.
        (with(&[30], LOGIN), &["1 byte", "BinaryWriter"]),
        (vec![30], &["1 byte", "BinaryWriter"]),
        // These lengths look like a digit, a bracket and a quote.
        (with(b"3", &of_size(51)), &["1 byte", "BinaryWriter"]),
        (with(b"[", &of_size(91)), &["1 byte", "BinaryWriter"]),
        (with(b"\"", &of_size(34)), &["1 byte", "BinaryWriter"]),
        (
            with(&[0x80 | 72, 1], &of_size(200)),
            &["7 bits", "BinaryWriter"],
        ),
        // writeUTF in Java.
        (with(&[0, 30], LOGIN), &["2 bytes", "writeUTF"]),
        (with(&[1, 4], &of_size(260)), &["2 bytes", "writeUTF"]),
        (with(b"30", LOGIN), &["in digits"]),
        (with(b"00000030", LOGIN), &["in digits"]),
        (with(&[30, 0, 0, 0], LOGIN), &["little-endian"]),
        (with(&[0, 1, 0, 0], &of_size(256)), &["little-endian"]),
        (with(&[0, 0, 0, 0, 0, 0, 0, 30], LOGIN), &["8 bytes"]),
        (prefixed(&prefixed(login)), &["two lengths"]),
        (
            [prefixed(login), login.to_vec()].concat(),
            &["without a length"],
        ),
        (
            [prefixed(login), b"\n".to_vec(), prefixed(login)].concat(),
            &["newline"],
        ),
        ([prefixed(login), vec![0xff; 4]].concat(), &["QDataStream"]),
        (after_one(&prefixed(login)), &["first byte", "length"]),
        (after_one(&with(&[30, 0, 0, 0], LOGIN)), &["length"]),
        // A length that counts characters, or too much.
        (
            with(&[0, 0, 0, 31], r#"{"Command":"05","Message":"你好"}"#),
            &["bytes, not characters"],
        ),
        (
            with(&[0, 0, 0, 29], LOGIN),
            &["ends before its object does"],
        ),
        (
            with(&[0, 0, 0, 46], &format!("{LOGIN}{NEXT}")),
            &["of its own"],
        ),
        (prefixed(b"{}\0"), &["string in C"]),
        (prefixed(b" \n"), &["white space"]),
        (prefixed("\u{feff}{}".as_bytes()), &["byte-order mark"]),
    ];
    // A length of one byte that passes for white space: the second one gives it away.
    for first in [13, 32] {
        let frame = match first {
            13 => r#"{"Command":3}"#.replace('3', "7"),
            _ => of_size(32),
        };
        for second in [30, 40, 48, 91] {
            let bytes = [
                &[first][..],
                frame.as_bytes(),
                &[second],
                of_size(second.into()).as_bytes(),
            ]
            .concat();
            table.push((bytes, &["after a message", "1 byte", "white space"]));
            // The same in segments of its own.
            let bytes = [&[first][..], frame.as_bytes(), &[second]].concat();
            table.push((bytes, &["after a message", "1 byte", "white space"]));
        }
        let bytes = [
            &[first][..],
            frame.as_bytes(),
            &[0x80 | 72, 1],
            of_size(200).as_bytes(),
        ]
        .concat();
        table.push((bytes, &["after a message", "1 byte", "7 bits"]));
    }
    check(&table);
}

#[test]
fn what_stands_between_messages_is_named() {
    let table: Vec<(Vec<u8>, &[&str])> = [
        (&b"}"[..], &["came '}'", "one brace too many"][..]),
        (b"]", &["came ']'", "one brace too many"]),
        (b",", &["came ','", "only white space"]),
        (b";", &["came ';'", "only white space"]),
        (b"[{}]", &["came '['", "list"]),
        (b"// hi", &["came '/'", "comments"]),
        (b"# hi", &["came '#'", "comments"]),
        (b"\"{}\"", &["came '\"'", "string"]),
        (b"'", &["came \"'\"", "string"]),
        (b"\\n{}", &["came '\\'", "newline"]),
        (b"17", &["came '1'", "digits"]),
        (b"hello", &["came 'h'", "closed too early"]),
        ("，".as_bytes(), &["came '，' (U+FF0C)", "only white space"]),
        (b"\xff\xfb", &["came the byte 0xff"]),
        (b"\0", &["came the byte 0x00", "string in C"]),
        (b"\0{}", &["came the byte 0x00", "string in C"]),
        (&[0; 64], &["came the byte 0x00", "whole buffer"]),
        (b"\x0c", &["came the byte 0x0c"]),
        ("\u{feff}{}".as_bytes(), &["byte-order mark", "very start"]),
    ]
    .map(|(bytes, words)| (after_one(bytes), words))
    .into();
    check(&table);
    check(&[
        (
            after_one(b"}"),
            &[
                "after a message came '}', but each message is a JSON object and begins with '{'; is there one brace too many?",
            ],
        ),
        (b" [1]".to_vec(), &["where a message begins came '['"]),
        (
            prefixed(b"[1]"),
            &["where a message begins came '['", "list"],
        ),
    ]);
}

#[test]
fn mistakes_inside_an_object_are_named() {
    let table: [(&str, &[&str]); 20] = [
        (r#"{'Command':'77'}"#, &["column 2", "single"]),
        (r#"{"Command":'77'}"#, &["column 12", "single"]),
        (
            r#"{Command:"77"}"#,
            &["column 2", "a letter", "key stands in double quotes"],
        ),
        (
            r#"{"Command":"77","x":True}"#,
            &["column 21", "small letters"],
        ),
        (r#"{"Command":"77","x":None}"#, &["JSON writes null"]),
        (r#"{"Command":"77","x":undefined}"#, &["JSON writes null"]),
        (r#"{"Command":"77","x":NaN}"#, &["no NaN"]),
        (r#"{"Command":01}"#, &["column 13", "leading zero"]),
        (
            r#"{"Command":"77","x":hello}"#,
            &["text stands in double quotes"],
        ),
        (r#"{"Command":"77",}"#, &["column 17", "no comma"]),
        (r#"{"Command":"77","x":[1,]}"#, &["no comma"]),
        (
            r#"{"Command":"77"/* */}"#,
            &["column 16", "'/'", "comments"],
        ),
        (r#"{"Command":"77" "x":1}"#, &["comma missing"]),
        (r#"{"Command"="77"}"#, &["'='", "colon"]),
        (
            r#"{“Command”:"77"}"#,
            &["'“' (U+201C)", "straight double quotes"],
        ),
        (r#"{"Command"："77"}"#, &["'：' (U+FF1A)", "full-width"]),
        (
            r#"{"Command":"05","Message":"C:\dir"}"#,
            &["column 31", r"written \\"],
        ),
        (
            r#"{"Command":"05","Message":"say "hi" now"}"#,
            &["column 33", "a letter", r#"not written as \""#],
        ),
        (
            "{\"Command\":\"05\",\"Message\":\"a\nb\"}",
            &["a line ends inside a string", r"\n", "closing quote"],
        ),
        (
            "{\"Command\":\"05\",\"Message\":\"a\tb\"}",
            &["0x09", r"\u0009"],
        ),
    ];
    let plain = table.map(|(text, words)| (text.as_bytes().to_vec(), words));
    check(&plain);
    let behind_lengths = table.map(|(text, words)| (prefixed(text.as_bytes()), words));
    check(&behind_lengths);
}

#[test]
fn a_name_that_is_refused_is_told_which_character_is_wrong() {
    let server = TestServer::calm();
    let names = [
        ("Anna\n", "a newline at its end"),
        ("Anna ", "a blank at its end"),
        ("\tAnna", "a tab at its start"),
        ("Аnna", "'А' (U+0410), a Cyrillic character"),
        ("ＡＮＮＡ", "'Ａ' (U+FF21), a full-width character"),
        ("An\u{200b}na", "a zero-width space (U+200B)"),
        ("An-na", "'-'"),
    ];
    for way in Way::ALL {
        let mut client = server.connect_as(way);
        for (name, words) in names {
            let words = format!("digits 0-9; this one has {words}");
            client.send(&json!({"Command": "01", "Name": name}));
            let why = client.expect_refusal("11");
            assert!(why.contains(&*words), "{why}");
            client.send(&json!({"Command": "02", "Name": name, "Password": "x"}));
            assert_eq!(client.expect_refusal("12"), why);
        }
        client.log_in("Anna");
        for (name, words) in names {
            client.write_to(name, "hi");
            let why = client.expect_refusal("14");
            assert!(why.starts_with("no user of this name is online: "), "{why}");
            assert!(why.contains(words), "{why}");
        }
        for name in ["", "Bob", "Nobody", "admin"] {
            client.write_to(name, "hi");
            assert_eq!(
                client.expect_refusal("14"),
                "no user of this name is online"
            );
        }
        client.log_out();
    }
}
