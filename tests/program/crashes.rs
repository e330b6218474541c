//! Ends that nobody planned: the server killed again and again, and a data folder that vanishes under it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::accounts::{check, log_in_registered};
use crate::harness::{Client, PATIENCE, Way, came, said};
use crate::process::{Chatd, chatd};

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
    const KILLS: u64 = 36;
    /// So long a registration takes at most, roughly, while several wait for their turn to hash.
    const LONGEST_LIFE: u64 = 300;
    let mut chance = Chance::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data").join("accounts.jsonl");
    let length = || fs::metadata(&file).map_or(0, |file| file.len());
    let (mut asked, mut acknowledged) = (HashSet::new(), Vec::new());
    let (mut torn, mut unacknowledged_before) = (0, 0);
    let start_server = || {
        let mut command = chatd(folder.path());
        command.args(["--max-registrations", "0"]);
        Chatd::start(command)
    };
    let start = Instant::now();
    for kill in 0..KILLS {
        let mut server = start_server();
        torn += usize::from(server.process.err.so_far().contains("was interrupted"));
        // The latest is the one in most danger.
        if let Some(name) = acknowledged.last() {
            check(&server, name, &password_of(name));
        }
        let (tell, news) = mpsc::channel();
        let registrants: Vec<_> = (0..3)
            .map(|registrant| {
                let client = server.connect_as(Way::ALL[(kill as usize + registrant) % 4]);
                let (names, tell) = (format!("Name{kill}x{registrant}"), tell.clone());
                thread::spawn(move || register_until_the_end(client, &names, &tell))
            })
            .collect();
        drop(tell);
        let mut heard = Vec::new();
        match chance.below(3) {
            // At any moment.
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
            _ => loop {
                heard.push(news.recv_timeout(PATIENCE).expect("a registration"));
                if matches!(heard.last(), Some(News::Acknowledged(_))) {
                    break;
                }
            },
        }
        server.process.kill();
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
        let kept = lines.iter().filter(|byte| **byte == b'\n').count();
        unacknowledged_before = kept - acknowledged.len();
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
    // All can log in, and whoever was asked for and not acknowledged has either an account or none.
    thread::scope(|scope| {
        for names in acknowledged.chunks(acknowledged.len().div_ceil(3)) {
            let server = &server;
            scope.spawn(move || {
                for name in names {
                    let mut client = server.connect();
                    log_in_registered(&mut client, name, &password_of(name));
                }
            });
        }
    });
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
        "{KILLS} kills in {took:?}: {} accounts acknowledged, none lost; {unacknowledged_before} more kept, {torn} torn; all in {:?}",
        acknowledged.len(),
        start.elapsed()
    );
    server.stop();
}

#[test]
fn a_data_folder_that_vanishes_costs_accounts_but_not_the_chat() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    anna.register("Carla", "pass");
    fs::remove_dir_all(folder.path().join("data")).unwrap();

    // An account that would be gone with the server is none.
    anna.send(&json!({"Command": "02", "Name": "Dora", "Password": "pass"}));
    let why = anna.expect_refusal("12");
    assert!(why.contains("cannot save"), "{why}");
    server.log_line("accounts file");
    let mut bobby = server.connect_as(Way::Tls);
    bobby.log_in("Bobby");
    anna.expect(came("Bobby", true));
    anna.say("still here");
    for client in [&mut anna, &mut bobby] {
        client.expect(said("Anna", "still here"));
    }
    let mut carla = server.connect();
    log_in_registered(&mut carla, "Carla", "pass");
    drop((anna, bobby, carla));
    server.stop();
}

#[test]
fn a_server_whose_data_folder_has_vanished_chats_on_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    anna.register("Carla", "pass");
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    let mut bobby = server.connect_as(Way::Tls);
    bobby.log_in("Bobby");
    anna.expect(came("Bobby", true));
    anna.say("still here");
    for client in [&mut anna, &mut bobby] {
        client.expect(said("Anna", "still here"));
    }
    let mut carla = server.connect();
    log_in_registered(&mut carla, "Carla", "pass");
    drop((anna, bobby, carla));
    let log = server.stop();
    assert!(!log.contains("internal error"), "{log}");
    // The next one begins anew.
    let server = Chatd::start(chatd(folder.path()));
    server.connect().register("Carla", "other");
    server.stop();
}
