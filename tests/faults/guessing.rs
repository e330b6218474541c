//! Passwords are guessed from many connections at once: the chat of the others goes on.

use std::net::Shutdown;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, TestServer, Way, came, delivered, said, wrote};
use crate::tools::{expect_no_panics, quiet_server, take_the_machine, watch_for_panics};

/// What both are told who have the wrong password and who have no account.
const WRONG_PASSWORD: &str =
    "no such name and password; register first, or leave the password empty";

const GUESSERS: usize = 60;

/// Tries that one connection has.
const TRIES: usize = 5;

/// The shortest time until a first wrong password is answered. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Exchanges that are timed before the guessing begins, and at least while it goes on.
const EXCHANGES: usize = 200;

/// How long messages may take at any rate, however short they took before: this is about getting through at all.
const BEARABLE: Duration = Duration::from_secs(1);

/// What became of the guesses.
#[derive(Debug, Default)]
struct Guesses {
    wrong: AtomicUsize,
    busy: AtomicUsize,
    /// Those that were not the first on their connection.
    later: AtomicUsize,
}

/// Whether the reply says that the server is too busy to look.
fn is_busy(reply: &Value) -> bool {
    let why = reply["Message"].as_str().unwrap_or_default();
    why.contains("many passwords right now") && why.contains("again")
}

/// Guesses through one connection, as long as the server lets it. `None` means that the test is over.
fn guess(client: &mut Client, guesses: &Guesses) -> Option<()> {
    let login = Way::Plain.frame(r#"{"Command":"01","Name":"Victim","Password":"guess"}"#);
    let mut failures = 0;
    while failures < TRIES {
        let start = Instant::now();
        client.try_send_bytes(&login).ok()?;
        let reply: Value = serde_json::from_slice(&client.next_frame()?).expect("JSON");
        assert_eq!(reply["Command"], "11", "{reply}");
        assert_eq!(reply["Flag"], 0, "{reply}");
        if is_busy(&reply) {
            guesses.busy.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        assert_eq!(reply["Message"], WRONG_PASSWORD);
        let least = FIRST_PAUSE * (1 << failures);
        let took = start.elapsed();
        assert!(took >= least, "answer {failures} came after {took:?}");
        guesses.wrong.fetch_add(1, Ordering::Relaxed);
        guesses
            .later
            .fetch_add(usize::from(failures > 0), Ordering::Relaxed);
        failures += 1;
    }
    let notice: Value = serde_json::from_slice(&client.next_frame()?).expect("JSON");
    assert_eq!(notice["Command"], "10", "{notice}");
    Some(())
}

/// Checks the next message that does not tell that somebody came or left.
#[track_caller]
fn expect_among_notices(client: &mut Client, expected: &Value) {
    loop {
        let message = client.receive();
        if message["Command"] != "30" && message["Command"] != "31" {
            return assert_eq!(message, *expected);
        }
    }
}

/// Anna speaks and Bobby answers her privately, until told that it is enough. Returns how long each message took.
fn exchange(
    anna: &mut Client,
    bobby: &mut Client,
    is_enough: impl Fn(usize) -> bool,
) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0.. {
        if is_enough(number) {
            break;
        }
        let text = number.to_string();
        let start = Instant::now();
        anna.say(&text);
        expect_among_notices(bobby, &said("Anna", &text));
        times.push(start.elapsed());
        expect_among_notices(anna, &said("Anna", &text));

        let start = Instant::now();
        bobby.write_to("Anna", &text);
        expect_among_notices(anna, &wrote("Bobby", &text));
        times.push(start.elapsed());
        expect_among_notices(bobby, &delivered("Anna"));
        // People need a moment too.
        thread::sleep(Duration::from_millis(5));
    }
    times.sort();
    times
}

/// The time that all but one in a hundred kept.
fn p99(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() * 99 / 100]
}

/// Tries the right password, and again when the server is too busy to look and `goes_on` says so. Returns whether
/// it got in, and how often the server was too busy.
fn log_in(server: &TestServer, way: Way, name: &str, goes_on: impl Fn() -> bool) -> (bool, usize) {
    let mut client = server.connect_as(way);
    let mut refusals = 0;
    loop {
        client.send(&json!({"Command": "01", "Name": name, "Password": "secret1"}));
        let reply = client.expect_command("11");
        if reply["Flag"] == 1 {
            return (true, refusals);
        }
        assert!(is_busy(&reply), "{reply}");
        refusals += 1;
        if !goes_on() {
            return (false, refusals);
        }
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "figures")]
fn many_guess_passwords_and_neither_the_chat_nor_an_honest_login_stops() {
    let _machine = take_the_machine();
    watch_for_panics();
    let server = quiet_server(|config| config.rate = 0);
    let mut registrar = server.connect();
    for name in ["Victim", "Carol"] {
        registrar.register(name, "secret1");
    }
    let mut anna = server.guest("Anna");
    let mut bobby = server.guest_as(Way::Tls, "Bobby");
    anna.expect(came("Bobby", true));
    let before = exchange(&mut anna, &mut bobby, |number| number >= EXCHANGES);

    let guesses = Guesses::default();
    let is_over = AtomicBool::new(false);
    // Through these the guessers are stopped in the end.
    let sockets = Mutex::new(Vec::new());
    let is_enough = || {
        let (wrong, later) = (&guesses.wrong, &guesses.later);
        wrong.load(Ordering::Relaxed) >= GUESSERS / 2 && later.load(Ordering::Relaxed) > 0
    };
    let (during, honest) = thread::scope(|scope| {
        for _ in 0..GUESSERS {
            scope.spawn(|| {
                loop {
                    let mut client = server.connect();
                    let socket = client.socket().try_clone().unwrap();
                    sockets.lock().unwrap().push(socket);
                    if is_over.load(Ordering::SeqCst) || guess(&mut client, &guesses).is_none() {
                        break;
                    }
                }
            });
        }
        let honest = scope.spawn(|| {
            let start = Instant::now();
            let outcome = log_in(&server, Way::TlsPrefixed, "Carol", || !is_enough());
            (outcome, start.elapsed())
        });
        let start = Instant::now();
        let during = exchange(&mut anna, &mut bobby, |number| {
            assert!(start.elapsed() < 3 * PATIENCE, "{guesses:?}");
            number >= EXCHANGES && is_enough() && honest.is_finished()
        });
        is_over.store(true, Ordering::SeqCst);
        for socket in sockets.lock().unwrap().iter() {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        (during, honest.join().unwrap())
    });
    // As soon as the guessing is over, the right password gets in.
    assert!(log_in(&server, Way::Plain, "Victim", || true).0);
    let (usual, guessed) = (p99(&before), p99(&during));
    let middle = |times: &[Duration]| times[times.len() / 2];
    eprintln!(
        "median {:?}, p99 {usual:?} before; median {:?}, p99 {guessed:?}, most {:?} during {guesses:?}; \
         (got in, times busy), after: {honest:?}",
        middle(&before),
        middle(&during),
        during[during.len() - 1],
    );
    let bound = BEARABLE.max(10 * usual);
    assert!(guessed <= bound, "p99 was {usual:?} and is {guessed:?}");
    expect_no_panics();
}

#[test]
fn a_class_that_logs_in_with_passwords_within_a_second_all_gets_in() {
    const CLASS: usize = 100;
    // One account is registered, and its hash serves for all: registering takes as long as logging in.
    let server = TestServer::calm();
    server.connect().register("Pupil0", "secret1");
    let folder = server.stop();
    let path = folder.path().join("data/accounts.jsonl");
    let line = std::fs::read_to_string(&path).unwrap();
    let lines: String = (0..CLASS)
        .map(|number| line.replace("Pupil0", &format!("Pupil{number}")))
        .collect();
    std::fs::write(&path, lines).unwrap();

    let server = TestServer::in_folder(folder, |config| {
        config.heartbeat = Duration::from_secs(3600)
    });
    let mut class: Vec<Client> = (0..CLASS)
        .map(|number| server.connect_as(Way::ALL[number % Way::ALL.len()]))
        .collect();
    for (number, pupil) in class.iter_mut().enumerate() {
        let name = format!("Pupil{number}");
        pupil.send(&json!({"Command": "01", "Name": name, "Password": "secret1"}));
    }
    // On one processor this takes seconds, but all get their turn.
    let (mut refused, deadline) = (Vec::new(), Instant::now() + 3 * PATIENCE);
    for pupil in &mut class {
        pupil
            .socket()
            .set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))
            .unwrap();
        let reply = pupil.expect_command("11");
        if reply["Flag"] != 1 {
            refused.push(reply);
        }
    }
    assert!(
        refused.is_empty(),
        "{} refused: {}",
        refused.len(),
        refused[0]
    );
}
