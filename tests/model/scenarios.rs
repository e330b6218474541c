//! What may meet: speakers, private messages and their receipts, comings and goings, the end of the server.

use serde_json::{Value, json};
use shuttle::rand::Rng;

use super::super::Moderator;
use super::super::rejection;
use super::super::shutdown::DRAIN_PATIENCE;
use super::peer::Peer;
use super::transcript::{Transcript, check_presence};
use super::{World, explore, explore_longer};
use crate::sync::{Arc, Instant};

/// A text that two or three of fill a socket.
fn long(text: &str) -> String {
    format!("{text} {}", "x".repeat(1500))
}

fn chance(count: usize) -> usize {
    shuttle::rand::thread_rng().gen_range(0..count)
}

/// Somebody who comes first and stays until `leavers` have left.
fn observe(world: &World, leavers: usize) -> shuttle::thread::JoinHandle<Transcript> {
    let mut observer = World::connect(&world.shared);
    observer.log_in("Eyes");
    shuttle::thread::spawn(move || {
        let mut left = 0;
        observer.read_until(|message| {
            left += usize::from(message["Command"] == "31");
            left == leavers
        });
        observer.log_out()
    })
}

/// A client on a thread of its own.
fn join_in(
    world: &World,
    life: impl FnOnce(Peer) -> Transcript + Send + 'static,
) -> shuttle::thread::JoinHandle<Transcript> {
    let shared = Arc::clone(&world.shared);
    shuttle::thread::spawn(move || life(World::connect(&shared)))
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| long(&number.to_string())).collect()
}

#[test]
fn what_one_client_sends_arrives_in_the_order_sent() {
    explore(|world| {
        let observer = observe(world, 3);
        let mut bobby = World::connect(&world.shared);
        bobby.log_in("Bobby");
        // Another speaker at the same time decides which way the next message goes.
        let carol = join_in(world, |mut carol| {
            carol.log_in("Carol");
            for text in ["one", "two", "three"] {
                carol.say(text);
            }
            carol.log_out()
        });
        let bobby = shuttle::thread::spawn(move || {
            let mut last = 0;
            bobby.read_until(|message| {
                last +=
                    usize::from(message["Speaker"] == "Anna" || message["FriendName"] == "Anna");
                last == 6
            });
            bobby.log_out()
        });
        let anna = join_in(world, |mut anna| {
            anna.log_in("Anna");
            for (number, text) in texts(6).iter().enumerate() {
                match number {
                    0 | 2 | 3 => anna.say(text),
                    _ => anna.write_to("Bobby", text),
                }
                if chance(2) == 0 {
                    shuttle::thread::yield_now();
                }
            }
            anna.log_out()
        });
        let (observer, anna, bobby, carol) = (
            observer.join().unwrap(),
            anna.join().unwrap(),
            bobby.join().unwrap(),
            carol.join().unwrap(),
        );
        assert_eq!(bobby.texts_of("Anna"), texts(6));
        assert_eq!(anna.receipts(), [1, 1, 1]);
        assert_eq!(observer.texts_of("Carol"), ["one", "two", "three"]);
        check_presence(&observer, &[anna, bobby, carol]);
    });
}

#[test]
fn a_user_that_has_read_its_11_can_be_written_to() {
    explore_longer(10, |world| {
        let mut bobby = World::connect(&world.shared);
        bobby.log_in("Bobby");
        let mut anna = World::connect(&world.shared);
        // She has the reply to her login, so for her and her friends she is there, whatever the server still does.
        anna.log_in("Anna");
        bobby.write_to("Anna", "welcome");
        bobby.read_until(|message| message["Comment"].is_string());
        anna.read_until(|message| message["Command"] == "13");
        let (anna, bobby) = (anna.log_out(), bobby.log_out());
        assert_eq!(anna.texts_of("Bobby"), ["welcome"]);
        assert_eq!(bobby.receipts(), [1]);
    });
}

#[test]
fn receipts_tell_what_became_of_each_message() {
    explore(|world| {
        let observer = observe(world, 2);
        let mut bobby = World::connect(&world.shared);
        bobby.log_in("Bobby");
        let bobby = shuttle::thread::spawn(move || {
            if chance(2) == 0 {
                bobby.write_to("Anna", &long("back"));
            }
            match chance(4) {
                0 => bobby.vanish(),
                1 => bobby.half_close(),
                2 => bobby.log_out(),
                _ => {
                    bobby.read_until(|message| message["Command"] == "13");
                    bobby.vanish()
                }
            }
        });
        let anna = join_in(world, |mut anna| {
            anna.log_in("Anna");
            for text in &texts(5) {
                anna.write_to("bobby", text);
            }
            anna.log_out()
        });
        let (observer, anna, bobby) = (
            observer.join().unwrap(),
            anna.join().unwrap(),
            bobby.join().unwrap(),
        );
        let (receipts, arrived) = (anna.receipts(), bobby.texts_of("Anna"));
        assert_eq!(receipts.len(), 5, "{anna:#?}");
        // Those that arrived are the first ones, and so are those of which a receipt says so: the same.
        let delivered = receipts.iter().filter(|flag| **flag == 1).count();
        assert!(
            receipts.is_sorted_by(|one, next| one >= next),
            "{receipts:?}"
        );
        assert_eq!(arrived, texts(5)[..arrived.len()]);
        assert_eq!(arrived.len(), delivered, "{receipts:?}");
        check_presence(&observer, &[anna, bobby]);
    });
}

#[test]
fn a_name_belongs_to_one_after_another() {
    explore(|world| {
        let observer = observe(world, 4);
        // One name, spelt so that each login can be told from the others.
        let nomads: Vec<_> = ["Nomad", "nOmad", "noMad"]
            .into_iter()
            .map(|name| {
                join_in(world, move |mut nomad| {
                    nomad.log_in(name);
                    nomad.say(&long(name));
                    match chance(3) {
                        0 => nomad.vanish(),
                        1 => nomad.half_close(),
                        _ => nomad.log_out(),
                    }
                })
            })
            .collect();
        let bobby = join_in(world, |mut bobby| {
            bobby.log_in("Bobby");
            for text in &texts(3) {
                bobby.write_to("Nomad", text);
            }
            bobby.log_out()
        });
        let observer = observer.join().unwrap();
        let mut all: Vec<_> = nomads
            .into_iter()
            .map(|nomad| nomad.join().unwrap())
            .collect();
        let bobby = bobby.join().unwrap();
        assert_eq!(bobby.receipts().len(), 3, "{bobby:#?}");
        let arrived: usize = all.iter().map(|nomad| nomad.texts_of("Bobby").len()).sum();
        let delivered = bobby.receipts().iter().filter(|flag| **flag == 1).count();
        assert_eq!(arrived, delivered, "{bobby:#?}");
        for nomad in &all {
            // Who vanishes may do so before it is heard.
            let heard = observer.texts_of(&nomad.name).len();
            assert!(heard == 1 || heard == 0 && !nomad.is_whole, "{nomad:#?}");
        }
        all.push(bobby);
        check_presence(&observer, &all);
    });
}

#[test]
fn at_the_end_of_the_server_everybody_hears_of_it_last() {
    explore(|world| {
        let chatterers: Vec<_> = ["Anna", "Bobby", "Carla"]
            .map(|name| {
                let mut peer = World::connect(&world.shared);
                peer.log_in(name);
                shuttle::thread::spawn(move || {
                    for text in &texts(2) {
                        peer.say(text);
                        peer.write_to("Anna", text);
                    }
                    peer.read_out()
                })
            })
            .into();
        let latecomer = join_in(world, |peer| peer.half_close());
        let start = Instant::now();
        World::stop(&world.shared);
        // A client that hardly gets to read is cut off in the end, and that's right.
        let is_in_time = start.elapsed() < DRAIN_PATIENCE;
        for peer in chatterers {
            let transcript = peer.join().unwrap();
            let goodbye = json!({"Command": "10", "Message": "the server stops"});
            if is_in_time {
                assert_eq!(
                    transcript.received.last(),
                    Some(&goodbye),
                    "{transcript:#?}"
                );
            }
            assert!(transcript.of(&["10"]).count() <= 1, "{transcript:#?}");
            assert_eq!(transcript.of(&["31"]).count(), 0, "{transcript:#?}");
            let sent = transcript
                .sent
                .iter()
                .filter(|message| message["Command"] == "04")
                .count();
            assert!(transcript.receipts().len() <= sent);
        }
        let nothing: [Value; 0] = [];
        assert_eq!(latecomer.join().unwrap().received, nothing);
    });
}

#[test]
fn who_logs_in_either_is_in_or_makes_room() {
    explore_longer(3, |world| {
        let mut observer = World::connect(&world.shared);
        observer.log_in("Eyes");
        let mut anna = World::connect(&world.shared);
        let anna = shuttle::thread::spawn(move || match anna.try_log_in("Anna") {
            true => anna.log_out(),
            false => anna.read_out(),
        });
        let cause = rejection::making_room();
        let made_room = world.shared.connections.make_room(&cause).is_some();
        let (anna, observer) = (anna.join().unwrap(), observer.log_out());
        let notices = anna.of(&["10"]).count();
        if anna.received[0]["Command"] == "11" {
            assert!(!made_room && notices == 0, "{anna:#?}");
            check_presence(&observer, &[anna]);
        } else {
            assert!(made_room && notices == 1, "{anna:#?}");
            assert_eq!(anna.received.len(), 1, "{anna:#?}");
            check_presence(&observer, &[]);
        }
    });
}

#[test]
fn what_the_teacher_does_has_its_place_in_the_order() {
    explore(|world| {
        let observer = observe(world, 2);
        let mut bobby = World::connect(&world.shared);
        bobby.log_in("Bobby");
        let bobby = shuttle::thread::spawn(move || bobby.read_out());
        let anna = join_in(world, |mut anna| {
            anna.log_in("Anna");
            for (number, text) in texts(6).iter().enumerate() {
                match number % 2 {
                    0 => anna.say(text),
                    _ => anna.write_to("Bobby", text),
                }
            }
            anna.log_out()
        });
        let moderator = Moderator::new(Arc::downgrade(&world.shared));
        // If she is not, what she writes may meet Bobby's last line.
        let is_muted = chance(2) == 0;
        if is_muted {
            moderator.mute("Anna", None).unwrap();
        }
        moderator.say("listen").unwrap();
        let why = "enough for today";
        assert_eq!(moderator.kick("bobby", Some(why)).unwrap(), "Bobby");
        let (observer, anna, bobby) = (
            observer.join().unwrap(),
            anna.join().unwrap(),
            bobby.join().unwrap(),
        );
        // The others hear what Anna said before she was muted, and nothing after.
        let said: Vec<&str> = observer.texts_of("Anna");
        let heard = observer.texts_of("admin");
        assert_eq!(heard, ["listen"]);
        assert!(said.iter().eq(texts(6).iter().step_by(2).take(said.len())));
        let speakers = observer.of(&["32"]).map(|message| &message["Speaker"]);
        let last_speaker = speakers.last().expect("the teacher, at least");
        assert!(!is_muted || last_speaker == "admin", "{observer:#?}");
        // Each message is either heard or refused.
        let refused = anna.of(&["10"]).count();
        assert_eq!(said.len() + refused, 3, "{anna:#?}");
        assert_eq!(anna.receipts().len(), 3, "{anna:#?}");
        let last = bobby.received.last().map(|message| &message["Message"]);
        assert_eq!(last, Some(&json!(why)), "{bobby:#?}");
        check_presence(&observer, &[anna, bobby]);
    });
}

#[test]
fn nothing_that_a_user_says_follows_its_mute() {
    explore_longer(10, |world| {
        let mut observer = World::connect(&world.shared);
        observer.log_in("Eyes");
        let mut anna = World::connect(&world.shared);
        anna.log_in("Anna");
        let anna = shuttle::thread::spawn(move || {
            anna.say("one");
            anna.say("two");
            anna.log_out()
        });
        let moderator = Moderator::new(Arc::downgrade(&world.shared));
        moderator.mute("Anna", None).unwrap();
        moderator.say("listen").unwrap();
        observer.read_until(|message| message["Command"] == "31");
        let (observer, anna) = (observer.log_out(), anna.join().unwrap());
        let speakers = observer.of(&["32"]).map(|message| &message["Speaker"]);
        assert_eq!(speakers.last(), Some(&json!("admin")), "{observer:#?}");
        let refused = anna.of(&["10"]).count();
        assert_eq!(observer.texts_of("Anna").len() + refused, 2, "{anna:#?}");
    });
}
