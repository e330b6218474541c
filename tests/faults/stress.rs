//! Many clients do random things at once, and all that they wrote down must fit together.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way};
use crate::tools::{Chance, Presence, expect_no_panics, receive_news, spelling, watch_for_panics};
use crate::transcripts::{Stay, check};

const THREADS: usize = 6;

/// Clients of one thread that stay to the end.
const STEADY: usize = 2;

/// Clients of one thread that come and go.
const ROAMING: usize = 6;

/// Names that the roaming clients of all threads take from each other.
const ROAMING_NAMES: usize = 28;

/// Random steps of one thread.
const STEPS: usize = 800;

/// The names that a thread's clients log in by, and that they write to.
#[derive(Clone)]
struct Names {
    steady: Vec<String>,
    roaming: Vec<String>,
}

impl Names {
    fn new() -> Names {
        let letter = |index: usize| char::from(b'a' + index as u8);
        let steady = |index| format!("steadilystaying{}", letter(index));
        let roaming = |index| format!("roamingstudent{}{}", letter(index / 26), letter(index % 26));
        Names {
            steady: (0..THREADS * STEADY).map(steady).collect(),
            roaming: (0..ROAMING_NAMES).map(roaming).collect(),
        }
    }
}

/// One driver of several clients.
struct Driver<'a> {
    server: &'a TestServer,
    names: Names,
    chance: Chance,
    /// Counts the logins of all drivers; each has its own spelling.
    logins: &'a AtomicUsize,
    stays: Vec<Stay>,
    strays: Vec<String>,
    refused: usize,
}

/// A client that is logged in, and its notes.
struct Guest {
    client: Client,
    way: Way,
    stay: Stay,
}

impl Guest {
    /// Reads what has come.
    fn look(&mut self) {
        let (frames, has_ended) = self.client.take_available();
        assert!(!has_ended, "{} was cut off", self.stay.name);
        let messages = frames.iter().map(|frame| serde_json::from_slice(frame));
        self.stay
            .received
            .extend(messages.map(|message| message.expect("JSON")));
    }

    /// Reads to the end, which the server makes.
    fn read_out(mut self) -> Stay {
        self.stay.received.extend(self.client.receive_all());
        self.stay.is_whole = true;
        self.stay
    }
}

impl Driver<'_> {
    /// A spelling of a name that nobody has used.
    fn new_spelling(&mut self, name: &str) -> String {
        spelling(name, self.logins.fetch_add(1, Ordering::Relaxed))
    }

    /// Some commands of somebody who has sent others before, and their bytes.
    fn commands(&mut self, sent: &mut Vec<Value>, way: Way, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..count {
            let number = sent.len();
            let filler = match self.chance.below(100) {
                0 => 5000,
                1..10 => self.chance.below(500),
                _ => self.chance.below(10),
            };
            let text = format!("{number} {}", "你".repeat(filler));
            let command = match self.chance.below(100) {
                0..5 => json!({"Command": "77"}),
                5..60 => json!({"Command": "05", "Message": text}),
                _ => {
                    let names = match self.chance.percent(50) {
                        true => &self.names.steady,
                        false => &self.names.roaming,
                    };
                    // The receipt shows by the spelling which message it is for.
                    let friend = self.chance.pick(names);
                    let friend = spelling(friend, number);
                    json!({"Command": "04", "FriendName": friend, "Message": text})
                }
            };
            bytes.extend(way.frame(&command.to_string()));
            sent.push(command);
        }
        bytes
    }

    /// Sends bytes, sometimes in two pieces.
    fn send(&mut self, client: &mut Client, bytes: &[u8]) {
        let cut = match self.chance.percent(30) {
            true => self.chance.below(bytes.len() + 1),
            false => 0,
        };
        for piece in [&bytes[..cut], &bytes[cut..]] {
            if !piece.is_empty() {
                client.send_bytes(piece);
            }
        }
    }

    /// Tries to log in, and perhaps says something without waiting for the reply.
    fn come(&mut self, name: &str) -> Option<Guest> {
        let name = self.new_spelling(name);
        let way = *self.chance.pick(&Way::ALL);
        let mut client = self.server.connect_as(way);
        let login = json!({"Command": "01", "Name": name});
        let mut bytes = way.frame(&login.to_string());
        let mut sent = Vec::new();
        if self.chance.percent(30) {
            let count = self.chance.below(4);
            bytes.extend(self.commands(&mut sent, way, count));
        }
        self.send(&mut client, &bytes);
        if self.chance.percent(5) {
            client.reset();
            self.strays.push(name);
            return None;
        }
        let reply = client.receive();
        if reply["Flag"] == 0 {
            assert_eq!(reply["Command"], "11", "{reply}");
            self.refused += 1;
            return None;
        }
        let stay = Stay {
            name,
            is_whole: false,
            sent,
            received: vec![reply],
        };
        Some(Guest { client, way, stay })
    }

    /// Does something with somebody who is there.
    fn act(&mut self, guest: &mut Guest) {
        guest.look();
        let count = match self.chance.percent(80) {
            true => 1,
            false => self.chance.below(8),
        };
        let bytes = self.commands(&mut guest.stay.sent, guest.way, count);
        self.send(&mut guest.client, &bytes);
    }

    /// Lets somebody go, politely or not.
    fn leave(&mut self, mut guest: Guest) {
        if self.chance.percent(50) {
            self.act(&mut guest);
        }
        let stay = match self.chance.below(4) {
            0 => {
                let mut bytes = self.commands(&mut guest.stay.sent, guest.way, 2);
                bytes.extend(guest.way.frame(r#"{"Command":"03"}"#));
                self.send(&mut guest.client, &bytes);
                guest.read_out()
            }
            1 => {
                guest.client.half_close();
                guest.read_out()
            }
            2 => {
                guest.client.reset();
                guest.stay
            }
            _ => guest.stay,
        };
        self.stays.push(stay);
    }

    fn run(mut self, thread: usize) -> Self {
        let steady = self.names.steady[thread * STEADY..][..STEADY].to_vec();
        let mut clients: Vec<Option<Guest>> = (0..STEADY + ROAMING).map(|_| None).collect();
        for _ in 0..STEPS {
            let index = self.chance.below(clients.len());
            let slot = &mut clients[index];
            *slot = match slot.take() {
                None => match steady.get(index) {
                    Some(name) => self.come(name),
                    None => {
                        let name = self.chance.pick(&self.names.roaming).clone();
                        self.come(&name)
                    }
                },
                Some(guest) if index >= STEADY && self.chance.percent(15) => {
                    self.leave(guest);
                    None
                }
                Some(mut guest) => {
                    self.act(&mut guest);
                    Some(guest)
                }
            };
        }
        for mut guest in clients.into_iter().flatten() {
            guest.client.send(&json!({"Command": "03"}));
            self.stays.push(guest.read_out());
        }
        self
    }
}

/// Receives until somebody has said the last word and everybody else has gone.
fn observe(mut client: Client, reply: Value) -> Stay {
    let mut presence = Presence::from_reply(&reply).unwrap();
    let mut received = vec![reply];
    let mut is_over = false;
    while !is_over || presence.len() > 1 {
        let message = receive_news(&mut client);
        presence.apply(&message).unwrap();
        is_over |= message["Message"] == "the last word";
        received.push(message);
    }
    Stay {
        name: "Observer".to_owned(),
        is_whole: true,
        sent: Vec::new(),
        received,
    }
}

#[test]
fn whatever_many_clients_do_all_that_they_see_fits_together() {
    watch_for_panics();
    let mut chance = Chance::from_environment();
    let server = TestServer::with(|config| {
        config.heartbeat = Duration::from_secs(5);
        (config.rate, config.byte_rate) = (0, 0);
        // Clients are looked after one after another, so some have to wait.
        config.max_backlog = 64 << 20;
    });
    let enter = |name: &str| {
        let mut client = server.connect();
        client.send(&json!({"Command": "01", "Name": name}));
        let reply = client.expect_command("11");
        (client, reply)
    };
    let (observer, reply) = enter("Observer");
    let logins = AtomicUsize::new(0);
    let (observer, mut stays, strays, refused) = thread::scope(|scope| {
        let observer = scope.spawn(move || observe(observer, reply));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let driver = Driver {
                    server: &server,
                    names: Names::new(),
                    chance: chance.fork(),
                    logins: &logins,
                    stays: Vec::new(),
                    strays: Vec::new(),
                    refused: 0,
                };
                scope.spawn(move || driver.run(thread))
            })
            .collect();
        let (mut stays, mut strays, mut refused) = (Vec::new(), HashSet::new(), 0);
        for thread in threads {
            let driver = thread.join().unwrap();
            stays.extend(driver.stays);
            strays.extend(driver.strays);
            refused += driver.refused;
        }
        let (mut last, reply) = enter("LastOne");
        let word = json!({"Command": "05", "Message": "the last word"});
        last.send(&word);
        last.send(&json!({"Command": "03"}));
        let last = Stay {
            name: "LastOne".to_owned(),
            is_whole: true,
            sent: vec![word],
            received: [vec![reply], last.receive_all()].concat(),
        };
        stays.push(last);
        (observer.join().unwrap(), stays, strays, refused)
    });
    // Whatever order the threads finished in, a failure names the same stay.
    stays.sort_by(|one, other| one.name.cmp(&other.name));
    let summary = match check(&observer, &stays, &strays) {
        Ok(summary) => summary,
        Err(error) => panic!("{error}"),
    };
    // If it did not do much, it has not shown much.
    let enough = summary.broadcasts > 1000
        && summary.delivered > 300
        && summary.certain > 200
        && summary.receipts.iter().all(|count| *count > 100)
        && refused > 50
        && !strays.is_empty()
        && stays.iter().filter(|stay| stay.is_whole).count() > 50
        && stays.iter().filter(|stay| !stay.is_whole).count() > 50;
    assert!(
        enough,
        "{summary:?}, {refused} refused, {} stays",
        stays.len()
    );
    expect_no_panics();
}
