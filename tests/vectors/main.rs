//! The cases of `examples/check.py` for servers, played against chatd.
//!
//! They are the JSON files in this folder, and `docs/checker.md` explains their format. chatd must pass every one
//! of them, with every optional feature. Where the program is patient this runner is strict: it ends a silence by
//! a question that chatd answers, and takes `Command` only as the two digits that chatd promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "nobody uses a test from outside, and not each uses all of the harness"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod pattern;
mod play;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::harness::{TestServer, Way};
use crate::play::Play;

/// Players of cases at the same time: most of a case is waiting.
const PLAYERS: usize = 4;

/// The cases of all files for one side, in order.
fn cases(side: &str) -> Vec<Value> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "vectors"]
        .iter()
        .collect();
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|is| is == "json"))
        .collect();
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if file["side"] == side {
            for case in file["cases"].as_array().unwrap() {
                for key in ["says", "cause"] {
                    let text = match case[key].as_str() {
                        Some(shared) => &file["texts"][shared],
                        None => &case[key],
                    };
                    check_text(text, &case["id"]);
                }
                cases.push(case.clone());
            }
        }
    }
    assert!(!cases.is_empty());
    cases
}

#[track_caller]
fn check_text(text: &Value, id: &Value) {
    for language in ["en", "zh"] {
        let is_there = text[language].as_str().is_some_and(|text| !text.is_empty());
        assert!(is_there, "{id} lacks a text in {language}");
    }
}

/// Checks all texts for people in a part of a file, however deep they are.
#[track_caller]
fn check_texts(part: &Value, id: &Value) {
    match part {
        Value::Object(values) if values.contains_key("en") => check_text(part, id),
        Value::Object(values) => values.values().for_each(|value| check_texts(value, id)),
        Value::Array(values) => values.iter().for_each(|value| check_texts(value, id)),
        _ => {}
    }
}

/// Plays all cases on one server at the same time, as far as there are players.
fn chatd_passes_every_case(way: Way) {
    let server = TestServer::calm();
    let cases = cases("server");
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for player in 0..PLAYERS {
            let (server, cases, next) = (&server, &cases, &next);
            let play = move || {
                while let Some((number, case)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(number).map(|case| (number, case))
                } {
                    // Half a TLS connection cannot be closed.
                    if !(way.is_tls() && case["plain"] == true) {
                        Play::new(server, way, case, number).run();
                    }
                }
            };
            thread::Builder::new()
                .name(format!("player {player}"))
                .spawn_scoped(scope, play)
                .unwrap();
        }
    });
}

#[test]
fn chatd_passes_every_case_on_plain_connections() {
    chatd_passes_every_case(Way::Plain);
}

#[test]
fn chatd_passes_every_case_by_tls() {
    chatd_passes_every_case(Way::Tls);
}

#[test]
fn chatd_passes_every_case_with_a_length_before_each_object() {
    chatd_passes_every_case(Way::PlainPrefixed);
}

#[test]
fn chatd_passes_every_case_by_websocket() {
    chatd_passes_every_case(Way::Browser);
}

#[test]
fn the_cases_are_complete() {
    let mut ids = HashSet::new();
    let mut provided = HashSet::new();
    for side in ["server", "client"] {
        for case in cases(side) {
            let id = case["id"].as_str().unwrap().to_owned();
            assert!(
                id.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{id}"
            );
            assert!(id.len() < 26, "{id} is too long for the report's table");
            check_text(&case["title"], &case["id"]);
            check_texts(&case["steps"], &case["id"]);
            let level = case["level"].as_str().unwrap();
            assert!(["required", "optional", "robust"].contains(&level), "{id}");
            assert!(level == "optional" || case.get("feature").is_none(), "{id}");
            provided.extend(case["feature"].as_str().map(str::to_owned));
            let needs = case["needs"].as_array().into_iter().flatten();
            for feature in needs {
                let feature = feature.as_str().unwrap().to_owned();
                assert!(provided.contains(&feature), "{id} needs {feature}");
                assert_ne!(level, "required", "{id}");
            }
            assert!(ids.insert(id.clone()), "{id} is there twice");
        }
    }
}
