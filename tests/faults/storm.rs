//! The whole school comes at the same moment, and half of it goes so. All settings are the default ones.

use std::collections::HashMap;
use std::sync::{Arc, Barrier};
use std::thread;

use serde_json::{Value, json};

use crate::harness::platform::allow_open_files;
use crate::harness::{Client, TestServer, Way, came};
use crate::tools::{Messages, Presence, expect_no_panics, take_the_machine, watch_for_panics};

const THREADS: usize = 8;
const PUPILS_OF_ONE: usize = 125;
const PUPILS: usize = THREADS * PUPILS_OF_ONE;

/// Of one thread's pupils, every so many-th speaks.
const SPEAKS: usize = 25;
const SPEAKERS: usize = PUPILS / SPEAKS;

/// How a pupil is connected: one in ten over TLS, one in five in a browser.
fn way(index: usize) -> Way {
    match index % 20 {
        0 => Way::Tls,
        10 => Way::TlsPrefixed,
        1 | 4 | 13 | 16 => Way::Browser,
        number if number % 2 == 1 => Way::PlainPrefixed,
        _ => Way::Plain,
    }
}

/// A client, who it was told was online, and what it has seen since.
struct Pupil<'a> {
    name: String,
    client: Client,
    messages: &'a Messages,
    friends: Presence,
    seen: Vec<Arc<Value>>,
    online: usize,
    spoken: usize,
}

impl<'a> Pupil<'a> {
    /// Takes the reply to the login.
    fn enter(name: String, mut client: Client, messages: &'a Messages) -> Pupil<'a> {
        let friends = Presence::from_reply(&client.receive()).unwrap();
        assert!(friends.has(&name));
        Pupil {
            name,
            client,
            messages,
            online: friends.len(),
            friends,
            seen: Vec::new(),
            spoken: 0,
        }
    }

    fn see(&mut self, message: Arc<Value>) {
        match message["Command"].as_str() {
            Some("30") => self.online += 1,
            Some("31") => self.online -= 1,
            Some("32") => self.spoken += 1,
            _ => {
                assert_eq!(*message, json!({"Command": "14"}), "{}", self.name);
                return;
            }
        }
        self.seen.push(message);
    }

    /// Reads until as many are online and as many have spoken.
    fn read_until(&mut self, online: usize, spoken: usize) {
        while (self.online, self.spoken) != (online, spoken) {
            let frame = self.client.next_frame().expect("somebody was cut off");
            for message in self.messages.parse([frame]) {
                self.see(message);
            }
        }
    }

    /// Leaves in one of several ways, and sees what comes until then.
    fn leave(mut self, how: usize) -> Transcript {
        match how {
            0 => self.client.send(&json!({"Command": "03"})),
            1 => self.client.half_close(),
            2 => {
                self.client.reset();
                return (self.name, self.friends, self.seen);
            }
            _ => return (self.name, self.friends, self.seen),
        }
        for message in self.client.receive_all() {
            self.see(message.into());
        }
        (self.name, self.friends, self.seen)
    }
}

/// A name, whom it was told of at first, and the broadcasts after that.
type Transcript = (String, Presence, Vec<Arc<Value>>);

#[test]
fn a_thousand_come_at_once_and_each_knows_exactly_who_is_there() {
    let _machine = take_the_machine();
    watch_for_panics();
    // Both ends of each connection are in this process, and other tests run beside this one.
    let needed = 2 * PUPILS as u64 + 2000;
    let files = allow_open_files(needed);
    #[allow(clippy::print_stderr, reason = "it says why it checks nothing")]
    if files < needed {
        return eprintln!("skipped: this process may open {files} files, and {needed} are needed");
    }
    let server = TestServer::start();
    let messages = Messages::default();
    let mut client = server.connect();
    client.send(&json!({"Command": "01", "Name": "Teacher"}));
    let mut teacher = Pupil::enter("Teacher".to_owned(), client, &messages);
    let stays = |index: usize| (index / 4).is_multiple_of(2);
    let stayers = 1 + THREADS * (0..PUPILS_OF_ONE).filter(|index| stays(*index)).count();

    let all_connected = Barrier::new(THREADS);
    let attend = |thread: usize| {
        let name = |index: usize| format!("Pupil{thread}x{index}");
        let mut clients: Vec<Client> = (0..PUPILS_OF_ONE)
            .map(|index| server.connect_as(way(index)))
            .collect();
        all_connected.wait();
        for (index, client) in clients.iter_mut().enumerate() {
            client.send(&json!({"Command": "01", "Name": name(index)}));
        }
        let mut pupils: Vec<Pupil<'_>> = clients
            .into_iter()
            .enumerate()
            .map(|(index, client)| Pupil::enter(name(index), client, &messages))
            .collect();
        // Nobody speaks before all have come, and nobody leaves before all have spoken.
        for speaker in pupils.iter_mut().step_by(SPEAKS) {
            speaker.read_until(1 + PUPILS, speaker.spoken);
            speaker.client.say("good morning");
        }
        for pupil in &mut pupils {
            pupil.read_until(1 + PUPILS, SPEAKERS);
        }
        let mut gone = Vec::new();
        let mut remaining = Vec::new();
        for (index, pupil) in pupils.into_iter().enumerate() {
            match stays(index) {
                true => remaining.push(pupil),
                false => gone.push(pupil.leave(index / 8 % 4)),
            }
        }
        for pupil in &mut remaining {
            pupil.read_until(stayers, SPEAKERS);
        }
        (gone, remaining)
    };
    let (gone, remaining): (Vec<_>, Vec<_>) = thread::scope(|scope| {
        let attend = &attend;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || attend(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .unzip()
    });

    teacher.read_until(stayers, SPEAKERS);
    let mut transcripts: HashMap<String, Transcript> = HashMap::new();
    let remaining = remaining.into_iter().flatten().map(|pupil| {
        let Pupil { name, friends, .. } = pupil;
        (name, friends, pupil.seen)
    });
    for transcript in remaining.chain(gone.into_iter().flatten()) {
        transcripts.insert(transcript.0.clone(), transcript);
    }
    assert_eq!(transcripts.len(), PUPILS);
    // What the teacher saw is the one order, and tells who was there when.
    let mut presence = teacher.friends;
    for (index, message) in teacher.seen.iter().enumerate() {
        presence.apply(message).unwrap();
        let name = message["LogOnUserName"].as_str().unwrap_or_default();
        let Some((name, friends, seen)) = transcripts.remove(name) else {
            continue;
        };
        assert_eq!(**message, came(&name, true));
        assert_eq!(friends.difference(&presence), None, "{name}");
        let expected = &teacher.seen[index + 1..][..seen.len()];
        assert!(seen == expected, "{name} saw another order");
    }
    assert!(transcripts.is_empty(), "{:?}", transcripts.keys());
    assert_eq!(presence.len(), stayers);
    expect_no_panics();
}
