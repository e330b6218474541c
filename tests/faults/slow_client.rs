//! Slow clients: they wait, nobody else does, and receipts tell the truth about them.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, TestServer, Way, came, delivered, left, said, wrote};
use crate::tools::{connect_narrow, expect_same, quiet_server, receive_news, spelling};

/// No pace for anybody, and a backlog that nobody fills.
fn patient_server() -> TestServer {
    quiet_server(|config| {
        (config.rate, config.byte_rate) = (0, 0);
        config.max_backlog = 256 << 20;
    })
}

#[test]
fn those_who_do_not_read_hold_up_nobody_and_miss_nothing() {
    const TALKERS: [&str; 3] = ["Anna", "Bobby", "Carol"];
    const EACH: usize = 200;
    let server = patient_server();
    let mut sleepers = Way::ALL.map(|way| connect_narrow(&server, way));
    for (index, sleeper) in sleepers.iter_mut().enumerate() {
        sleeper.log_in(&format!("Sleeper{index}"));
    }
    let mut talkers: Vec<Client> = TALKERS
        .iter()
        .zip([Way::Plain, Way::Tls, Way::PlainPrefixed])
        .map(|(name, way)| server.guest_as(way, name))
        .collect();
    for (index, talker) in talkers.iter_mut().enumerate() {
        for name in &TALKERS[index + 1..] {
            talker.expect(came(name, true));
        }
    }

    let text = "x".repeat(10 << 10);
    let talk = |talker: &mut Client| -> Vec<Value> {
        let mut heard = Vec::new();
        for number in 0..EACH {
            talker.say(&format!("{number} {text}"));
            heard.push(talker.receive());
        }
        heard.extend((heard.len()..EACH * TALKERS.len()).map(|_| talker.receive()));
        heard
    };
    let heard: Vec<Vec<Value>> = thread::scope(|scope| {
        let talk = &talk;
        let threads: Vec<_> = talkers
            .iter_mut()
            .map(|talker| scope.spawn(move || talk(talker)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for name in TALKERS {
        let of_one = heard[0].iter().filter(|message| message["Speaker"] == name);
        for (number, message) in of_one.enumerate() {
            expect_same(message, &said(name, &format!("{number} {text}")));
        }
    }
    assert!(heard.iter().all(|of_one| *of_one == heard[0]), "one order");

    // That they don't read does not keep them from speaking.
    let mut heard = heard.into_iter().next().unwrap();
    for (index, sleeper) in sleepers.iter_mut().enumerate() {
        sleeper.say("zzz");
        heard.push(said(&format!("Sleeper{index}"), "zzz"));
        for talker in &mut talkers {
            talker.expect(heard.last().unwrap().clone());
        }
    }
    for (index, sleeper) in sleepers.iter_mut().enumerate() {
        for later in index + 1..Way::ALL.len() {
            sleeper.expect(came(&format!("Sleeper{later}"), true));
        }
        for name in TALKERS {
            sleeper.expect(came(name, true));
        }
        for message in &heard {
            expect_same(&sleeper.receive(), message);
        }
    }
}

#[test]
#[ignore = "with a small receive buffer, TCP_USER_TIMEOUT counts on while the peer acknowledges part by part"]
fn a_slow_reader_who_goes_on_reading_is_not_taken_for_dead() {
    let server = TestServer::with(|config| {
        config.heartbeat = Duration::from_secs(4);
        config.max_backlog = 256 << 20;
        (config.rate, config.byte_rate) = (0, 0);
    });
    let mut anna = server.guest("Anna");
    let mut slow = connect_narrow(&server, Way::Plain);
    slow.log_in("Slow");
    anna.expect(came("Slow", true));
    let text = "x".repeat(16 << 10);
    for number in 0..500 {
        anna.say(&format!("{number} {text}"));
        let expected = said("Anna", &format!("{number} {text}"));
        expect_same(&receive_news(&mut anna), &expected);
    }
    // 100 KB a second: the buffer is read empty, and filled again, more often than once a second.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let count = slow.socket().read(&mut [0; 2048]).unwrap_or(0);
        assert_ne!(count, 0, "cut off after {:?}", start.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
}

/// The name of the friend who does not read; it can be spelt in 4096 ways.
const FRIEND: &str = "slowlyreader";

/// What one user writes to a friend who does not read.
struct Letters {
    sender: Client,
    text: String,
    /// How many were sent. Each spells the friend's name differently, to be told by its receipt.
    sent: usize,
    /// The flags of the receipts that came.
    receipts: Vec<u64>,
}

impl Letters {
    /// Logs both in, and lets the sender write until many letters wait for the friend.
    fn pile_up(server: &TestServer, sender: Way, friend: Way) -> (Letters, Client) {
        let mut friend = connect_narrow(server, friend);
        friend.log_in(FRIEND);
        let mut letters = Letters {
            sender: server.guest_as(sender, "Sender"),
            text: "x".repeat(16 << 10),
            sent: 0,
            receipts: Vec::new(),
        };
        while letters.sent - letters.receipts.len() < 60 {
            for _ in 0..10 {
                letters.write();
            }
            // When this has come, which can't overtake the letters, the server has done all it can for now.
            letters.sender.write_to("Sender", "all sent");
            letters.read_receipts_until(|message| *message == wrote("Sender", "all sent"));
            letters.read_receipts_until(|message| *message == delivered("Sender"));
        }
        assert!(letters.receipts.iter().all(|flag| *flag == 1));
        (letters, friend)
    }

    fn write(&mut self) {
        let text = format!("{} {}", self.sent, self.text);
        self.sender.write_to(&spelling(FRIEND, self.sent), &text);
        self.sent += 1;
    }

    /// Checks that a message is the receipt for the letter whose turn it is.
    #[track_caller]
    fn take_receipt(&mut self, message: &Value) {
        assert_eq!(message["Command"], "14", "{message}");
        let shown = spelling(FRIEND, self.receipts.len());
        assert_eq!(message["FriendName"], shown, "receipts keep the order");
        let flag = message["Flag"].as_u64().expect("a flag");
        assert_eq!(message["Message"].is_string(), flag == 0, "{message}");
        self.receipts.push(flag);
    }

    #[track_caller]
    fn read_receipts_until(&mut self, is_the_end: impl Fn(&Value) -> bool) {
        loop {
            let message = self.sender.receive();
            if is_the_end(&message) {
                return;
            }
            self.take_receipt(&message);
        }
    }

    /// Reads all receipts that are still due, and one notice among them if there should be one. Returns the
    /// flags.
    #[track_caller]
    fn read_the_rest(&mut self, mut notice: Option<Value>) -> Vec<u64> {
        let so_far = self.receipts.len();
        while self.receipts.len() < self.sent || notice.is_some() {
            let message = self.sender.receive();
            if notice.as_ref() == Some(&message) {
                notice = None;
            } else {
                self.take_receipt(&message);
            }
        }
        self.receipts[so_far..].to_vec()
    }

    /// Checks that the friend gets every letter.
    #[track_caller]
    fn expect_all_at(&self, friend: &mut Client) {
        friend.expect(came("Sender", true));
        for number in 0..self.sent {
            let expected = wrote("Sender", &format!("{number} {}", self.text));
            expect_same(&friend.receive(), &expected);
        }
    }
}

#[test]
fn receipts_wait_until_a_slow_friend_reads_and_hold_up_no_others() {
    let server = patient_server();
    for way in Way::ALL {
        let mut quick = server.guest_as(Way::Tls, "Quick");
        let (mut letters, mut friend) = Letters::pile_up(&server, Way::Plain, way);
        letters.sender.write_to("Quick", "hello");
        letters.read_receipts_until(|message| *message == delivered("Quick"));
        assert!(
            letters.receipts.len() < letters.sent,
            "{way:?}: none waited"
        );
        quick.expect(came(FRIEND, true));
        quick.expect(came("Sender", true));
        quick.expect(wrote("Sender", "hello"));
        quick.log_out();

        letters.expect_all_at(&mut friend);
        let flags = letters.read_the_rest(Some(left("Quick")));
        assert!(flags.iter().all(|flag| *flag == 1));
        letters.sender.log_out();
        friend.expect(left("Quick"));
        friend.expect(left("Sender"));
        friend.log_out();
    }
}

#[test]
fn receipts_for_a_friend_who_breaks_off_say_0_from_one_letter_on() {
    let server = patient_server();
    for way in Way::ALL {
        let (mut letters, friend) = Letters::pile_up(&server, Way::PlainPrefixed, way);
        friend.reset();
        let flags = letters.read_the_rest(Some(left(FRIEND)));
        assert!(
            flags.is_sorted_by(|earlier, later| earlier >= later),
            "{flags:?}"
        );
        assert_eq!(flags.last(), Some(&0));
        letters.write();
        assert_eq!(letters.read_the_rest(None), [0]);
        letters.sender.log_out();
    }
}

#[test]
fn receipts_for_a_friend_who_is_cut_off_as_slow_say_0_from_one_letter_on() {
    let server = quiet_server(|config| {
        (config.rate, config.byte_rate) = (0, 0);
        config.max_backlog = 2 << 20;
    });
    for way in Way::ALL {
        let (mut letters, mut friend) = Letters::pile_up(&server, Way::Tls, way);
        for _ in 0..200 {
            letters.write();
        }
        let flags = letters.read_the_rest(Some(left(FRIEND)));
        assert!(
            flags.is_sorted_by(|earlier, later| earlier >= later),
            "{flags:?}"
        );
        assert_eq!(flags.last(), Some(&0));
        // What was receipted with a 1 before the end was written; the rest never comes.
        let arrived = friend.receive_all();
        assert!(arrived.len() < letters.sent);
        letters.sender.log_out();
    }
}

#[test]
fn a_friend_who_logs_out_and_reads_gets_what_was_written_before() {
    let server = patient_server();
    for way in Way::ALL {
        let (mut letters, mut friend) = Letters::pile_up(&server, Way::TlsPrefixed, way);
        friend.send(&json!({"Command": "03"}));
        letters.read_receipts_until(|message| *message == left(FRIEND));
        // This one comes too late, and its receipt waits for its turn all the same.
        letters.write();
        letters.sent -= 1;
        letters.expect_all_at(&mut friend);
        friend.expect_end();
        letters.sent += 1;
        let flags = letters.read_the_rest(None);
        let (last, earlier) = flags.split_last().unwrap();
        assert_eq!(*last, 0, "{way:?}");
        assert!(earlier.iter().all(|flag| *flag == 1), "{way:?}: {flags:?}");
        letters.sender.log_out();
    }
}

#[test]
fn a_sender_who_logs_out_gets_the_receipts_that_are_decided_in_time() {
    let server = patient_server();
    for way in Way::ALL {
        let (mut letters, mut friend) = Letters::pile_up(&server, Way::Plain, way);
        if way.is_prefixed() {
            letters.sender.half_close();
        } else {
            letters.sender.send(&json!({"Command": "03"}));
        }
        letters.expect_all_at(&mut friend);
        friend.expect(left("Sender"));
        assert!(letters.read_the_rest(None).iter().all(|flag| *flag == 1));
        letters.sender.expect_end();
        friend.log_out();
    }
}

#[test]
fn a_sender_who_logs_out_is_told_0_for_what_is_undecided_in_the_end() {
    let server = patient_server();
    let mut witness = server.guest("Witness");
    for (sender, friend) in [(Way::Plain, Way::Tls), (Way::TlsPrefixed, Way::Plain)] {
        let (mut letters, friend) = Letters::pile_up(&server, sender, friend);
        witness.expect(came(FRIEND, true));
        witness.expect(came("Sender", true));
        let start = Instant::now();
        letters.sender.send(&json!({"Command": "03"}));
        // The others are told at once, when nothing is decided yet.
        witness.expect(left("Sender"));
        let (early, has_ended) = letters.sender.take_available();
        for receipt in early {
            letters.take_receipt(&serde_json::from_slice(&receipt).unwrap());
        }
        assert!(!has_ended && letters.receipts.iter().all(|flag| *flag == 1));
        let flags = letters.read_the_rest(None);
        assert!(
            flags.is_sorted_by(|earlier, later| earlier >= later),
            "{flags:?}"
        );
        assert!(
            flags.iter().filter(|flag| **flag == 0).count() > 20,
            "{flags:?}"
        );
        letters.sender.expect_end();
        assert!(start.elapsed() < PATIENCE);
        friend.reset();
        witness.expect(left(FRIEND));
    }
}

#[test]
fn a_room_that_most_cannot_keep_up_with_is_slowed_at_its_speakers() {
    const READERS: usize = 5;
    const MESSAGES: usize = 4000;
    // The speaker could fill the backlogs, and all that a kernel holds, before the readers have read half of it.
    let server = quiet_server(|config| {
        (config.max_frame, config.max_backlog) = (16 << 10, 512 << 10);
        (config.rate, config.byte_rate) = (0, 0);
    });
    let text = "x".repeat(4000);
    let line = |number: usize| said("Speaker", &format!("{number} {text}"));
    let mut readers: Vec<Client> = (0..READERS)
        .map(|index| connect_narrow(&server, Way::ALL[index % Way::ALL.len()]))
        .collect();
    for (index, reader) in readers.iter_mut().enumerate() {
        reader.log_in(&format!("Reader{index}"));
    }
    // One who never reads is in their way as little as in anybody's.
    let mut sloth = connect_narrow(&server, Way::Plain);
    sloth.log_in("Sloth");
    let mut speaker = server.guest("Speaker");
    let mut ear = speaker.socket().try_clone().unwrap();
    thread::scope(|scope| {
        let (readers, line) = (&mut readers, &line);
        // One thread reads for all, as if they shared a slow link: none is ever far behind the others.
        scope.spawn(move || {
            let mut leavers = [const { Vec::new() }; READERS];
            for number in 0..MESSAGES {
                for (reader, leavers) in readers.iter_mut().zip(&mut leavers) {
                    let message = loop {
                        match receive_news(reader) {
                            message if message["Command"] == "32" => break message,
                            message if message["Command"] == "31" => leavers.push(message),
                            _ => {}
                        }
                    };
                    expect_same(&message, &line(number));
                }
                if number % 16 == 0 {
                    thread::sleep(Duration::from_millis(10));
                }
            }
            for (reader, leavers) in readers.iter_mut().zip(&mut leavers) {
                while leavers.len() < 2 {
                    let message = receive_news(reader);
                    assert_ne!(message["Command"], "32");
                    if message["Command"] == "31" {
                        leavers.push(message);
                    }
                }
                assert_eq!(*leavers, [left("Sloth"), left("Speaker")]);
            }
        });
        // The speaker hears itself.
        scope.spawn(move || {
            let mut scrap = vec![0; 64 << 10];
            while ear.read(&mut scrap).is_ok_and(|count| count > 0) {}
        });
        for number in 0..MESSAGES {
            speaker.say(&format!("{number} {text}"));
        }
        speaker.half_close();
    });
}
