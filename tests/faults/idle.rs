//! Thousands are online and silent. `CHATD_TEST_CLIENTS` lets fewer come, for a machine that takes too long for all.

use std::time::{Duration, Instant};

use chatd::server::capacity;
use serde_json::json;

use crate::harness::platform::allow_open_files;
use crate::harness::{Client, PATIENCE, TestServer, Way};
use crate::tools::{Presence, expect_no_panics, take_the_machine, watch_for_panics};

/// How many are meant to be online. Names have room for no more than 10000.
const CLIENTS: usize = 5000;

/// Fewer than this show nothing.
const WORTHWHILE: usize = 1000;

/// How many come at once.
const ROUND: usize = 500;

/// Descriptors and threads that other tests need meanwhile.
const OTHERS: usize = 2000;

const HEARTBEAT: &[u8] = b"{\"Command\":\"14\"}\n";

fn name(number: usize) -> String {
    format!("idle{number:04}")
}

/// The number in a name.
fn number(digits: &[u8]) -> usize {
    digits
        .iter()
        .fold(0, |number, digit| 10 * number + usize::from(digit - b'0'))
}

/// The notices that all see, in order, and who came by each.
struct Order {
    notices: Vec<u8>,
    /// By number: how many were there before.
    before: Vec<usize>,
}

impl Order {
    /// How long each notice is.
    fn length() -> usize {
        notice(0).len()
    }
}

fn notice(number: usize) -> Vec<u8> {
    let name = name(number);
    let notice = format!("{{\"Command\":\"30\",\"LogOnUserName\":\"{name}\",\"IsUserGuest\":1}}\n");
    notice.into_bytes()
}

struct Idler {
    client: Client,
    /// What was read and not understood yet.
    unread: Vec<u8>,
    /// How much of the order it has seen, in bytes; all before its own notice counts as seen.
    seen: usize,
    heartbeats: usize,
}

impl Idler {
    fn knock(server: &TestServer, number: usize) -> Idler {
        let way = match number % 50 {
            49 => Way::Tls,
            _ => Way::Plain,
        };
        Idler {
            client: server.connect_as(way),
            unread: Vec::new(),
            seen: 0,
            heartbeats: 0,
        }
    }

    fn read(&mut self) {
        let count = self.client.read_some().expect("no silence");
        assert!(count > 0, "somebody was cut off");
        self.unread.extend(self.client.take_bytes());
    }

    /// Takes the heartbeats that came next.
    fn take_heartbeats(&mut self) {
        while self.unread.starts_with(HEARTBEAT) {
            self.heartbeats += 1;
            self.unread.drain(..HEARTBEAT.len());
        }
    }

    /// Reads so many more notices, whatever their order is, and adds them to it.
    fn write_down(&mut self, count: usize, order: &mut Order) {
        let length = Order::length();
        for _ in 0..count {
            loop {
                self.take_heartbeats();
                if self.unread.len() >= length {
                    break;
                }
                self.read();
            }
            let digits = length - br#"0000","IsUserGuest":1}"#.len() - 1;
            let newcomer = number(&self.unread[digits..digits + 4]);
            let expected = notice(newcomer);
            assert!(self.unread.starts_with(&expected));
            assert_eq!(order.before[newcomer], usize::MAX, "it came twice");
            order.before[newcomer] = order.notices.len() / length;
            order.notices.extend(expected);
            self.unread.drain(..length);
        }
        self.seen = order.notices.len();
    }

    /// Takes the 11, and checks that it has exactly those who came before, and the client itself.
    fn expect_roster(&mut self, own: usize, order: &Order) {
        let start: &[u8] = b"{\"Command\":\"11\",\"Flag\":1,\"Friends\":[";
        let count = order.before[own] + 1;
        let entry = br#"["idle0000",1],"#.len();
        // The last entry has no comma.
        let length = start.len() + count * entry - 1 + b"]}\n".len();
        while self.unread.len() < length {
            self.read();
        }
        let line: Vec<u8> = self.unread.drain(..length).collect();
        assert!(line.starts_with(start) && line.ends_with(b"]}\n"));
        let mut is_there = vec![false; count];
        for entry in line[start.len()..length - 2].chunks(entry) {
            let (head, digits) = (&entry[..6], &entry[6..10]);
            assert!(head == b"[\"idle" && entry[10..].starts_with(b"\",1]"));
            let before = order.before[number(digits)];
            assert!(before < count, "{} is not there yet", number(digits));
            let twice = std::mem::replace(&mut is_there[before], true);
            assert!(!twice, "{} is there twice", number(digits));
        }
        self.seen = count * Order::length();
    }

    /// Reads until all notices of the order have come, exactly these in this order.
    fn catch_up(&mut self, order: &Order) {
        let length = Order::length();
        while self.seen < order.notices.len() {
            let mut at = 0;
            while let Some(frame) = self.unread.get(at..at + length) {
                if frame == &order.notices[self.seen..self.seen + length] {
                    (at, self.seen) = (at + length, self.seen + length);
                } else {
                    assert!(frame.starts_with(HEARTBEAT), "{frame:?}");
                    (at, self.heartbeats) = (at + HEARTBEAT.len(), self.heartbeats + 1);
                }
                if self.seen == order.notices.len() {
                    break;
                }
            }
            self.unread.drain(..at);
            if self.seen < order.notices.len() {
                self.take_heartbeats();
                self.read();
            }
        }
    }

    /// Reads until a line has come, with nothing but heartbeats before it.
    fn expect_line(&mut self, line: &[u8]) {
        loop {
            self.take_heartbeats();
            if self.unread.starts_with(line) {
                self.unread.drain(..line.len());
                return;
            }
            assert!(
                line.starts_with(&self.unread) || HEARTBEAT.starts_with(&self.unread),
                "{}",
                String::from_utf8_lossy(&self.unread)
            );
            self.read();
        }
    }
}

/// How many threads this process has, where that can be told.
fn threads() -> Option<usize> {
    // Under Wine there is such a file too, but about another process.
    if !cfg!(target_os = "linux") {
        return None;
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let count = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"))?;
    count.trim().parse().ok()
}

/// How many clients this machine can hold, both ends in this process, and what keeps it from more.
fn how_many() -> (usize, String) {
    if let Ok(clients) = std::env::var("CHATD_TEST_CLIENTS") {
        let clients = clients.parse().expect("CHATD_TEST_CLIENTS is a number");
        return (
            CLIENTS.min(clients),
            "CHATD_TEST_CLIENTS says so".to_owned(),
        );
    }
    let files = allow_open_files(2 * CLIENTS as u64 + OTHERS as u64);
    let by_files = (files as usize).saturating_sub(OTHERS) / 2;
    let (others, advice) =
        capacity::fewer_than(CLIENTS + OTHERS).unwrap_or((CLIENTS + OTHERS, String::new()));
    let by_others = others.saturating_sub(OTHERS);
    let why = format!("{files} open files are allowed; {advice}");
    (CLIENTS.min(by_files).min(by_others), why)
}

#[test]
#[allow(clippy::print_stderr, reason = "it says what it does not check")]
fn five_thousand_who_are_silent_are_all_kept_and_all_hear_what_one_says() {
    let _machine = take_the_machine();
    watch_for_panics();
    let (clients, why) = how_many();
    if clients < CLIENTS {
        eprintln!("{clients} clients instead of {CLIENTS}: {why}");
    }
    if clients < WORTHWHILE {
        return eprintln!("skipped: too few to show anything");
    }
    let start = Instant::now();
    let server = TestServer::with(|config| config.max_connections = CLIENTS + 100);
    let mut order = Order {
        notices: Vec::new(),
        before: vec![usize::MAX; clients],
    };
    // The first one is there before all, and what it sees is the order.
    let mut idlers: Vec<Idler> = Vec::new();
    let rounds = std::iter::once(0..1).chain((1..clients).step_by(ROUND).map(|first| {
        let end = clients.min(first + ROUND);
        first..end
    }));
    for round in rounds {
        let mut newcomers: Vec<Idler> = round
            .clone()
            .map(|number| Idler::knock(&server, number))
            .collect();
        for (number, newcomer) in round.clone().zip(&mut newcomers) {
            let login = json!({"Command": "01", "Name": name(number)});
            newcomer.client.send(&login);
        }
        match idlers.first_mut() {
            None => {
                order.before[0] = 0;
                order.notices = notice(0);
            }
            Some(first) => first.write_down(round.len(), &mut order),
        }
        for (number, newcomer) in round.zip(&mut newcomers) {
            newcomer.expect_roster(number, &order);
        }
        idlers.extend(newcomers);
        for idler in &mut idlers {
            idler.catch_up(&order);
        }
    }
    eprintln!("{clients} were online after {:?}", start.elapsed());
    let most_threads = threads();
    assert!(most_threads.is_none_or(|threads| threads > clients));

    idlers[clients / 2].client.say("is anybody there?");
    let line = format!(
        "{{\"Command\":\"32\",\"Speaker\":\"{}\",\"Message\":\"is anybody there?\"}}\n",
        name(clients / 2)
    );
    for idler in &mut idlers {
        idler.expect_line(line.as_bytes());
    }
    for idler in &mut idlers {
        let earlier = idler.heartbeats;
        while idler.heartbeats == earlier {
            idler.read();
            idler.take_heartbeats();
        }
    }
    eprintln!("and all had a heartbeat after {:?}", start.elapsed());

    drop(idlers);
    let mut late = server.connect();
    late.send(&json!({"Command": "01", "Name": "Late"}));
    let mut presence = Presence::from_reply(&late.receive()).unwrap();
    while presence.len() > 1 {
        presence.apply(&late.receive()).unwrap();
    }
    let gone = Instant::now();
    while threads().is_some_and(|threads| threads > clients / 2) {
        assert!(gone.elapsed() < PATIENCE, "threads stay: {:?}", threads());
        std::thread::sleep(Duration::from_millis(20));
    }
    eprintln!(
        "{most_threads:?} threads went down to {:?}, after {:?}",
        threads(),
        start.elapsed()
    );
    expect_no_panics();
}
