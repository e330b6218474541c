//! Ends that nobody planned: the server killed again and again, in the middle of its work.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::accounts::check;
use crate::harness::{Client, PATIENCE, Way};
use crate::process::{Chatd, Process, chatd};

/// Numbers that a seed determines (xorshift).
struct Chance(u64);

impl Chance {
    /// Another seed in each run; it is printed, and the variable `CHATD_TEST_SEED` chooses it.
    fn new() -> Chance {
        let chosen = std::env::var("CHATD_TEST_SEED").ok();
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        let seed = chosen.map_or(since.as_nanos() as u64, |seed| seed.parse().unwrap());
        eprintln!("CHATD_TEST_SEED={seed}");
        Chance(seed | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Registers one name after another until the server is gone. Tells of each name before it is sent, and again when
/// it is acknowledged.
fn register_until_the_end(mut client: Client, names: &str, news: &mpsc::Sender<News>) {
    for number in 0.. {
        let name = format!("{names}x{number}");
        let request = json!({"Command": "02", "Name": name, "Password": password_of(&name)});
        news.send(News::Asked(name.clone())).unwrap();
        let bytes = client.way().frame(&request.to_string());
        if client.try_send_bytes(&bytes).is_err() {
            return;
        }
        let Some(reply) = client.next_frame() else {
            return;
        };
        // A machine with much else to do may refuse some for now.
        if reply == br#"{"Command":"12","Flag":1}"# {
            news.send(News::Acknowledged(name)).unwrap();
        }
    }
}

enum News {
    Asked(String),
    Acknowledged(String),
}

fn password_of(name: &str) -> String {
    name.to_lowercase()
}

#[test]
fn what_was_acknowledged_survives_many_kills_in_the_middle_of_registrations() {
    const KILLS: u64 = 32;
    /// So long several take to register a name each, roughly, in milliseconds.
    const LONGEST_LIFE: u64 = 400;
    let mut chance = Chance::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data").join("accounts.jsonl");
    let length = || fs::metadata(&file).map_or(0, |file| file.len());
    let mut asked: HashSet<String> = HashSet::new();
    let mut acknowledged: Vec<String> = Vec::new();
    let mut unacknowledged_kept = 0;
    let start_server = || {
        let mut command = chatd(folder.path());
        command.args(["--max-registrations", "0"]);
        Chatd::start(command)
    };
    let start = Instant::now();
    for kill in 0..KILLS {
        let mut server = start_server();
        // The latest is the one in most danger. A login costs as much as a registration, so not each time.
        if kill % 4 == 0
            && let Some(name) = acknowledged.last()
        {
            check(&server, name, &password_of(name));
        }
        let (tell, news) = mpsc::channel();
        let registrants: Vec<_> = (0..3)
            .map(|registrant| {
                let client =
                    server.connect_as(Way::ALL[(kill as usize + registrant) % Way::ALL.len()]);
                let (names, tell) = (format!("Name{kill}x{registrant}"), tell.clone());
                thread::spawn(move || register_until_the_end(client, &names, &tell))
            })
            .collect();
        drop(tell);
        let mut heard = Vec::new();
        match chance.below(4) {
            // At any moment of a registration.
            0 => thread::sleep(Duration::from_millis(chance.below(LONGEST_LIFE))),
            // Right when something was written.
            1 => {
                let (before, deadline) = (length(), Instant::now() + PATIENCE);
                while length() == before {
                    assert!(Instant::now() < deadline, "nothing is registered");
                    thread::sleep(Duration::from_micros(200));
                }
            }
            // Right after an acknowledgement.
            _ => {
                let mut more = 1 + chance.below(3);
                while more > 0 {
                    heard.push(news.recv_timeout(PATIENCE).expect("a registration"));
                    more -= u64::from(matches!(heard.last(), Some(News::Acknowledged(_))));
                }
            }
        }
        server.process.kill();
        let log = server.process.err.all();
        // The file is replaced whole, so what is found is never half of something.
        for word in ["was interrupted", "internal error"] {
            assert!(!log.contains(word), "{log}");
        }
        heard.extend(news);
        for registrant in registrants {
            registrant.join().unwrap();
        }
        for news in heard {
            match news {
                News::Asked(name) => assert!(asked.insert(name)),
                News::Acknowledged(name) => acknowledged.push(name),
            }
        }
        let lines = fs::read(&file).unwrap();
        assert!(lines.is_empty() || lines.ends_with(b"\n"));
        let kept = lines.iter().filter(|byte| **byte == b'\n').count();
        assert!(kept >= acknowledged.len(), "{kept} of {acknowledged:?}");
        unacknowledged_kept = kept - acknowledged.len();
    }

    let server = start_server();
    let took = start.elapsed();
    let text = fs::read_to_string(&file).unwrap();
    let mut times: HashMap<String, usize> = HashMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let name = line["name"].as_str().unwrap().to_owned();
        assert!(asked.contains(&name), "nobody asked for {name}");
        *times.entry(name).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    for name in &acknowledged {
        assert!(times.contains_key(name), "{name} is lost");
    }
    // One after another: where many wait for their turn to hash, some are refused.
    for name in &acknowledged {
        check(&server, name, &password_of(name));
    }
    // Who was asked for and not acknowledged has an account or none, and not something between.
    for name in asked
        .iter()
        .filter(|name| !acknowledged.contains(name))
        .take(6)
    {
        if times.contains_key(name) {
            check(&server, name, &password_of(name));
        } else {
            server.connect().register(name, &password_of(name));
        }
    }
    eprintln!(
        "{KILLS} kills in {took:?}: {} accounts acknowledged, none lost; {unacknowledged_kept} more kept; all in {:?}",
        acknowledged.len(),
        start.elapsed()
    );
    server.stop();
}

#[test]
fn a_first_start_may_be_killed_at_any_moment() {
    const KILLS: usize = 30;
    /// So long a first start takes, roughly, in milliseconds.
    const START: u64 = 30;
    let mut chance = Chance::new();
    // What was there when the server was killed, and how often.
    let mut found: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for _ in 0..KILLS {
        let folder = tempfile::tempdir().unwrap();
        let mut killed = Process::start(chatd(folder.path()));
        thread::sleep(Duration::from_millis(chance.below(START)));
        killed.kill();
        let files = fs::read_dir(folder.path().join("data"));
        let mut files: Vec<String> = files
            .into_iter()
            .flatten()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        *found.entry(files).or_default() += 1;

        let server = Chatd::start(chatd(folder.path()));
        server.connect_as(Way::Tls).log_in("Anna");
        let fingerprint = server.fingerprint();
        server.stop();
        let server = Chatd::start(chatd(folder.path()));
        assert_eq!(server.fingerprint(), fingerprint);
        server.stop();
    }
    eprintln!("{found:?}");
}
