//! Limits: what happens past each, and that it happens to nobody else.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use chatd::server::own_addresses;
use chatd::transport::socket::KERNEL_FINDS_DEAD_PEERS;
use serde_json::{Value, json};

use crate::harness::platform::is_timeout;
use crate::harness::{Client, PATIENCE, TestServer, Way, came, delivered, left, said, wrote};
use crate::tools::{connect_narrow, expect_same, quiet_server, receive_news};

/// Kilobytes of text.
fn filler(kilobytes: usize) -> String {
    "x".repeat(kilobytes << 10)
}

/// A frame of exactly `length` bytes, filled up by a key that nobody knows.
fn padded(mut frame: Value, length: usize) -> String {
    frame["Pad"] = "".into();
    let bare = frame.to_string().len();
    frame["Pad"] = "x".repeat(length - bare).into();
    frame.to_string()
}

/// Checks that a connection that the server closes gets nothing before.
fn expect_silent_close(mut socket: TcpStream) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("not closed: {error}"),
    }
    assert_eq!(bytes, b"");
}

/// Tries until there is a place on the server.
fn guest_when_there_is_room(server: &TestServer, way: Way, name: &str) -> Client {
    let start = Instant::now();
    loop {
        let mut client = server.connect_as(way);
        client.send(&json!({"Command": "01", "Name": name}));
        let reply = client.receive();
        if reply["Command"] == "11" {
            assert_eq!(reply["Flag"], 1, "{reply}");
            return client;
        }
        assert_eq!(reply["Command"], "10", "{reply}");
        assert!(start.elapsed() < PATIENCE, "nobody's place was given back");
    }
}

#[test]
fn a_client_past_max_connections_is_told_and_one_that_leaves_makes_room() {
    let server = quiet_server(|config| config.max_connections = 3);
    let mut anna = server.guest("Anna");
    let mut bobby = server.guest_as(Way::TlsPrefixed, "Bobby");
    anna.expect(came("Bobby", true));
    let mut carol = server.guest_as(Way::Tls, "Carol");
    anna.expect(came("Carol", true));
    bobby.expect(came("Carol", true));
    for way in Way::ALL {
        let mut refused = server.connect_as(way);
        refused.send(&json!({"Command": "01", "Name": "Doris"}));
        let why = refused.expect_notice();
        assert!(why.contains('3'), "it names the limit: {why}");
        refused.expect_end();

        carol.log_out();
        carol = guest_when_there_is_room(&server, way, "Carol");
        for client in [&mut anna, &mut bobby] {
            client.expect(left("Carol"));
            client.expect(came("Carol", true));
        }
    }
}

#[test]
fn a_silent_crowd_past_max_connections_is_told_too() {
    let server = quiet_server(|config| config.max_connections = 1);
    let mut anna = server.guest("Anna");
    let mut crowd: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    for client in &mut crowd {
        client.expect_notice();
        client.expect_end();
    }
    anna.expect_nothing();
}

#[test]
fn on_a_full_server_the_oldest_that_has_not_logged_in_makes_room() {
    for (way, other_way) in Way::ALL.into_iter().zip(Way::ALL.into_iter().rev()) {
        let server = quiet_server(|config| config.max_connections = 3);
        let mut anna = server.guest("Anna");
        let mut oldest = server.connect_as(way);
        oldest.expect_nothing();
        let mut other = server.connect_as(other_way);
        other.expect_nothing();
        let mut newcomer = server.connect_as(other_way);
        let why = oldest.expect_notice();
        assert!(why.contains("full") && why.contains("logged in"), "{why}");
        oldest.expect_end();
        newcomer.log_in("Newcomer");
        anna.expect(came("Newcomer", true));
        // Only one makes room for it.
        other.log_in("Other");
        for client in [&mut anna, &mut newcomer] {
            client.expect(came("Other", true));
        }
        // Nobody who has logged in makes room, however long ago that was.
        let mut refused = server.connect_as(way);
        refused.send(&json!({"Command": "01", "Name": "Late"}));
        let why = refused.expect_notice();
        assert!(why.contains("full") && why.contains('3'), "{why}");
        refused.expect_end();
        for client in [&mut anna, &mut newcomer, &mut other] {
            client.expect_nothing();
        }
    }
}

/// A plain client that is served, on a server where nobody has to make room for it.
fn connect_when_there_is_room(server: &TestServer) -> Client {
    let start = Instant::now();
    loop {
        let mut client = server.connect();
        client.send(&json!({"Command": "77"}));
        if client.expect_notice().contains("unknown") {
            return client;
        }
        assert!(start.elapsed() < PATIENCE, "nobody's place was given back");
    }
}

#[test]
fn a_silent_client_makes_room_before_its_first_byte_and_in_mid_handshake() {
    let server = quiet_server(|config| config.max_connections = 2);
    let _anna = server.guest("Anna");
    // The header of a record, and the beginning of what should follow (RFC 8446, section 5.1).
    for hello in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut silent = TcpStream::connect(server.tls_address()).unwrap();
        silent.write_all(hello).unwrap();
        guest_when_there_is_room(&server, Way::Tls, "Newcomer").log_out();
        let start = Instant::now();
        expect_silent_close(silent);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    let mut silent = server.connect();
    guest_when_there_is_room(&server, Way::Plain, "Newcomer").log_out();
    assert!(silent.expect_notice().contains("full"));
    silent.expect_end();
}

#[test]
fn idle_clients_by_the_dozen_keep_nobody_out() {
    const PLACES: usize = 20;
    let server = quiet_server(|config| config.max_connections = PLACES);
    let idle: Vec<Client> = (0..4 * PLACES).map(|_| server.connect()).collect();
    let mut anna = guest_when_there_is_room(&server, Way::Plain, "Anna");
    let mut bobby = guest_when_there_is_room(&server, Way::Plain, "Bobby");
    anna.expect(came("Bobby", true));
    let late: Vec<Client> = (0..4 * PLACES).map(|_| server.connect()).collect();
    for client in [&mut anna, &mut bobby] {
        client.expect_nothing();
    }
    drop((idle, late));
}

#[test]
fn who_logs_in_just_when_room_is_needed_either_is_in_or_makes_room() {
    let server = quiet_server(|config| {
        config.max_connections = 2;
        config.rate = 0;
    });
    let mut eyes = server.guest("Eyes");
    let mut came_in = 0;
    const ROUNDS: usize = 200;
    for round in 0..ROUNDS {
        let mut early = connect_when_there_is_room(&server);
        let mut late = thread::scope(|scope| {
            let late = scope.spawn(|| {
                for _ in 0..round % 20 * 50 {
                    std::hint::spin_loop();
                }
                let mut late = server.connect();
                late.send(&json!({"Command": "01", "Name": "Late"}));
                late
            });
            early.send(&json!({"Command": "01", "Name": "Early"}));
            late.join().unwrap()
        });
        let reply = early.receive();
        if reply["Command"] == "11" {
            came_in += 1;
            assert_eq!(reply["Flag"], 1, "{reply}");
            assert!(late.expect_notice().contains('2'));
            late.expect_end();
            early.expect_nothing();
            early.log_out();
            eyes.expect(came("Early", true));
            eyes.expect(left("Early"));
        } else {
            assert_eq!(reply["Command"], "10", "{reply}");
            early.expect_end();
            // Nobody has seen the other one.
            late.expect_login();
            late.log_out();
            eyes.expect(came("Late", true));
            eyes.expect(left("Late"));
        }
    }
    assert!(came_in < ROUNDS, "nobody had to make room");
}

/// What a client does while it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// It sends nothing, on either port.
    Silent { is_tls: bool },
    /// It does the TLS handshake and reads.
    Handshake,
    /// It sends a login on the plain port.
    Login,
}

/// Lets one client be refused. Returns the messages that it read, and how long it took from the connection to the end.
fn be_refused(server: &TestServer, refused: Refused) -> (Vec<Value>, Duration) {
    let start = Instant::now();
    let address = match refused {
        Refused::Silent { is_tls: true } | Refused::Handshake => server.tls_address(),
        _ => server.plain_address(),
    };
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let messages = match refused {
        Refused::Handshake => Client::try_over_tls(socket, Way::Tls)
            .map_or(Vec::new(), |mut client| client.receive_all()),
        Refused::Silent { is_tls: true } => {
            expect_silent_close(socket);
            Vec::new()
        }
        Refused::Silent { is_tls: false } => Client::over(socket, Way::Plain).receive_all(),
        Refused::Login => {
            // The server may have closed already, but not without having said why.
            let _ = socket.write_all(br#"{"Command":"01","Name":"Late"}"#);
            Client::over(socket, Way::Plain).receive_all()
        }
    };
    (messages, start.elapsed())
}

#[test]
fn however_many_are_refused_at_once_each_sees_the_end_soon() {
    const CROWD: usize = 100;
    let server = quiet_server(|config| config.max_connections = 1);
    let mut anna = server.guest("Anna");
    for refused in [
        Refused::Handshake,
        Refused::Silent { is_tls: true },
        Refused::Silent { is_tls: false },
        Refused::Login,
    ] {
        let outcomes: Vec<(Vec<Value>, Duration)> = thread::scope(|scope| {
            let server = &server;
            let clients: Vec<_> = (0..CROWD)
                .map(|_| scope.spawn(move || be_refused(server, refused)))
                .collect();
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .collect()
        });
        let mut told = 0;
        for (messages, took) in outcomes {
            assert!(took < Duration::from_secs(5), "{refused:?}: {took:?}");
            assert!(messages.len() <= 1, "{refused:?}: {messages:?}");
            told += usize::from(messages.iter().any(|message| message["Command"] == "10"));
        }
        match refused {
            Refused::Silent { is_tls: true } => assert_eq!(told, 0),
            // Through TLS only those are told for whom there are threads.
            Refused::Handshake => assert!(told > 0),
            _ => assert_eq!(told, CROWD, "{refused:?}"),
        }
    }
    anna.expect_nothing();
}

#[test]
fn a_client_that_is_refused_without_a_thread_is_not_reset_for_what_it_still_sends() {
    let server = quiet_server(|config| config.max_connections = 1);
    let _anna = server.guest("Anna");
    // Each of these has a thread, which waits for its first byte.
    let _silent: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for _ in 0..3 {
        let mut refused = server.connect();
        assert!(refused.expect_notice().contains("full"));
        // A reset answers the first one, so that the second one fails.
        refused.send(&json!({"Command": "01", "Name": "Late"}));
        refused.send(&json!({"Command": "03"}));
        refused.expect_end();
        assert!(refused.has_ended_orderly());
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "it says why it checks nothing")]
fn a_client_past_max_per_address_is_told_but_loopback_is_exempt() {
    let outward = own_addresses()
        .into_iter()
        .map(|one| one.ip)
        .find(|address| address.is_ipv4() && !address.is_loopback());
    let Some(outward) = outward else {
        return eprintln!("skipped: this machine has no IPv4 address beside loopback");
    };
    let bind: IpAddr = match TcpListener::bind("[::]:0") {
        Ok(_) => Ipv6Addr::UNSPECIFIED.into(),
        Err(_) => Ipv4Addr::UNSPECIFIED.into(),
    };
    let server = quiet_server(|config| {
        config.bind = vec![bind];
        config.max_per_address = 2;
    });
    let connect = |ip: IpAddr, way: Way| {
        let port = server.address(way).port();
        Client::over(TcpStream::connect(SocketAddr::new(ip, port)).unwrap(), way)
    };
    let mut anna = connect(outward, Way::Plain);
    anna.log_in("Anna");
    let mut bobby = connect(outward, Way::Tls);
    bobby.log_in("Bobby");
    anna.expect(came("Bobby", true));
    for way in Way::ALL {
        let mut refused = connect(outward, way);
        refused.send(&json!({"Command": "01", "Name": "Carol"}));
        let why = refused.expect_notice();
        assert!(why.contains('2'), "it names the limit: {why}");
        refused.expect_end();
        let mut exempt = connect(Ipv4Addr::LOCALHOST.into(), way);
        exempt.log_in("Carol");
        exempt.log_out();
        anna.expect(came("Carol", true));
        anna.expect(left("Carol"));
    }
    let _crowd: Vec<Client> = (0..5)
        .map(|index| {
            let mut client = connect(Ipv4Addr::LOCALHOST.into(), Way::Plain);
            client.log_in(&format!("Local{index}"));
            client
        })
        .collect();
}

#[test]
fn a_tls_handshake_that_takes_too_long_is_closed_without_a_word() {
    let timeout = Duration::from_millis(500);
    let server = quiet_server(|config| config.handshake_timeout = timeout);
    // The header of a record, that of a ClientHello, and its first fields (RFC 8446, sections 5.1 and 4.1.2).
    const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on";
    let start = Instant::now();
    let starts = [&HELLO[..0], &HELLO[..1], &HELLO[..5], HELLO];
    let silent = starts.map(|hello| {
        let mut socket = TcpStream::connect(server.tls_address()).unwrap();
        socket.write_all(hello).unwrap();
        socket
    });
    let mut dripping = TcpStream::connect(server.tls_address()).unwrap();
    dripping
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    for byte in HELLO.iter().chain(std::iter::repeat(&0)) {
        assert!(start.elapsed() < PATIENCE, "each byte bought time");
        let sent = dripping.write_all(&[*byte]);
        match dripping.read(&mut [0; 100]) {
            Ok(0) => break,
            Ok(count) => panic!("{count} bytes came"),
            Err(error) if is_timeout(&error) => {}
            Err(_) => break,
        }
        if sent.is_err() {
            break;
        }
    }
    for socket in silent {
        expect_silent_close(socket);
    }
    assert!(start.elapsed() >= timeout);
}

#[test]
fn who_does_not_log_in_in_time_is_told_and_cut_off() {
    let timeout = Duration::from_millis(3000);
    let server = quiet_server(|config| config.login_timeout = timeout);
    let start = Instant::now();
    let names = ["Anna", "Bobby", "Carol", "Doris", "Edith"];
    let mut users: Vec<Client> = names
        .iter()
        .zip(Way::ALL)
        .map(|(name, way)| server.guest_as(way, name))
        .collect();
    // A client that sends nothing is told as if it did not frame by length.
    let mut silent = [server.connect(), server.connect_as(Way::Tls)];
    let mut talking = Way::ALL.map(|way| {
        let mut client = server.connect_as(way);
        client.send(&json!({"Command": "01", "Name": "x"}));
        client.expect_refusal("11");
        client.send(&json!({"Command": "14"}));
        client
    });
    let mut dripping = Way::ALL.map(|way| (way, server.connect_as(way)));
    for (way, client) in &mut dripping {
        match way {
            Way::PlainPrefixed | Way::TlsPrefixed => client.send_bytes(&[0, 0, 4, 0]),
            Way::Browser => client.send_bytes(&[0x81, 0x80 | 126, 4, 0, 0, 0, 0, 0]),
            Way::Plain | Way::Tls => {}
        }
    }
    // White space drips into a frame, or between frames.
    let mut waiting: Vec<&mut Client> = dripping.iter_mut().map(|(_, client)| client).collect();
    while !waiting.is_empty() {
        assert!(start.elapsed() < PATIENCE, "each byte bought time");
        thread::sleep(Duration::from_millis(20));
        waiting.retain_mut(|client| {
            let sent = client.try_send_bytes(b" ");
            let (frames, has_ended) = client.take_available();
            assert!(frames.len() <= 1);
            if let Some(frame) = frames.first() {
                let notice: Value = serde_json::from_slice(frame).unwrap();
                assert_eq!(notice["Command"], "10");
                return false;
            }
            assert!(sent.is_ok() && !has_ended, "cut off without a word");
            true
        });
    }
    for client in silent.iter_mut().chain(&mut talking) {
        client.expect_notice();
        client.expect_end();
    }
    assert!(start.elapsed() >= timeout);
    for (index, user) in users.iter_mut().enumerate() {
        for name in &names[index + 1..] {
            user.expect(came(name, true));
        }
        user.expect_nothing();
    }
}

#[test]
fn a_frame_may_have_4_kib_before_login_and_max_frame_after_it() {
    let server = quiet_server(|config| {
        config.max_frame = 10_000;
        config.byte_rate = 0;
    });
    let mut witness = server.guest("Witness");
    for way in Way::ALL {
        let mut client = server.connect_as(way);
        let login = json!({"Command": "01", "Name": "Anna"});
        client.send_text(&padded(login.clone(), 4096));
        client.expect_login();
        witness.expect(came("Anna", true));
        client.send_text(&padded(
            json!({"Command": "05", "Message": "all of it"}),
            10_000,
        ));
        client.expect(said("Anna", "all of it"));
        witness.expect(said("Anna", "all of it"));
        client.send_text(&padded(
            json!({"Command": "05", "Message": "too much"}),
            10_001,
        ));
        let why = client.expect_notice();
        assert!(why.contains("10000"), "it names the limit: {why}");
        client.expect_end();
        witness.expect(left("Anna"));

        let mut client = server.connect_as(way);
        client.send_text(&padded(login, 4097));
        let why = client.expect_notice();
        assert!(why.contains("4096"), "it names the limit: {why}");
        client.expect_end();
    }
    witness.expect_nothing();
}

#[test]
fn a_frame_is_refused_before_it_has_come_whole() {
    let server = quiet_server(|_| {});
    for way in Way::ALL {
        for (is_logged_in, limit) in [(false, 4 << 10), (true, 64 << 10)] {
            let mut client = server.connect_as(way);
            if is_logged_in {
                client.log_in("Anna");
            }
            let mut start = format!("{{\"Pad\":\"{}", "x".repeat(limit)).into_bytes();
            if !way.is_bare() {
                // What tells the length is enough.
                let whole = way.frame(&" ".repeat(limit + 1));
                start = whole[..whole.len() - limit - 1].to_vec();
            }
            client.send_bytes(&start);
            client.expect_notice();
            client.expect_end();
        }
    }
}

#[test]
fn commands_past_the_rate_are_carried_out_later_and_none_is_lost() {
    let server = quiet_server(|config| (config.rate, config.burst) = (100, 10));
    for way in [Way::Plain, Way::TlsPrefixed] {
        let mut anna = server.guest_as(way, "Anna");
        let start = Instant::now();
        for number in 0..60 {
            anna.say(&number.to_string());
        }
        for number in 0..60 {
            anna.expect(said("Anna", &number.to_string()));
        }
        assert!(
            start.elapsed() >= Duration::from_millis(490),
            "{way:?}: {:?}",
            start.elapsed()
        );
        anna.log_out();
    }
}

#[test]
fn the_rate_of_one_holds_up_nobody_else() {
    let server = quiet_server(|config| (config.rate, config.burst) = (20, 20));
    let mut eager = server.guest_as(Way::Tls, "Eager");
    for number in 0..100 {
        eager.say(&number.to_string());
    }
    let mut calm = server.guest("Calm");
    calm.say("hi");
    let mut heard = 0;
    while calm.receive() != said("Calm", "hi") {
        heard += 1;
    }
    assert!(
        heard < 80,
        "the calm one had to wait for {heard} of the eager one's messages"
    );
}

#[test]
fn bytes_past_the_byte_rate_are_read_later_and_none_is_lost() {
    let server = quiet_server(|config| {
        config.rate = 0;
        (config.byte_rate, config.byte_burst) = (128 << 10, 16 << 10);
    });
    for way in [Way::PlainPrefixed, Way::Tls] {
        let mut anna = server.guest_as(way, "Anna");
        let start = Instant::now();
        let text = filler(1);
        for number in 0..192 {
            anna.say(&format!("{number} {text}"));
        }
        for number in 0..192 {
            anna.expect(said("Anna", &format!("{number} {text}")));
        }
        // 16 KiB are free, and what comes with the last read, at most 64 KiB, is carried out before the wait.
        assert!(
            start.elapsed() >= Duration::from_millis(860),
            "{way:?}: {:?}",
            start.elapsed()
        );
        anna.log_out();
    }
}

#[test]
fn a_rate_of_zero_is_no_limit() {
    let server = quiet_server(|config| (config.rate, config.byte_rate) = (0, 0));
    let mut anna = server.guest("Anna");
    let text = filler(1);
    let start = Instant::now();
    // At the default rates these would take more than half a minute.
    for round in 0..25 {
        for number in 0..100 {
            anna.say(&format!("{round} {number} {text}"));
        }
        for number in 0..100 {
            anna.expect(said("Anna", &format!("{round} {number} {text}")));
        }
    }
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn one_connection_registers_no_more_than_max_registrations() {
    let server = quiet_server(|config| config.max_registrations = 2);
    let register = |name: &str| json!({"Command": "02", "Name": name, "Password": "secret1"});
    let mut anna = server.connect();
    for name in ["Anna", "Bobby"] {
        // Only accounts count, not attempts.
        anna.send(&register("x"));
        anna.expect_refusal("12");
        anna.register(name, "secret1");
    }
    anna.send(&register("Carol"));
    let why = anna.expect_refusal("12");
    assert!(why.contains('2'), "it names the limit: {why}");
    anna.log_in("Carol");
    anna.send(&register("Carol"));
    anna.expect_refusal("12");
    let mut other = server.connect_as(Way::TlsPrefixed);
    other.register("Doris", "secret1");
    anna.expect_nothing();
}

#[test]
fn max_registrations_of_zero_is_no_limit() {
    let server = quiet_server(|config| config.max_registrations = 0);
    let mut anna = server.connect();
    for index in 0..6 {
        anna.register(&format!("Anna{index}"), "secret1");
    }
}

#[test]
fn each_wrong_password_is_answered_later_and_the_last_closes() {
    let server = quiet_server(|config| config.max_login_failures = 3);
    let guess = |way: Way| {
        let mut client = server.connect_as(way);
        let times = [(); 3].map(|()| {
            // What is wrong with a login otherwise is not a wrong password.
            for login in [
                json!({"Command": "01", "Name": "Anna", "Password": "no letters?"}),
                json!({"Command": "01", "Name": "x", "Password": "secret1"}),
            ] {
                client.send(&login);
                client.expect_refusal("11");
            }
            let start = Instant::now();
            client.send(&json!({"Command": "01", "Name": "Anna", "Password": "secret1"}));
            client.expect_refusal("11");
            start.elapsed()
        });
        client.expect_notice();
        client.expect_end();
        times
    };
    // A busy machine makes any of them take longer, but hardly all those at the same place.
    let times = thread::scope(|scope| {
        Way::ALL
            .map(|way| scope.spawn(move || guess(way)))
            .map(|thread| thread.join().unwrap())
    });
    let shortest = [0, 1, 2].map(|index| times.iter().map(|times| times[index]).min().unwrap());
    assert!(
        shortest[0] < shortest[1] && shortest[1] < shortest[2],
        "{times:?}"
    );
}

#[test]
fn however_many_guess_passwords_the_chat_goes_on() {
    let server = quiet_server(|_| {});
    server.connect().register("Victim", "secret1");
    let mut anna = server.guest("Anna");
    let mut bobby = server.guest_as(Way::Tls, "Bobby");
    anna.expect(came("Bobby", true));
    let mut guessers: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    for guesser in &mut guessers {
        guesser.send(&json!({"Command": "01", "Name": "Victim", "Password": "secret2"}));
    }
    for number in 0..10 {
        let text = number.to_string();
        anna.say(&text);
        anna.expect(said("Anna", &text));
        bobby.expect(said("Anna", &text));
        bobby.write_to("Anna", &text);
        anna.expect(wrote("Bobby", &text));
        bobby.expect(delivered("Anna"));
    }
    let answered = guessers
        .iter_mut()
        .filter_map(|guesser| guesser.take_available().0.pop())
        .count();
    assert!(
        answered < 40,
        "the chat waited until all guesses were answered"
    );
    for mut guesser in guessers.into_iter().take(3) {
        // Its answer may have been taken already; either way the connection goes on.
        guesser.send(&json!({"Command": "03"}));
        guesser.receive_all();
    }
}

/// Lets `speaker` say messages of 8 KiB until `enough` says so, having seen all that `speaker` received but
/// heartbeats. Returns that, up to the last message said.
fn talk_until(speaker: &mut Client, mut enough: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
    let text = filler(8);
    let mut heard = Vec::new();
    for number in 0..4000 {
        let text = format!("{number} {text}");
        speaker.say(&text);
        let own = said("Speaker", &text);
        loop {
            heard.push(receive_news(speaker));
            if heard.last() == Some(&own) {
                break;
            }
        }
        if enough(&heard) {
            return heard;
        }
    }
    panic!("32 MiB were not enough");
}

/// Checks that a transcript has all that `talk_until` said, in order.
fn expect_all_said(heard: &[Value]) {
    let numbers = heard
        .iter()
        .filter(|message| message["Speaker"] == "Speaker")
        .map(|message| {
            message["Message"]
                .as_str()
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
        });
    for (index, number) in numbers.enumerate() {
        assert_eq!(number, index.to_string());
    }
}

#[test]
fn who_lets_more_wait_than_max_backlog_is_cut_off_and_the_others_miss_nothing() {
    let server = quiet_server(|config| {
        (config.max_frame, config.max_backlog) = (16 << 10, 64 << 10);
        (config.rate, config.byte_rate) = (0, 0);
    });
    let mut speaker = server.guest("Speaker");
    let mut witness = server.guest_as(Way::Tls, "Witness");
    speaker.expect(came("Witness", true));
    for way in Way::ALL {
        let mut sloth = connect_narrow(&server, way);
        sloth.log_in("Sloth");
        speaker.expect(came("Sloth", true));
        witness.expect(came("Sloth", true));
        // The witness reads all the time: what it doesn't read could be too much as well.
        let mut witnessed = 0;
        let heard = talk_until(&mut speaker, |heard| {
            for message in &heard[witnessed..] {
                expect_same(&receive_news(&mut witness), message);
            }
            witnessed = heard.len();
            heard.contains(&left("Sloth"))
        });
        expect_all_said(&heard);
        let leaves = heard.iter().filter(|message| **message == left("Sloth"));
        assert_eq!(leaves.count(), 1, "{way:?}");
        // What the sloth did get is what the others got, as far as it goes.
        let late: Vec<Value> = sloth.receive_all();
        let late: Vec<&Value> = late
            .iter()
            .filter(|message| message["Command"] == "32")
            .collect();
        assert!(late.len() < heard.len(), "{way:?}");
        assert!(
            late.iter().zip(&heard).all(|(late, heard)| *late == heard),
            "{way:?}"
        );
    }
    witness.expect_nothing();
}

#[test]
fn who_acknowledges_nothing_is_cut_off_as_dead_below_the_backlog() {
    let server = TestServer::with(|config| {
        config.heartbeat = Duration::from_secs(1);
        config.max_backlog = 256 << 20;
        (config.rate, config.byte_rate) = (0, 0);
    });
    let mut speaker = server.guest("Speaker");
    // What waits is in the kernel alone, or in the server's queue too.
    let cases = [64, 1000];
    for messages in &cases[usize::from(!KERNEL_FINDS_DEAD_PEERS)..] {
        for way in [Way::Plain, Way::TlsPrefixed] {
            let mut sloth = connect_narrow(&server, way);
            sloth.log_in("Sloth");
            assert_eq!(receive_news(&mut speaker), came("Sloth", true));
            let heard = talk_until(&mut speaker, |heard| heard.len() >= *messages);
            expect_all_said(&heard);
            let mut leaves = heard
                .iter()
                .filter(|message| **message == left("Sloth"))
                .count();
            if leaves == 0 {
                assert_eq!(receive_news(&mut speaker), left("Sloth"), "{way:?}");
                leaves = 1;
            }
            assert_eq!(leaves, 1, "{way:?}");
            assert!(sloth.receive_all().len() < heard.len(), "{way:?}");
        }
    }
}

#[test]
fn who_has_little_to_read_may_take_any_time() {
    let server = TestServer::with(|config| config.heartbeat = Duration::from_millis(500));
    let mut sleepers = Way::ALL.map(|way| connect_narrow(&server, way));
    for (index, sleeper) in sleepers.iter_mut().enumerate() {
        sleeper.log_in(&format!("Sleeper{index}"));
    }
    let mut witness = server.guest("Witness");
    for _ in 0..4 {
        witness.expect(json!({"Command": "14"}));
    }
    for sleeper in &mut sleepers {
        let mut heartbeats = 0;
        while heartbeats < 4 {
            let message = sleeper.receive();
            if message["Command"] == "14" {
                heartbeats += 1;
            } else {
                assert_eq!(message["Command"], "30", "{message}");
            }
        }
    }
}

#[test]
fn the_heartbeat_comes_to_everybody_logged_in_and_to_nobody_else() {
    let server = TestServer::with(|config| config.heartbeat = Duration::from_millis(300));
    let mut strangers = Way::ALL.map(|way| server.connect_as(way));
    for stranger in &mut strangers {
        stranger.send(&json!({"Command": "01", "Name": "x"}));
        stranger.expect_refusal("11");
    }
    let names = ["Anna", "Bobby", "Carol", "Doris", "Edith"];
    let mut users: Vec<Client> = names
        .iter()
        .zip(Way::ALL)
        .map(|(name, way)| server.guest_as(way, name))
        .collect();
    for user in &mut users {
        let mut heartbeats = 0;
        while heartbeats < 4 {
            let frame = user.next_frame().expect("a heartbeat");
            if frame == br#"{"Command":"14"}"# {
                heartbeats += 1;
                // An answer is thanked by silence.
                user.send(&json!({"Command": "14"}));
            } else {
                let message: Value = serde_json::from_slice(&frame).unwrap();
                assert_eq!(message["Command"], "30", "{message}");
            }
        }
    }
    for stranger in &mut strangers {
        stranger.expect_nothing();
        stranger.log_in("Late");
        stranger.send(&json!({"Command": "03"}));
        stranger.receive_all();
    }
}
