//! Registering a name, and what it is worth afterwards.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way, came, left, said};

/// Tries to log in with a password, and hands back the reply.
fn log_in(client: &mut Client, name: &str, password: &str) -> Value {
    client.send(&json!({"Command": "01", "Name": name, "Password": password}));
    client.expect_command("11")
}

#[test]
fn registering_before_login_logs_nobody_in() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for (way, name) in Way::ALL
        .into_iter()
        .zip(["Way1", "Way2", "Way3", "Way4", "Way5"])
    {
        let mut client = server.connect_as(way);
        client.register(name, "secret");
        client.say("not logged in");
        client.expect_notice();
        bobby.expect_nothing();
        client.send(&json!({"Command": "01", "Name": name, "Password": "secret"}));
        assert_eq!(
            client.expect_login(),
            [("Bobby".to_owned(), true), (name.to_owned(), false)]
        );
        bobby.expect(came(name, false));
        client.log_out();
        bobby.expect(left(name));
    }
}

#[test]
fn registering_after_login_changes_nothing_about_the_session() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    let mut anna = server.guest("Anna");
    bobby.expect(came("Anna", true));
    // Another name, then the own one, spelt in another way.
    anna.register("Another", "secret");
    anna.register("ANNA", "secret");
    bobby.expect_nothing();
    anna.say("still a guest");
    for client in [&mut anna, &mut bobby] {
        client.expect(said("Anna", "still a guest"));
    }
    let mut carol = server.connect();
    let roster = carol.log_in("Carol");
    assert!(roster.contains(&("Anna".to_owned(), true)), "{roster:?}");
    for client in [&mut anna, &mut bobby] {
        client.expect(came("Carol", true));
    }
    // Now that it is registered, the name is still in use.
    let mut client = server.connect();
    assert_eq!(log_in(&mut client, "Anna", "secret")["Flag"], 0);
    anna.log_out();
    bobby.expect(left("Anna"));
    // From here on it needs its password.
    client.send(&json!({"Command": "01", "Name": "Anna"}));
    client.expect_refusal("11");
    assert_eq!(log_in(&mut client, "anna", "secret")["Flag"], 1);
    bobby.expect(came("anna", false));
}

#[test]
fn a_name_that_another_connection_uses_can_not_be_registered() {
    let server = TestServer::calm();
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        let mut bobby = server.guest_as(way, "Bobby");
        anna.expect_command("30");
        let mut stranger = server.connect_as(way);
        for name in ["Anna", "aNNA"] {
            for client in [&mut stranger, &mut bobby] {
                client.send(&json!({"Command": "02", "Name": name, "Password": "secret"}));
                client.expect_refusal("12");
            }
        }
        // Nothing was kept of it: the name is still one for guests.
        anna.log_out();
        bobby.expect(left("Anna"));
        stranger.log_in("Anna");
        stranger.log_out();
        bobby.expect(came("Anna", true));
        bobby.expect(left("Anna"));
        bobby.log_out();
    }
}

#[test]
fn a_name_is_registered_once() {
    let server = TestServer::calm();
    let mut client = server.connect();
    client.register("Anna", "secret");
    for (name, password) in [("Anna", "secret"), ("Anna", "other"), ("aNNa", "other")] {
        for way in Way::ALL {
            let mut second = server.connect_as(way);
            second.send(&json!({"Command": "02", "Name": name, "Password": password}));
            second.expect_refusal("12");
        }
        client.send(&json!({"Command": "02", "Name": name, "Password": password}));
        client.expect_refusal("12");
    }
    // While its owner is online, too; and the first password stays.
    assert_eq!(log_in(&mut client, "Anna", "secret")["Flag"], 1);
    let mut second = server.connect();
    for client in [&mut second, &mut client] {
        client.send(&json!({"Command": "02", "Name": "Anna", "Password": "other"}));
        client.expect_refusal("12");
    }
    client.log_out();
    assert_eq!(log_in(&mut second, "Anna", "other")["Flag"], 0);
    assert_eq!(log_in(&mut second, "Anna", "secret")["Flag"], 1);
}

#[test]
fn of_many_who_register_one_name_at_once_one_gets_it() {
    let server = TestServer::calm();
    let replies: Vec<(usize, Value)> = thread::scope(|scope| {
        let tries: Vec<_> = Way::ALL
            .into_iter()
            .enumerate()
            .map(|(number, way)| {
                let mut client = server.connect_as(way);
                scope.spawn(move || {
                    client.send(&json!({"Command": "02", "Name": "Anna", "Password": format!("secret{number}")}));
                    (number, client.expect_command("12"))
                })
            })
            .collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let winners: Vec<usize> = replies
        .iter()
        .filter(|(_, reply)| reply["Flag"] == 1)
        .map(|(number, _)| *number)
        .collect();
    let [winner] = winners[..] else {
        panic!("not one, but {winners:?}: {replies:?}");
    };
    let mut client = server.connect();
    assert_eq!(
        log_in(&mut client, "Anna", &format!("secret{winner}"))["Flag"],
        1
    );
}

#[test]
fn a_guest_and_a_registration_never_get_a_name_both() {
    let server = TestServer::calm();
    for round in 0..10 {
        let name = format!("Anna{round}");
        let (mut guest, mut owner) = (server.connect(), server.connect());
        let (came_in, registered) = thread::scope(|scope| {
            let guest = scope.spawn(|| {
                guest.send(&json!({"Command": "01", "Name": name}));
                guest.expect_command("11")["Flag"] == 1
            });
            let owner = scope.spawn(|| {
                owner.send(&json!({"Command": "02", "Name": name, "Password": "secret"}));
                owner.expect_command("12")["Flag"] == 1
            });
            (guest.join().unwrap(), owner.join().unwrap())
        });
        assert!(came_in != registered, "guest {came_in}, owner {registered}");
    }
}

#[test]
fn a_guest_cannot_take_a_registered_name() {
    let server = TestServer::calm();
    server.connect().register("Anna", "secret");
    for way in Way::ALL {
        let mut client = server.connect_as(way);
        for name in ["Anna", "aNNA"] {
            for password in [json!(null), json!("")] {
                client.send(&json!({"Command": "01", "Name": name, "Password": password}));
                client.expect_refusal("11");
            }
        }
        // A name that only begins like it is another name.
        client.log_in("Annabel");
        client.log_out();
    }
}

#[test]
fn a_wrong_password_and_an_unknown_name_get_the_same_words() {
    let server = TestServer::calm();
    server.connect().register("Anna", "Secret1");
    for way in [Way::Tls, Way::PlainPrefixed] {
        // Passwords are told apart by letter case, names are not.
        let tries = [
            ("Anna", "secret1"),
            ("aNNA", "Secret"),
            ("Nobody", "Secret1"),
        ];
        let words = tries.map(|(name, password)| {
            let mut client = server.connect_as(way);
            let refusal = log_in(&mut client, name, password);
            assert_eq!(refusal["Flag"], 0);
            refusal
        });
        assert_eq!(words[0], words[1]);
        assert_eq!(words[0], words[2]);
        let why = words[0]["Message"].as_str().unwrap();
        assert!(why.contains("register first"), "{why}");
        assert!(why.contains("leave the password empty"), "{why}");
    }
    // A guest who is online makes no difference.
    let _bobby = server.guest("Bobby");
    let mut client = server.connect();
    assert_eq!(log_in(&mut client, "Bobby", "secret")["Flag"], 0);
}

#[test]
fn accounts_survive_a_restart() {
    let server = TestServer::calm();
    let mut client = server.connect_as(Way::TlsPrefixed);
    let longest = ("x".repeat(64), "y".repeat(128));
    client.register("Anna", "Secret1");
    client.register(&longest.0, &longest.1);
    drop(client);

    let server = TestServer::in_folder(server.stop(), |_| {});
    let mut client = server.connect();
    client.send(&json!({"Command": "01", "Name": "Anna"}));
    client.expect_refusal("11");
    client.send(&json!({"Command": "02", "Name": "anna", "Password": "other"}));
    client.expect_refusal("12");
    client.register("Bobby", "Secret2");
    assert_eq!(
        log_in(&mut client, "Anna", "Secret1")["Friends"],
        json!([["Anna", 0]])
    );

    drop(client);

    // Registration can be switched off; who registered before can still log in.
    let server = TestServer::in_folder(server.stop(), |config| config.no_registration = true);
    let mut client = server.connect();
    for name in ["Carol", "Anna"] {
        client.send(&json!({"Command": "02", "Name": name, "Password": "secret"}));
        client.expect_refusal("12");
    }
    client.send(&json!({"Command": "01", "Name": "Bobby"}));
    client.expect_refusal("11");
    assert_eq!(log_in(&mut client, "Bobby", "wrong")["Flag"], 0);
    for (name, password) in [
        ("Anna", "Secret1"),
        ("Bobby", "Secret2"),
        (&*longest.0, &*longest.1),
    ] {
        let mut client = server.connect();
        assert_eq!(log_in(&mut client, name, password)["Flag"], 1);
    }
    // Nothing was kept of the refused registration.
    client.log_in("Carol");
}

#[test]
fn a_registration_with_a_bad_name_or_password_is_refused() {
    let server = TestServer::calm();
    let bad = [
        json!({}),
        json!({"Name": "Anna"}),
        json!({"Password": "secret"}),
        json!({"name": "Anna", "password": "secret"}),
        json!({"Name": null, "Password": "secret"}),
        json!({"Name": 1234, "Password": "secret"}),
        json!({"Name": ["Anna"], "Password": "secret"}),
        json!({"Name": "", "Password": "secret"}),
        json!({"Name": "abc", "Password": "secret"}),
        json!({"Name": "x".repeat(65), "Password": "secret"}),
        json!({"Name": "An na", "Password": "secret"}),
        json!({"Name": "安娜安娜", "Password": "secret"}),
        json!({"Name": "Anna\n", "Password": "secret"}),
        json!({"Name": "GUEST", "Password": "secret"}),
        json!({"Name": "Anna", "Password": ""}),
        json!({"Name": "Anna", "Password": null}),
        json!({"Name": "Anna", "Password": 5}),
        json!({"Name": "Anna", "Password": true}),
        json!({"Name": "Anna", "Password": ["secret"]}),
        json!({"Name": "Anna", "Password": "x".repeat(129)}),
        json!({"Name": "Anna", "Password": "pass word"}),
        json!({"Name": "Anna", "Password": "пароль"}),
        json!({"Name": "Anna", "Password": "secret\0"}),
    ];
    for way in Way::ALL {
        let mut client = server.connect_as(way);
        for request in &bad {
            let mut request = request.clone();
            request["Command"] = json!("02");
            client.send(&request);
            let why = client.expect_refusal("12");
            assert!(
                !why.contains("secret"),
                "a reason repeats no password: {why}"
            );
        }
        // The connection stays open, and the name was not registered.
        client.log_in("Anna");
        for request in &bad {
            let mut request = request.clone();
            request["Command"] = json!("02");
            client.send(&request);
            client.expect_refusal("12");
        }
        client.log_out();
    }
}
