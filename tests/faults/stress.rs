//! Many clients do random things at once, and all that they wrote down must fit together.
//!
//! `CHATD_TEST_SEED` repeats what the clients choose to do; how their threads take turns is new each time.
//! `CHATD_TEST_STEPS` is the number of steps in all, for a longer run: `CHATD_TEST_STEPS=100000 cargo test --release
//! --test faults stress -- --nocapture`, which also shows what was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way, said};
use crate::tools::{
    Chance, Messages, Presence, connect_narrow, expect_no_panics, quiet_server, spelling,
    take_the_machine, watch_for_panics,
};
use crate::transcripts::{Stay, check};

const THREADS: usize = 6;

/// Clients of one thread that stay to the end.
const STEADY: usize = 3;

/// Names of clients that are behind nearly all the time. Each thread has a client that tries to get one of them.
const SLEEPING_NAMES: usize = 2;

/// Clients of one thread that come and go.
const ROAMING: usize = 20;

/// Names that the roaming clients of all threads take from each other.
const ROAMING_NAMES: usize = 140;

/// Characters of a long letter, three bytes each. Those that wait for one sleeper are more than the kernel keeps.
const LONG: usize = 20_000;

/// Such letters that each of those who stay writes in the end to one who sleeps.
const LONG_LETTERS: usize = 8;

/// Random steps in all, unless `CHATD_TEST_STEPS` says otherwise.
const STEPS: usize = 9000;

/// Fewest that must have been online at once.
const PEAK: usize = 110;

/// The names that a thread's clients log in by, and that they write to.
#[derive(Clone)]
struct Names {
    steady: Vec<String>,
    sleeping: Vec<String>,
    roaming: Vec<String>,
}

impl Names {
    fn new() -> Names {
        let letter = |index: usize| char::from(b'a' + index as u8);
        let steady = |index| format!("steadilystaying{}", letter(index));
        let sleeping = |index| format!("sleepinglistene{}", letter(index));
        let roaming = |index| format!("roamingstudent{}{}", letter(index / 26), letter(index % 26));
        Names {
            steady: (0..THREADS * STEADY).map(steady).collect(),
            sleeping: (0..SLEEPING_NAMES).map(sleeping).collect(),
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
    messages: &'a Messages,
    stays: Vec<Stay>,
    strays: Vec<Stay>,
    refused: usize,
}

/// What a client does while it is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Reads, speaks and writes.
    Roams,
    /// The same, and writes long letters to those who sleep. Stays to the end, when the receipts have come.
    Stays,
    /// Takes in little, and seldom reads it: what it is sent waits in the server.
    Sleeps,
}

/// A client that is logged in, and its notes.
struct Guest {
    client: Client,
    way: Way,
    habit: Habit,
    stay: Stay,
}

/// The text of somebody's command with this number.
fn text(number: usize, filler: usize) -> String {
    format!("{number} {}", "你".repeat(filler))
}

/// A private message. The receipt shows by the spelling which one it is for.
fn letter(friend: &str, number: usize, filler: usize) -> Value {
    let (friend, text) = (spelling(friend, number), text(number, filler));
    json!({"Command": "04", "FriendName": friend, "Message": text})
}

impl Guest {
    fn send(&mut self, command: Value) {
        self.client.send(&command);
        self.stay.sent.push(command);
    }

    /// Says something and reads until it comes back: then all before it was carried out.
    fn hear_oneself(&mut self, messages: &Messages) {
        let text = text(self.stay.sent.len(), 0);
        self.send(json!({"Command": "05", "Message": text}));
        let own = said(&self.stay.name, &text);
        let mut known = self.stay.received.len();
        while !self.stay.received[known..]
            .iter()
            .any(|message| **message == own)
        {
            known = self.stay.received.len();
            assert!(self.client.read_some().expect("no silence") > 0);
            self.look(messages);
        }
    }

    /// Reads what has come.
    fn look(&mut self, messages: &Messages) {
        let (frames, has_ended) = self.client.take_available();
        assert!(!has_ended, "{} was cut off", self.stay.name);
        self.stay.received.extend(messages.parse(frames));
    }

    /// Logs out, and reads to the end.
    fn log_out(mut self) -> Stay {
        self.client.send(&json!({"Command": "03"}));
        self.read_out()
    }

    fn break_off(self) -> Stay {
        self.client.reset();
        self.stay
    }

    /// Reads to the end, which the server makes.
    fn read_out(mut self) -> Stay {
        let rest = self.client.receive_all().into_iter();
        self.stay.received.extend(rest.map(Arc::new));
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
    fn commands(&mut self, sent: &mut Vec<Value>, way: Way, habit: Habit, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..count {
            let number = sent.len();
            let filler = match self.chance.below(100) {
                0 => 5000,
                1..10 => self.chance.below(500),
                _ => self.chance.below(10),
            };
            let command = match self.chance.below(100) {
                0..5 => json!({"Command": "77"}),
                5..15 if habit == Habit::Stays => letter(
                    self.chance.pick(&self.names.sleeping).as_str(),
                    number,
                    LONG,
                ),
                5..60 => json!({"Command": "05", "Message": text(number, filler)}),
                60..80 => letter(
                    self.chance.pick(&self.names.steady).as_str(),
                    number,
                    filler,
                ),
                _ => letter(
                    self.chance.pick(&self.names.roaming).as_str(),
                    number,
                    filler,
                ),
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
    fn come(&mut self, name: &str, way: Way, habit: Habit) -> Option<Guest> {
        let mut stay = Stay {
            name: self.new_spelling(name),
            is_whole: false,
            sent: Vec::new(),
            received: Vec::new(),
        };
        let mut client = match habit {
            Habit::Sleeps => connect_narrow(self.server, way),
            _ => self.server.connect_as(way),
        };
        let login = json!({"Command": "01", "Name": stay.name});
        let mut bytes = way.frame(&login.to_string());
        if self.chance.percent(30) {
            let count = self.chance.below(4);
            bytes.extend(self.commands(&mut stay.sent, way, habit, count));
        }
        self.send(&mut client, &bytes);
        if self.chance.percent(5) {
            client.reset();
            self.strays.push(stay);
            return None;
        }
        let reply = client.receive();
        if reply["Flag"] == 0 {
            assert_eq!(reply["Command"], "11", "{reply}");
            self.refused += 1;
            return None;
        }
        stay.received.push(reply.into());
        Some(Guest {
            client,
            way,
            habit,
            stay,
        })
    }

    /// Does something with somebody who is there.
    fn act(&mut self, guest: &mut Guest) {
        if guest.habit == Habit::Sleeps {
            if self.chance.percent(4) {
                guest.look(self.messages);
            }
            return;
        }
        guest.look(self.messages);
        let count = match self.chance.percent(80) {
            true => 1,
            false => self.chance.below(8),
        };
        let bytes = self.commands(&mut guest.stay.sent, guest.way, guest.habit, count);
        self.send(&mut guest.client, &bytes);
    }

    /// Lets somebody go, politely or not.
    fn leave(&mut self, mut guest: Guest) {
        if self.chance.percent(50) {
            self.act(&mut guest);
        }
        let stay = match self.chance.below(4) {
            0 => {
                let mut bytes = self.commands(&mut guest.stay.sent, guest.way, guest.habit, 2);
                bytes.extend(guest.way.frame(r#"{"Command":"03"}"#));
                self.send(&mut guest.client, &bytes);
                guest.read_out()
            }
            1 => {
                guest.client.half_close();
                guest.read_out()
            }
            2 => guest.break_off(),
            _ => guest.stay,
        };
        self.stays.push(stay);
    }

    /// Takes its steps, and returns those who stay.
    fn run(mut self, thread: usize, steps: usize) -> (Self, Vec<Guest>) {
        let steady = self.names.steady[thread * STEADY..][..STEADY].to_vec();
        let habits = [
            [Habit::Stays; STEADY].as_slice(),
            &[Habit::Sleeps],
            &[Habit::Roams; ROAMING],
        ]
        .concat();
        let mut clients: Vec<Option<Guest>> = habits.iter().map(|_| None).collect();
        for step in 0..steps {
            let index = self.chance.below(clients.len());
            let habit = habits[index];
            // In the beginning nobody leaves, so that there is a time when most are there.
            let leaving = match habit {
                Habit::Roams if step > steps / 3 => 15,
                Habit::Sleeps => 3,
                _ => 0,
            };
            clients[index] = match clients[index].take() {
                None => {
                    let name = match habit {
                        Habit::Stays => &steady[index],
                        Habit::Sleeps => self.chance.pick(&self.names.sleeping),
                        Habit::Roams => self.chance.pick(&self.names.roaming),
                    };
                    let name = name.clone();
                    let way = *self.chance.pick(&Way::ALL);
                    self.come(&name, way, habit)
                }
                Some(guest) if self.chance.percent(leaving) => {
                    self.leave(guest);
                    None
                }
                Some(mut guest) => {
                    self.act(&mut guest);
                    Some(guest)
                }
            };
        }
        let (staying, leaving): (Vec<Guest>, Vec<Guest>) = clients
            .into_iter()
            .flatten()
            .partition(|guest| guest.habit == Habit::Stays);
        self.stays.extend(leaving.into_iter().map(Guest::log_out));
        (self, staying)
    }

    /// Some fall asleep, and those who stayed write to them more than the kernel keeps, and speak meanwhile. Then
    /// one of the sleepers breaks off, and the others wake up and have missed nothing.
    fn finish(&mut self, mut staying: Vec<Guest>) {
        let letters = ["a", "b", "c", "d", "e"];
        let names = letters.map(|letter| format!("lasttofallaslee{letter}"));
        let ways = Way::ALL.into_iter().cycle();
        let mut sleepers: Vec<Guest> = names
            .iter()
            .zip(ways)
            .map(|(name, way)| {
                let tries = std::iter::repeat_with(|| self.come(name, way, Habit::Sleeps));
                tries.flatten().next().unwrap()
            })
            .collect();
        for guest in &mut staying {
            // What is said before the letters and after them shows that the sleepers were there meanwhile.
            guest.hear_oneself(self.messages);
            for _ in 0..LONG_LETTERS {
                for friend in &names {
                    let number = guest.stay.sent.len();
                    guest.send(letter(friend, number, LONG));
                }
                let mut bytes = Vec::new();
                for _ in 0..3 {
                    let said = json!({"Command": "05", "Message": text(guest.stay.sent.len(), 3)});
                    bytes.extend(guest.way.frame(&said.to_string()));
                    guest.stay.sent.push(said);
                }
                guest.client.send_bytes(&bytes);
            }
            guest.hear_oneself(self.messages);
        }
        self.stays.extend(sleepers.pop().map(Guest::break_off));
        self.stays.extend(sleepers.into_iter().map(Guest::log_out));
        self.stays.extend(staying.into_iter().map(Guest::log_out));
    }
}

/// Receives until somebody has said the last word and everybody else has gone, or does not go.
fn observe(mut client: Client, reply: Value, messages: &Messages) -> Stay {
    let mut presence = Presence::from_reply(&reply).unwrap();
    let mut received = vec![Arc::new(reply)];
    let (mut is_over, mut fits) = (false, true);
    // What does not fit, or does not come, is told by the check.
    while (!is_over || presence.len() > 1)
        && fits
        && client.read_some().is_ok_and(|count| count > 0)
    {
        for message in messages.parse(client.take_available().0) {
            is_over |= message["Message"] == "the last word";
            fits &= presence.apply(&message).is_ok();
            received.push(message);
        }
    }
    Stay {
        name: "Observer".to_owned(),
        is_whole: true,
        sent: Vec::new(),
        received,
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "a failed test shows it")]
fn whatever_many_clients_do_all_that_they_see_fits_together() {
    let _machine = take_the_machine();
    watch_for_panics();
    let steps = match std::env::var("CHATD_TEST_STEPS") {
        Ok(steps) => steps.parse().expect("CHATD_TEST_STEPS is a number"),
        Err(_) => STEPS,
    };
    let mut chance = Chance::from_environment();
    let server = quiet_server(|config| {
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
    let messages = Messages::default();
    let (observer, mut stays, strays, refused) = thread::scope(|scope| {
        let observer = scope.spawn(|| observe(observer, reply, &messages));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let driver = Driver {
                    server: &server,
                    names: Names::new(),
                    chance: chance.fork(),
                    logins: &logins,
                    messages: &messages,
                    stays: Vec::new(),
                    strays: Vec::new(),
                    refused: 0,
                };
                scope.spawn(move || driver.run(thread, steps / THREADS))
            })
            .collect();
        let (mut stays, mut strays, mut refused) = (Vec::new(), Vec::new(), 0);
        let (mut drivers, mut remaining) = (Vec::new(), Vec::new());
        for thread in threads {
            let (driver, staying) = thread.join().unwrap();
            drivers.push(driver);
            remaining.extend(staying);
        }
        drivers[0].finish(remaining);
        for driver in drivers {
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
            received: [vec![reply], last.receive_all()]
                .concat()
                .into_iter()
                .map(Arc::new)
                .collect(),
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
    let whole = stays.iter().filter(|stay| stay.is_whole).count();
    let torn = stays.len() - whole;
    eprintln!(
        "{} clients, {steps} steps, {summary:?}, {refused} refused, {whole} stays to the end, {torn} torn",
        THREADS * (STEADY + 1 + ROAMING)
    );
    // If it did not do much, it has not shown much.
    let enough = summary.peak >= PEAK
        && summary.broadcasts > 1000
        && summary.delivered > 300
        && summary.certain > 200
        && summary.receipts.iter().all(|count| *count > 100)
        && refused > 50
        && !strays.is_empty()
        && whole > 50
        && torn > 50;
    assert!(enough || steps < STEPS, "too little was done");
    assert!(
        summary.broken_off > 10 || steps < STEPS,
        "a sleeper broke off with letters in its queue, and their receipts do not say so"
    );
    expect_no_panics();
}
