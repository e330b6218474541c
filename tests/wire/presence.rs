//! Who is online: 11, 30 and 31.

use std::collections::BTreeSet;
use std::net::Shutdown;
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way, came, left, said};

#[test]
fn everybody_sees_who_comes_and_who_goes() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.connect_as(way);
        assert_eq!(anna.log_in("Anna"), [("Anna".to_owned(), true)]);
        let mut bobby = server.connect_as(way);
        assert_eq!(
            bobby.log_in("Bobby"),
            [("Anna".to_owned(), true), ("Bobby".to_owned(), true)]
        );
        anna.expect(came("Bobby", true));
        bobby.send(&json!({"Command": "03"}));
        bobby.expect_end();
        anna.expect(left("Bobby"));
        anna.send(&json!({"Command": "03"}));
        anna.expect_end();
    }
}

#[test]
fn each_arrival_and_departure_is_announced_once_and_to_the_others_only() {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    for way in Way::ALL {
        let mut bobby = server.guest_as(way, "Bobby");
        bobby.expect_nothing();
        anna.expect(came("Bobby", true));
        anna.expect_nothing();
        let mut carol = server.guest_as(way, "Carol");
        for client in [&mut anna, &mut bobby] {
            client.expect(came("Carol", true));
        }
        bobby.log_out();
        for client in [&mut anna, &mut carol] {
            client.expect(left("Bobby"));
            client.expect_nothing();
        }
        carol.log_out();
        anna.expect(left("Carol"));
        anna.expect_nothing();
    }
}

#[test]
fn an_abrupt_end_is_announced_and_frees_the_name() {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    let ends: [fn(Client); 3] = [drop, Client::reset, |client| {
        client.socket().shutdown(Shutdown::Both).unwrap()
    }];
    for way in Way::ALL {
        for end in ends {
            let bobby = server.guest_as(way, "Bobby");
            anna.expect(came("Bobby", true));
            end(bobby);
            anna.expect(left("Bobby"));
            // The name is free at once, in any spelling.
            let mut again = server.connect_as(way);
            let roster = again.log_in("bobby");
            assert_eq!(
                roster,
                [("Anna".to_owned(), true), ("bobby".to_owned(), true)]
            );
            anna.expect(came("bobby", true));
            end(again);
            anna.expect(left("bobby"));
            anna.expect_nothing();
        }
    }
}

#[test]
fn the_reply_to_a_login_leaves_in_a_write_of_its_own() {
    let server = TestServer::calm_with(|config| config.rate = 0);
    let mut anna = server.guest("Anna");
    // TLS shows writes as they were made, however late they are read.
    for way in [Way::Tls, Way::TlsPrefixed] {
        for _ in 0..20 {
            let mut bobby = server.connect_as(way);
            let commands = [
                r#"{"Command":"99"}"#,
                r#"{"Command":"01","Name":"Bobby"}"#,
                r#"{"Command":"05","Message":"1"}"#,
                r#"{"Command":"04","FriendName":"Bobby","Message":"2"}"#,
                r#"{"Command":"03"}"#,
            ];
            let bytes: Vec<u8> = commands
                .iter()
                .flat_map(|command| way.frame(command))
                .collect();
            anna.say("meanwhile");
            bobby.send_bytes(&bytes);
            assert_eq!(bobby.receive_in_one_read()["Command"], "10");
            assert_eq!(bobby.receive_in_one_read()["Command"], "11");
            while bobby.next_frame().is_some() {}
            while anna.receive() != left("Bobby") {}
        }
    }
}

#[test]
fn a_client_that_ends_without_logging_in_was_never_there() {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    for way in Way::ALL {
        drop(server.connect_as(way));
        server.connect_as(way).reset();
        server.connect_as(way).log_out();
        let mut refused = server.connect_as(way);
        refused.send(&json!({"Command": "01", "Name": "anna"}));
        refused.expect_refusal("11");
        refused.log_out();
        let mut broken = server.connect_as(way);
        broken.send_text("[]");
        broken.expect_notice();
        broken.expect_end();
    }
    anna.expect_nothing();
    assert_eq!(server.connect().log_in("Bobby").len(), 2);
}

#[test]
fn one_name_is_given_once_however_many_ask_at_once() {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    for round in 0..5 {
        let rivals: Vec<Client> = Way::ALL
            .into_iter()
            .chain(Way::ALL)
            .map(|way| server.connect_as(way))
            .collect();
        let mut rivals: Vec<(Client, bool)> = thread::scope(|scope| {
            let tries: Vec<_> = rivals
                .into_iter()
                .enumerate()
                .map(|(number, mut rival)| {
                    let name = if number % 2 == 0 { "Bobby" } else { "bOBBY" };
                    scope.spawn(move || {
                        rival.send(&json!({"Command": "01", "Name": name}));
                        let is_in = rival.expect_command("11")["Flag"] == 1;
                        (rival, is_in)
                    })
                })
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(
            rivals.iter().filter(|(_, is_in)| *is_in).count(),
            1,
            "round {round}"
        );
        anna.expect_command("30");
        let winner = rivals.iter().position(|(_, is_in)| *is_in).unwrap();
        rivals.swap_remove(winner).0.log_out();
        anna.expect_command("31");
        drop(rivals);
        anna.expect_nothing();
    }
}

/// Who is online, as a client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known(BTreeSet<String>);

impl Known {
    fn from_roster(roster: Vec<(String, bool)>) -> Known {
        let count = roster.len();
        let names: BTreeSet<_> = roster.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), count, "somebody is in Friends twice");
        Known(names)
    }

    /// Applies a broadcast; what it says must be possible.
    fn apply(&mut self, message: &Value) {
        let name = |key: &str| message[key].as_str().unwrap().to_owned();
        match message["Command"].as_str().unwrap() {
            "30" => {
                let is_new = self.0.insert(name("LogOnUserName"));
                assert!(is_new, "came twice: {message}");
            }
            "31" => {
                let was_there = self.0.remove(&name("LogOutUserName"));
                assert!(was_there, "left without having come: {message}");
            }
            _ => {}
        }
    }
}

/// Applies what a client receives until it hears `last`. Returns all of it, and who was online whenever somebody
/// spoke.
fn follow(
    client: &mut Client,
    known: &mut Known,
    last: &str,
) -> (Vec<Value>, Vec<(String, Known)>) {
    let (mut heard, mut moments) = (Vec::new(), Vec::new());
    loop {
        let message = client.receive();
        known.apply(&message);
        heard.push(message.clone());
        if message["Command"] == "32" {
            let text = message["Message"].as_str().unwrap();
            moments.push((text.to_owned(), known.clone()));
            if text == last {
                return (heard, moments);
            }
        }
    }
}

/// Logs in under a name that an earlier connection may still have, and returns who is online.
fn log_in_again(client: &mut Client, name: &str) -> Known {
    for _ in 0..1_000_000 {
        client.send(&json!({"Command": "01", "Name": name}));
        let reply = client.expect_command("11");
        if reply["Flag"] == 1 {
            let friends = reply["Friends"].as_array().unwrap();
            let name_of = |friend: &Value| (friend[0].as_str().unwrap().to_owned(), true);
            return Known::from_roster(friends.iter().map(name_of).collect());
        }
    }
    panic!("the name {name} does not become free");
}

#[test]
fn friends_and_what_follows_is_exactly_who_is_online_in_one_order_for_all() {
    const CHURNERS: usize = 6;
    const SESSIONS: usize = 12;
    let server = TestServer::calm_with(|config| config.rate = 0);
    let mut observers = Vec::new();
    for (number, way) in Way::ALL.into_iter().enumerate() {
        let mut observer = server.connect_as(way);
        let known = Known::from_roster(observer.log_in(&format!("Observer{number}")));
        observers.push((observer, known));
    }
    thread::scope(|scope| {
        let observers: Vec<_> = observers
            .into_iter()
            .map(|(mut observer, mut known)| {
                scope.spawn(move || {
                    let (heard, moments) = follow(&mut observer, &mut known, "the end");
                    (heard, moments, known)
                })
            })
            .collect();

        // These come and go in every way there is, and each says something while it is there.
        let server = &server;
        let churners: Vec<_> = (0..CHURNERS)
            .map(|churner| {
                scope.spawn(move || {
                    let name = format!("Churner{churner}");
                    let mut moments = Vec::new();
                    for session in 0..SESSIONS {
                        let mut client =
                            server.connect_as(Way::ALL[(churner + session) % Way::ALL.len()]);
                        let mut known = log_in_again(&mut client, &name);
                        assert!(known.0.contains(&name), "{known:?}");
                        let text = format!("{churner} {session}");
                        client.say(&text);
                        moments.extend(follow(&mut client, &mut known, &text).1.pop());
                        // The last one leaves in an orderly way, so that one can tell when it has.
                        match (churner + session / 2) % 4 {
                            _ if session + 1 == SESSIONS => {
                                client.send(&json!({"Command": "03"}));
                                while client.next_frame().is_some() {}
                            }
                            0 => client.send(&json!({"Command": "03"})),
                            1 => drop(client),
                            2 => client.reset(),
                            _ => {
                                client.half_close();
                                while client.next_frame().is_some() {}
                            }
                        }
                    }
                    moments
                })
            })
            .collect();
        let of_churners: Vec<(String, Known)> = churners
            .into_iter()
            .flat_map(|churner| churner.join().unwrap())
            .collect();
        assert_eq!(of_churners.len(), CHURNERS * SESSIONS);

        let mut last = server.connect();
        let in_the_end = Known::from_roster(last.log_in("TheLast"));
        assert_eq!(in_the_end.0.len(), Way::ALL.len() + 1, "{in_the_end:?}");
        last.say("the end");
        last.expect(said("TheLast", "the end"));

        let observers: Vec<_> = observers
            .into_iter()
            .map(|observer| observer.join().unwrap())
            .collect();
        // The last of the observers has heard what all of them have.
        let (common, moments, _) = observers.last().unwrap();
        for (heard, of_observer, known) in &observers {
            assert!(
                heard.ends_with(common),
                "two observers heard different orders"
            );
            assert_eq!(of_observer, moments);
            assert_eq!(*known, in_the_end);
        }
        // Whenever somebody spoke, everybody had the same picture, whether it had just come or been there always.
        for moment in &of_churners {
            assert!(moments.contains(moment), "{moment:?} differs");
        }
    });
}

#[test]
fn a_whole_class_may_come_at_once() {
    const CLASS: usize = 60;
    let server = TestServer::calm();
    thread::scope(|scope| {
        for (number, way) in Way::ALL.into_iter().cycle().take(CLASS).enumerate() {
            let server = &server;
            scope.spawn(move || {
                let mut pupil = server.connect_as(way);
                let mut known = Known::from_roster(pupil.log_in(&format!("Pupil{number}")));
                while known.0.len() < CLASS {
                    let message = pupil.expect_command("30");
                    known.apply(&message);
                }
                // Nobody leaves before everybody has seen all the others.
                pupil.say("all there");
                let mut ready = 0;
                while ready < CLASS {
                    ready += usize::from(pupil.receive()["Command"] == "32");
                }
            });
        }
    });
}
