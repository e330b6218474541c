//! The end of a server that has a whole school on it.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, Way};
use crate::process::Chatd;
use crate::signals::{END, expect_goodbye, flood, patient_chatd, rest, stalled};

/// The beginning of a TLS hello: a handshake record of 512 bytes.
const HALF_A_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];

/// How many there are in the crowd.
const CROWD: usize = 100;

/// How many of these talk.
const TALKERS: usize = 4;

/// Talks without a break until the server has gone, in the plain client's own framing.
fn talk(client: &Client) -> thread::JoinHandle<()> {
    let mut socket = client.socket().try_clone().unwrap();
    let way = client.way();
    thread::spawn(move || {
        for number in 0.. {
            let frame = json!({"Command": "05", "Message": number.to_string()});
            if socket.write_all(&way.frame(&frame.to_string())).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(25));
        }
    })
}

/// Checks that what each talker said came without a gap, as far as it came.
#[track_caller]
fn expect_no_gap(messages: &[Value]) {
    for talker in 0..TALKERS {
        let name = format!("Reader{talker}");
        let said = messages
            .iter()
            .filter(|message| message["Speaker"] == *name);
        let numbers: Vec<u64> = said
            .map(|message| message["Message"].as_str().unwrap().parse().unwrap())
            .collect();
        for pair in numbers.windows(2) {
            assert_eq!(pair[0] + 1, pair[1], "{name} lost something");
        }
    }
}

#[test]
fn a_crowd_hears_the_goodbye_whatever_some_of_it_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = patient_chatd(folder.path());
    // Those who don't read, each with more waiting for it than its socket takes.
    let stalled: Vec<Client> = (0..8)
        .map(|number| {
            stalled(
                &server,
                Way::ALL[number % Way::ALL.len()],
                &format!("Stalled{number}"),
            )
        })
        .collect();
    let mut anna = server.guest("Anna");
    flood(&mut anna);
    // Those who have said nothing yet, or half of something.
    let mut strangers: Vec<Client> = (0..8)
        .map(|number| server.connect_as(Way::ALL[number % Way::ALL.len()]))
        .collect();
    for stranger in &mut strangers[4..] {
        let login = stranger
            .way()
            .frame(r#"{"Command":"01","Name":"Stranger"}"#);
        stranger.send_bytes(&login[..login.len() / 2]);
    }
    let handshakes: Vec<TcpStream> = (0..8)
        .map(|number| {
            let mut socket = TcpStream::connect(server.tls_address()).unwrap();
            socket.write_all(&HALF_A_HELLO[..number]).unwrap();
            socket
        })
        .collect();
    let there = stalled.len() + 1 + strangers.len() + handshakes.len();
    let mut readers: Vec<Client> = (there..CROWD)
        .enumerate()
        .map(|(number, _)| {
            // Half of them over TLS, but none of those who talk.
            let way = if number < TALKERS {
                [Way::Plain, Way::PlainPrefixed][number % 2]
            } else {
                Way::ALL[number % Way::ALL.len()]
            };
            let mut reader = server.connect_as(way);
            reader.log_in(&format!("Reader{number}"));
            reader
        })
        .collect();
    // Some are in the middle of a message.
    for reader in readers.iter_mut().rev().take(8) {
        let half = reader.way().frame(r#"{"Command":"05","Message":"x"}"#);
        reader.send_bytes(&half[..half.len() - 5]);
    }
    readers.push(anna);
    let talkers: Vec<_> = readers[..TALKERS].iter().map(talk).collect();
    let last = readers.last_mut().unwrap();
    while last.receive()["Command"] != "32" {}
    let reading: Vec<_> = readers
        .into_iter()
        .map(|mut reader| thread::spawn(move || rest(&mut reader)))
        .collect();

    let start = Instant::now();
    let Chatd { mut process, .. } = server;
    process.signal("TERM");
    let status = process.wait();
    let took = start.elapsed();
    let log = process.err.all();
    assert_eq!(status.code(), Some(0), "{status}\n{log}");
    assert!(took < END, "{took:?}\n{log}");
    assert!(!log.contains("internal error"), "{log}");
    for reader in reading {
        let messages = reader.join().unwrap();
        expect_goodbye(&messages);
        expect_no_gap(&messages);
    }
    for mut stranger in strangers {
        let heard = rest(&mut stranger);
        assert!(heard.is_empty(), "{heard:?}");
    }
    for talker in talkers {
        talker.join().unwrap();
    }
    eprintln!("{CROWD} clients, and the end after {took:?}");
    drop((stalled, handshakes));
}
