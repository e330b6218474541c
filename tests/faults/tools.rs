//! What several of these tests need: sockets that fill up soon, chance with a seed, an eye on panics.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chatd::server::Config;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::harness::{Client, PATIENCE, TestServer, Way};

/// A server whose heartbeat comes in no test, and that takes nobody for dead.
pub fn quiet_server(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(|config| {
        config.heartbeat = Duration::from_secs(3600);
        change(config);
    })
}

/// Lets one test at a time put the whole machine under load, as long as the guard lives.
pub fn take_the_machine() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client whose socket holds little that it has not read.
pub fn connect_narrow(server: &TestServer, way: Way) -> Client {
    let address = server.address(way);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(32 << 10).unwrap();
    socket.connect(&address.into()).unwrap();
    Client::over(socket.into(), way)
}

/// The next message that is not a heartbeat, which has a time limit of its own.
#[track_caller]
pub fn receive_news(client: &mut Client) -> Value {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < PATIENCE, "nothing but heartbeats came");
        let message = client.receive();
        if message != json!({"Command": "14"}) {
            return message;
        }
    }
}

/// Checks that a message is the one, and shows no more than the beginning of it otherwise.
#[track_caller]
pub fn expect_same(message: &Value, expected: &Value) {
    let brief = |message: &Value| message.to_string().chars().take(200).collect::<String>();
    if message != expected {
        panic!("{}… instead of {}…", brief(message), brief(expected));
    }
}

/// The `index`-th spelling of a name, which tells it from the others although they are all one name: letters are
/// capitals where `index` has a one. Sixteen letters have room for 65536 spellings.
pub fn spelling(name: &str, index: usize) -> String {
    assert!(
        index >> name.len().min(63) == 0,
        "{name} has fewer spellings"
    );
    let letters = name.bytes().enumerate().map(|(place, letter)| {
        assert!(letter.is_ascii_lowercase(), "{name}");
        if index >> place & 1 == 1 {
            letter.to_ascii_uppercase()
        } else {
            letter
        }
    });
    letters.map(char::from).collect()
}

/// Who is online, as a client knows it from its 11 and the notices after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// How each one spells the name and whether it is a guest's, by what all spellings have in common.
    online: BTreeMap<String, (String, u64)>,
}

impl Presence {
    /// What the reply to a successful login says.
    pub fn from_reply(reply: &Value) -> Result<Presence, String> {
        if (&reply["Command"], &reply["Flag"]) != (&json!("11"), &json!(1)) {
            return Err(format!(
                "the first message is no 11 with Flag 1, but {reply}"
            ));
        }
        let mut presence = Presence::default();
        for friend in reply["Friends"].as_array().ok_or("Friends is no list")? {
            presence.come(&friend[0], &friend[1])?;
        }
        Ok(presence)
    }

    /// Follows a notice; other messages change nothing.
    pub fn apply(&mut self, message: &Value) -> Result<(), String> {
        match message["Command"].as_str() {
            Some("30") => self.come(&message["LogOnUserName"], &message["IsUserGuest"]),
            Some("31") => {
                let name = message["LogOutUserName"].as_str().ok_or("no name")?;
                match self.online.remove(&name.to_lowercase()) {
                    Some((as_it_came, _)) if as_it_came == name => Ok(()),
                    other => Err(format!("{name} left, but {other:?} was there")),
                }
            }
            _ => Ok(()),
        }
    }

    fn come(&mut self, name: &Value, is_guest: &Value) -> Result<(), String> {
        let (Some(name), Some(is_guest)) = (name.as_str(), is_guest.as_u64()) else {
            return Err(format!("not a user: {name}, {is_guest}"));
        };
        let user = (name.to_owned(), is_guest);
        match self.online.insert(name.to_lowercase(), user) {
            None => Ok(()),
            Some(other) => Err(format!("{name} came, but {other:?} was there")),
        }
    }

    /// Whether the name is online in exactly this spelling.
    pub fn has(&self, name: &str) -> bool {
        let user = self.online.get(&name.to_lowercase());
        user.is_some_and(|(spelling, _)| spelling == name)
    }

    pub fn len(&self) -> usize {
        self.online.len()
    }

    /// Who is online here and not in `other`, and the other way round; `None` if they are the same.
    pub fn difference(&self, other: &Presence) -> Option<String> {
        let beyond = |one: &Presence, other: &Presence| {
            let users = one.online.iter();
            let beyond = users.filter(|(key, user)| other.online.get(*key) != Some(*user));
            beyond
                .map(|(_, user)| format!("{user:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (more, less) = (beyond(self, other), beyond(other, self));
        (self != other).then(|| format!("too many: [{more}], missing: [{less}]"))
    }
}

/// Messages by their text. Most are received by everybody, and are parsed and kept once.
#[derive(Default)]
pub struct Messages(Mutex<HashMap<Vec<u8>, Arc<Value>>>);

impl Messages {
    pub fn parse(&self, frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Arc<Value>> {
        let mut known = self.0.lock().unwrap();
        let frames = frames.into_iter();
        frames
            .map(|frame| {
                let message = known.entry(frame).or_insert_with_key(|frame| {
                    Arc::new(serde_json::from_slice(frame).expect("JSON"))
                });
                Arc::clone(message)
            })
            .collect()
    }
}

/// Chance that can be repeated: SplitMix64.
pub struct Chance(u64);

impl Chance {
    /// From the seed in `CHATD_TEST_SEED`, or else from the clock. It is printed, to be seen if the test fails.
    #[allow(clippy::print_stderr, reason = "a failed test shows it")]
    pub fn from_environment() -> Chance {
        let seed = match std::env::var("CHATD_TEST_SEED") {
            Ok(seed) => seed.parse().expect("CHATD_TEST_SEED is a number"),
            Err(_) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                now.as_nanos() as u64 % 1_000_000_007
            }
        };
        eprintln!("to repeat this: CHATD_TEST_SEED={seed}");
        Chance(seed)
    }

    /// Chance of its own for another thread.
    pub fn fork(&mut self) -> Chance {
        Chance(self.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

static SERVER_PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics in the threads of connections from now on. A server survives them, so nothing else would tell.
pub fn watch_for_panics() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if thread::current()
                .name()
                .is_some_and(|name| name.starts_with("conn-"))
            {
                SERVER_PANICS.fetch_add(1, Ordering::SeqCst);
            }
            usual(panic);
        }));
    });
}

/// Checks that no thread of a connection has panicked, in any test of this process.
#[track_caller]
pub fn expect_no_panics() {
    assert_eq!(
        SERVER_PANICS.load(Ordering::SeqCst),
        0,
        "a server thread panicked"
    );
}
