//! Logging in: names, passwords, refusals, and what a second login does.

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way, came, left, said, wrote};

/// Checks that the next message is a refused login in every detail, and returns the reason.
#[track_caller]
fn expect_refused_login(client: &mut Client) -> String {
    let reply = client.receive();
    let why = reply["Message"].as_str().expect("a reason").to_owned();
    assert_eq!(
        reply,
        json!({"Command": "11", "Flag": 0, "Friends": [], "Message": why})
    );
    assert!(!why.is_empty());
    why
}

#[test]
fn a_guest_needs_no_password() {
    let server = TestServer::calm();
    for way in Way::ALL {
        for login in [
            r#"{"Command":"01","Name":"Anna"}"#,
            r#"{"Command":"01","Name":"Anna","Password":""}"#,
            r#"{"Command":"01","Name":"Anna","Password":null}"#,
            r#"{"Command":"01","Name":"Anna","Password":"secret","Password":""}"#,
            r#"{"Command":"01","Name":"Anna","password":"not a key of the protocol"}"#,
        ] {
            let mut anna = server.connect_as(way);
            anna.send_text(login);
            assert_eq!(anna.expect_login(), [("Anna".to_owned(), true)], "{login}");
            anna.log_out();
        }
    }
}

#[test]
fn a_name_has_4_to_64_letters_and_digits() {
    let server = TestServer::calm();
    let (longest, too_long) = ("x".repeat(64), "x".repeat(65));
    for name in [
        "abcd", "ABCD", "1234", "a1B2c3", "null", "admins", "users", &longest,
    ] {
        let mut client = server.connect();
        assert_eq!(client.log_in(name), [(name.to_owned(), true)]);
        client.log_out();
    }
    let bad = [
        "",
        "a",
        "abc",
        &too_long,
        "with space",
        " Anna",
        "Anna ",
        "Anna\n",
        "Anna\0",
        "An_na",
        "An-na",
        "Anna!",
        "Änna",
        "Аnna",
        "安娜安娜",
        "ａｎｎａ",
        "Anna😀",
        "e\u{301}nna",
        "\u{feff}Anna",
        "An\"na",
        "An\\na",
    ];
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        let mut client = server.connect_as(way);
        for name in bad {
            client.send(&json!({"Command": "01", "Name": name}));
            expect_refused_login(&mut client);
        }
        for name in [
            json!(null),
            json!(1234),
            json!(true),
            json!(["Anna"]),
            json!({"Name": "Anna"}),
        ] {
            client.send(&json!({"Command": "01", "Name": name}));
            expect_refused_login(&mut client);
        }
        client.send(&json!({"Command": "01"}));
        expect_refused_login(&mut client);
        client.send(&json!({"Command": "01", "name": "Anna"}));
        expect_refused_login(&mut client);
        bobby.expect_nothing();
        client.log_in("Anna");
        bobby.expect(came("Anna", true));
        client.log_out();
        bobby.expect(left("Anna"));
    }
}

#[test]
fn reserved_names_are_refused_in_any_letter_case() {
    let server = TestServer::calm();
    let mut client = server.connect();
    for reserved in ["admin", "administrator", "guest", "user", "table"] {
        let mixed: String = reserved
            .char_indices()
            .map(|(place, letter)| {
                if place % 2 == 0 {
                    letter.to_ascii_uppercase()
                } else {
                    letter
                }
            })
            .collect();
        for name in [reserved, &reserved.to_uppercase(), &mixed] {
            client.send(&json!({"Command": "01", "Name": name}));
            expect_refused_login(&mut client);
            client.send(&json!({"Command": "01", "Name": name, "Password": "secret"}));
            expect_refused_login(&mut client);
            client.send(&json!({"Command": "02", "Name": name, "Password": "secret"}));
            client.expect_refusal("12");
        }
    }
    // Only whole names are reserved.
    client.log_in("administrators");
}

#[test]
fn a_password_that_can_not_be_is_refused() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    for way in Way::ALL {
        let mut client = server.connect_as(way);
        for password in [
            json!("pass word"),
            json!(" "),
            json!("пароль"),
            json!("secret!"),
            json!("secret\0"),
            json!("x".repeat(129)),
            json!(5),
            json!(0),
            json!(false),
            json!([]),
            json!(["secret"]),
            json!({}),
        ] {
            client.send(&json!({"Command": "01", "Name": "Anna", "Password": password}));
            expect_refused_login(&mut client);
        }
        bobby.expect_nothing();
        client.log_in("Anna");
        bobby.expect(came("Anna", true));
        client.log_out();
        bobby.expect(left("Anna"));
    }
}

#[test]
fn the_password_for_a_name_in_use_is_not_looked_at() {
    let server = TestServer::calm();
    server.connect().register("Owner", "secret");
    for way in Way::ALL {
        let mut owner = server.connect_as(way);
        owner.send(&json!({"Command": "01", "Name": "Owner", "Password": "secret"}));
        owner.expect_login();
        // The 11 comes a moment before others can find the name.
        owner.expect_nothing();
        let mut second = server.connect_as(way);
        // More often than a wrong password may be given.
        for _ in 0..10 {
            second.send(&json!({"Command": "01", "Name": "owner", "Password": "wrong"}));
            let why = expect_refused_login(&mut second);
            assert!(why.contains("half a minute"), "{why}");
        }
        owner.log_out();
    }
}

#[test]
fn a_name_in_use_is_refused_to_anybody_and_however_it_is_spelt() {
    let server = TestServer::calm();
    server.connect().register("Owner", "secret");
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        let mut second = server.connect_as(way);
        for name in ["Anna", "anna", "ANNA", "aNNa"] {
            second.send(&json!({"Command": "01", "Name": name}));
            let why = expect_refused_login(&mut second);
            assert!(
                why.contains("in use") && why.contains("half a minute"),
                "{why}"
            );
        }
        // Not even the owner of a name is in twice, and nobody else under that name.
        let login = json!({"Command": "01", "Name": "Owner", "Password": "secret"});
        let mut owner = server.connect_as(way);
        owner.send(&login);
        owner.expect_login();
        anna.expect(came("Owner", false));
        second.send(&json!({"Command": "01", "Name": "oWNER", "Password": "secret"}));
        let why = expect_refused_login(&mut second);
        assert!(why.contains("half a minute"), "{why}");
        second.send(&json!({"Command": "01", "Name": "Owner"}));
        expect_refused_login(&mut second);

        anna.expect_nothing();
        owner.expect_nothing();
        // The connection is open for another try, under a free name or when the name is free.
        second.log_in("Bobby");
        for client in [&mut anna, &mut owner] {
            client.expect(came("Bobby", true));
        }
        let mut third = server.connect_as(way);
        third.send(&json!({"Command": "01", "Name": "bobby"}));
        expect_refused_login(&mut third);
        second.log_out();
        for client in [&mut anna, &mut owner] {
            client.expect(left("Bobby"));
        }
        third.log_in("bobby");
        for client in [&mut anna, &mut owner] {
            client.expect(came("bobby", true));
        }
        third.log_out();
        for client in [&mut anna, &mut owner] {
            client.expect(left("bobby"));
        }
        owner.log_out();
        anna.expect(left("Owner"));
        anna.log_out();
    }
}

#[test]
fn a_name_is_shown_as_its_owner_wrote_it_at_login() {
    let server = TestServer::calm();
    let mut bobby = server.guest("bOBBY");
    bobby.register("Carol", "secret");
    for way in Way::ALL {
        for (name, password, is_guest) in [("ANNa", "", true), ("cAROL", "secret", false)] {
            let mut client = server.connect_as(way);
            client.send(&json!({"Command": "01", "Name": name, "Password": password}));
            let roster = client.expect_login();
            assert_eq!(roster.len(), 2);
            assert!(roster.contains(&(name.to_owned(), is_guest)), "{roster:?}");
            assert!(roster.contains(&("bOBBY".to_owned(), true)), "{roster:?}");
            bobby.expect(came(name, is_guest));
            client.say("hi");
            bobby.expect(said(name, "hi"));
            client.expect(said(name, "hi"));
            client.write_to("BOBBY", "hi");
            bobby.expect(wrote(name, "hi"));
            client.expect_command("14");
            client.log_out();
            bobby.expect(left(name));
        }
    }
}

#[test]
fn a_login_when_logged_in_is_refused_and_changes_nothing() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    bobby.register("Carol", "secret");
    for way in Way::ALL {
        let mut anna = server.guest_as(way, "Anna");
        bobby.expect(came("Anna", true));
        for (name, password) in [
            ("Anna", Value::Null),
            ("anna", json!("")),
            ("Dora", Value::Null),
            ("Bobby", Value::Null),
            ("Carol", json!("secret")),
            ("Carol", json!("wrong")),
            ("", Value::Null),
        ] {
            anna.send(&json!({"Command": "01", "Name": name, "Password": password}));
            expect_refused_login(&mut anna);
        }
        anna.send(&json!({"Command": "01"}));
        expect_refused_login(&mut anna);
        bobby.expect_nothing();
        anna.say("still Anna");
        for client in [&mut anna, &mut bobby] {
            client.expect(said("Anna", "still Anna"));
        }
        anna.log_out();
        bobby.expect(left("Anna"));
    }
}

#[test]
fn a_refused_login_tells_nothing_of_who_is_online() {
    let server = TestServer::calm();
    let _bobby = server.guest("Bobby");
    let mut client = server.connect();
    for login in [
        json!({"Command": "01", "Name": "Bobby"}),
        json!({"Command": "01", "Name": "Anna", "Password": "unknown"}),
        json!({"Command": "01", "Name": "no"}),
    ] {
        client.send(&login);
        expect_refused_login(&mut client);
    }
}

#[test]
fn a_second_try_on_the_same_connection_may_succeed() {
    let server = TestServer::calm();
    server.connect().register("Owner", "secret");
    for way in [Way::Plain, Way::TlsPrefixed] {
        let mut client = server.connect_as(way);
        let mut tries = Vec::new();
        for (name, password) in [
            ("Owner", ""),
            ("Owner", "wrong"),
            ("no", ""),
            ("Owner", "secret"),
        ] {
            let login = json!({"Command": "01", "Name": name, "Password": password});
            tries.extend(way.frame(&login.to_string()));
        }
        client.send_bytes(&tries);
        for _ in 0..3 {
            expect_refused_login(&mut client);
        }
        assert_eq!(client.expect_login(), [("Owner".to_owned(), false)]);
        client.log_out();
    }
}
