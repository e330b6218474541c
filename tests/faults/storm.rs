//! The whole class comes at the same moment, and half of it goes so.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Client, Way, came};
use crate::tools::{Presence, expect_no_panics, quiet_server, watch_for_panics};

const THREADS: usize = 6;
const PUPILS_OF_ONE: usize = 50;
const PUPILS: usize = THREADS * PUPILS_OF_ONE;

/// Every tenth speaks.
const SPEAKERS: usize = PUPILS / 10;

/// A client, who it knows to be online, and the broadcasts that it has seen.
struct Pupil {
    name: String,
    client: Client,
    presence: Presence,
    seen: Vec<Value>,
    spoken: usize,
}

impl Pupil {
    /// Takes the reply to the login.
    fn enter(name: String, mut client: Client) -> Pupil {
        let presence = Presence::from_reply(&client.receive()).unwrap();
        assert!(presence.has(&name));
        Pupil {
            name,
            client,
            presence,
            seen: Vec::new(),
            spoken: 0,
        }
    }

    fn see(&mut self, message: Value) {
        self.presence.apply(&message).unwrap();
        self.spoken += usize::from(message["Command"] == "32");
        self.seen.push(message);
    }

    /// Reads until as many are online and as many have spoken.
    fn read_until(&mut self, online: usize, spoken: usize) {
        while (self.presence.len(), self.spoken) != (online, spoken) {
            let message = self.client.receive();
            self.see(message);
        }
    }

    /// Leaves in one of several ways, and hands back what it has seen.
    fn leave(mut self, how: usize) -> (String, Vec<Value>) {
        match how {
            0 => self.client.send(&json!({"Command": "03"})),
            1 => self.client.half_close(),
            2 => {
                self.client.reset();
                return (self.name, self.seen);
            }
            _ => return (self.name, self.seen),
        }
        for message in self.client.receive_all() {
            self.see(message);
        }
        assert!(self.presence.has(&self.name), "nobody gets the own 31");
        (self.name, self.seen)
    }
}

#[test]
fn three_hundred_come_at_once_and_each_knows_exactly_who_is_there() {
    watch_for_panics();
    let server = quiet_server(|_| {});
    let mut client = server.connect();
    client.send(&json!({"Command": "01", "Name": "Teacher"}));
    let mut teacher = Pupil::enter("Teacher".to_owned(), client);
    let stays = |index: usize| (index / 4).is_multiple_of(2);
    let stayers = 1 + THREADS * (0..PUPILS_OF_ONE).filter(|index| stays(*index)).count();

    let attend = |thread: usize| {
        let name = |index: usize| format!("Pupil{thread}x{index}");
        let clients: Vec<Client> = (0..PUPILS_OF_ONE)
            .map(|index| {
                let mut client = server.connect_as(Way::ALL[index % Way::ALL.len()]);
                client.send(&json!({"Command": "01", "Name": name(index)}));
                client
            })
            .collect();
        let mut pupils: Vec<Pupil> = clients
            .into_iter()
            .enumerate()
            .map(|(index, client)| Pupil::enter(name(index), client))
            .collect();
        // Nobody speaks before all have come, and nobody leaves before all have spoken.
        for speaker in pupils.iter_mut().step_by(10) {
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
    let (gone, mut remaining): (Vec<_>, Vec<_>) = thread::scope(|scope| {
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
    let remaining = remaining.iter_mut().flatten().map(|pupil| {
        pupil.client.expect_nothing();
        (pupil.name.clone(), std::mem::take(&mut pupil.seen))
    });
    let transcripts: Vec<_> = remaining.chain(gone.into_iter().flatten()).collect();
    assert_eq!(transcripts.len(), PUPILS);
    for (name, seen) in transcripts {
        let own = came(&name, true);
        let start = 1 + teacher
            .seen
            .iter()
            .position(|message| *message == own)
            .unwrap();
        let expected = &teacher.seen[start..start + seen.len()];
        assert!(seen == expected, "{name} saw another order");
    }
    expect_no_panics();
}
