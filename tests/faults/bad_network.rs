//! A bad network: connections break at every step, or stay and say nothing, and it costs nobody else.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslVerifyMode};
use serde_json::{Value, json};
use socket2::SockRef;

use crate::harness::{Client, PATIENCE, TestServer, Way, came, delivered, left, said, wrote};
use crate::tools::{connect_narrow, expect_no_panics, expect_same, quiet_server, watch_for_panics};

/// Whether others hear of a client whose connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// It never logged in.
    Never,
    /// It was about to log in.
    Perhaps,
    /// It was logged in.
    Surely,
}

/// What a client called by some name does before its connection breaks.
type Act = fn(&mut Client, Way, &str);

/// Steps of a conversation.
const STEPS: [(&str, Heard, Act); 12] = [
    ("connected", Heard::Never, |_, _, _| {}),
    ("inside a prefix", Heard::Never, |client, way, name| {
        client.send_bytes(&login(way, name)[..2]);
    }),
    ("inside a frame", Heard::Never, |client, way, name| {
        client.send_bytes(&login(way, name)[..20]);
    }),
    ("refused", Heard::Never, |client, _, _| {
        client.send(&json!({"Command": "01", "Name": "x"}));
        client.expect_refusal("11");
    }),
    ("not answered yet", Heard::Perhaps, |client, way, name| {
        client.send_bytes(&login(way, name));
    }),
    ("logged in", Heard::Surely, |client, _, name| {
        client.log_in(name);
    }),
    (
        "logged in, inside a prefix",
        Heard::Surely,
        |client, way, name| {
            client.log_in(name);
            client.send_bytes(&login(way, name)[..2]);
        },
    ),
    (
        "logged in, inside a frame",
        Heard::Surely,
        |client, way, name| {
            client.log_in(name);
            client.send_bytes(&login(way, name)[..20]);
        },
    ),
    ("talking", Heard::Surely, |client, _, name| {
        client.log_in(name);
        for number in 0..20 {
            client.say(&number.to_string());
            client.write_to("Witness", &number.to_string());
            client.write_to(name, &number.to_string());
        }
    }),
    (
        "sending what can't be understood",
        Heard::Surely,
        |client, _, name| {
            client.log_in(name);
            client.send_bytes(b"?");
        },
    ),
    ("logged out", Heard::Surely, |client, _, name| {
        client.log_in(name);
        client.send(&json!({"Command": "03"}));
    }),
    ("half closed", Heard::Surely, |client, _, name| {
        client.log_in(name);
        client.half_close();
    }),
];

fn login(way: Way, name: &str) -> Vec<u8> {
    way.frame(&json!({"Command": "01", "Name": name}).to_string())
}

/// Logs in again and again until nobody else is online but `Witness`.
fn wait_for_an_empty_room(server: &TestServer) {
    let start = Instant::now();
    loop {
        let mut visitor = server.connect();
        let roster = visitor.log_in("Visitor");
        visitor.send(&json!({"Command": "03"}));
        // Ghosts may still come and go.
        visitor.receive_all();
        if roster == [("Visitor".to_owned(), true), ("Witness".to_owned(), true)] {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "ghosts: {roster:?}");
    }
}

#[test]
fn a_connection_may_break_at_every_step() {
    watch_for_panics();
    let server = quiet_server(|_| {});
    let mut witness = server.guest("Witness");
    let mut heard = Vec::new();
    let mut ghosts = HashMap::new();
    for way in Way::ALL {
        for (step, expected, act) in STEPS {
            for with_reset in [true, false] {
                let name = format!("Ghost{}", ghosts.len());
                let mut client = server.connect_as(way);
                act(&mut client, way, &name);
                match with_reset {
                    true => client.reset(),
                    false => drop(client),
                }
                while expected == Heard::Surely && heard.last() != Some(&left(&name)) {
                    heard.push(witness.receive());
                }
                ghosts.insert(name, (way, step, expected));
            }
        }
    }
    wait_for_an_empty_room(&server);
    witness.say("that is all");
    while heard.last() != Some(&said("Witness", "that is all")) {
        heard.push(witness.receive());
    }

    // One that was about to log in may have come only now, and goes as well.
    for name in ghosts.keys() {
        if heard.contains(&came(name, true)) {
            while !heard.contains(&left(name)) {
                heard.push(witness.receive());
            }
        }
    }

    for (name, (way, step, expected)) in ghosts {
        let positions = |wanted: Value| -> Vec<usize> {
            let messages = heard.iter().enumerate();
            messages
                .filter_map(|(position, message)| (*message == wanted).then_some(position))
                .collect()
        };
        let (comes, leaves) = (positions(came(&name, true)), positions(left(&name)));
        let is_good = match (expected, &comes[..], &leaves[..]) {
            (Heard::Never | Heard::Perhaps, [], []) => true,
            (Heard::Perhaps | Heard::Surely, [came], [left]) => came < left,
            _ => false,
        };
        assert!(
            is_good,
            "{way:?}, {step}: 30 at {comes:?}, 31 at {leaves:?}"
        );
        let mut of_ghost = heard.iter().enumerate().filter(|(_, message)| {
            message["Speaker"] == name.as_str() || message["FriendName"] == name.as_str()
        });
        assert!(
            of_ghost.all(|(position, _)| comes[0] < position && position < leaves[0]),
            "{way:?}, {step}: it spoke when it was not there"
        );
    }
    expect_no_panics();
}

#[test]
fn a_connection_may_break_inside_the_tls_handshake() {
    watch_for_panics();
    let server = quiet_server(|_| {});
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    let connector = connector.build();
    for with_reset in [true, false] {
        // Some have sent a part of a ClientHello, others all of it, and read nothing.
        for _ in 0..10 {
            let mut socket = TcpStream::connect(server.tls_address()).unwrap();
            socket
                .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
                .unwrap();
            if with_reset {
                SockRef::from(&socket)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }

            let socket = TcpStream::connect(server.tls_address()).unwrap();
            socket.set_nonblocking(true).unwrap();
            let break_off = |socket: &TcpStream| {
                if with_reset {
                    let socket = SockRef::from(socket);
                    socket.set_linger(Some(Duration::ZERO)).unwrap();
                }
            };
            match connector.connect("localhost", socket) {
                Err(HandshakeError::WouldBlock(halfway)) => break_off(halfway.get_ref()),
                // On a busy machine the server may have answered already.
                Ok(stream) => break_off(stream.get_ref()),
                Err(error) => panic!("{error}"),
            }
        }
        let mut anna = server.guest_as(Way::Tls, "Anna");
        anna.expect_nothing();
        anna.log_out();
    }
    expect_no_panics();
}

#[test]
fn a_connection_may_break_while_it_is_flooded() {
    let server = quiet_server(|config| {
        (config.rate, config.byte_rate) = (0, 0);
        config.max_backlog = 256 << 20;
    });
    let mut witness = server.guest("Witness");
    let text = "x".repeat(8 << 10);
    for way in Way::ALL {
        let mut ghost = connect_narrow(&server, way);
        ghost.log_in("Ghost");
        witness.expect(came("Ghost", true));
        let mut ghost = Some(ghost);
        let mut leaves = 0;
        for round in 0..16 {
            for number in 0..40 {
                witness.say(&format!("{number} {text}"));
            }
            if round == 12 {
                ghost.take().unwrap().reset();
            }
            for number in 0..40 {
                let mut message = witness.receive();
                if message == left("Ghost") {
                    leaves += 1;
                    message = witness.receive();
                }
                expect_same(&message, &said("Witness", &format!("{number} {text}")));
            }
        }
        if leaves == 0 {
            witness.expect(left("Ghost"));
            leaves = 1;
        }
        assert_eq!(leaves, 1, "{way:?}");
        witness.expect_nothing();
    }
}

/// Two users log in, one over TLS, and talk.
fn expect_good_service(server: &TestServer) {
    let mut anna = server.guest("Anna");
    let mut bobby = server.guest_as(Way::TlsPrefixed, "Bobby");
    anna.expect(came("Bobby", true));
    for number in 0..50 {
        let text = number.to_string();
        anna.say(&text);
        anna.expect(said("Anna", &text));
        bobby.expect(said("Anna", &text));
        bobby.write_to("Anna", &text);
        anna.expect(wrote("Bobby", &text));
        bobby.expect(delivered("Anna"));
    }
    bobby.log_out();
    anna.expect(left("Bobby"));
    anna.log_out();
}

#[test]
fn a_tls_client_that_stops_in_the_handshake_costs_only_itself() {
    let server = quiet_server(|_| {});
    const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let silent: Vec<TcpStream> = (0..40)
        .map(|index| {
            let mut socket = TcpStream::connect(server.tls_address()).unwrap();
            socket.write_all(&HELLO[..index % HELLO.len()]).unwrap();
            socket
        })
        .collect();
    expect_good_service(&server);
    for mut socket in silent {
        socket.set_nonblocking(true).unwrap();
        let error = socket.read(&mut [0]).expect_err("still waited for");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[cfg(unix)]
#[test]
#[allow(clippy::print_stderr, reason = "it says why it checks nothing")]
fn hundreds_that_never_log_in_cost_only_themselves() {
    // Both ends of each connection are in this process.
    if rlimit::increase_nofile_limit(6000).unwrap() < 3000 {
        return eprintln!("skipped: this process may not open enough files");
    }
    let timeout = Duration::from_secs(4);
    let server = quiet_server(|config| {
        (config.login_timeout, config.handshake_timeout) = (timeout, timeout);
    });
    let mut silent: Vec<Client> = (0..400).map(|_| server.connect()).collect();
    let half_open: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(server.tls_address()).unwrap())
        .collect();
    let start = Instant::now();
    expect_good_service(&server);
    // Unless the machine is very busy, those are still there whom it did not cost anything.
    if start.elapsed() < timeout / 2 {
        assert!(!silent[399].take_available().1);
    }
    for client in &mut silent {
        client.expect_notice();
        client.expect_end();
    }
    for mut socket in half_open {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"");
    }
    expect_good_service(&server);
}
