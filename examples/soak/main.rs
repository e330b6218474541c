//! Does chatd hold for a lesson, a day, a week? Starts a server of its own, lives with it, and says what broke.
//!
//! ```text
//! cargo build --release && cargo run --release --example soak -- --minutes 20
//! ```
//!
//! A few steady users stay from beginning to end; all others come and go, in every way in which clients do, good
//! and bad. Each is a thread with a connection, and checks whatever it reads against the promises of `docs/protocol.md`.
//! Nothing is kept to be compared later, so a week needs no more memory than a minute: it is the messages that
//! carry the evidence. Each says what its sender had said before it, to the room and to each steady user, and which
//! roster the sender got when it logged in.

#![allow(clippy::print_stdout, reason = "a program that reports to its user")]

mod server;
mod user;
mod visits;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, Scope};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use openssl::ssl::{SslContext, SslMethod, SslVerifyMode};

use server::{Server, read_log};
use user::User;
use visits::{Fate, leave, stay, stay_on};

/// Live with a chatd of one's own for a while, and say what broke.
#[derive(Parser)]
#[command(name = "soak")]
pub(crate) struct Options {
    /// How long
    #[arg(long, default_value_t = 20.0)]
    pub(crate) minutes: f64,
    /// How many come and go
    #[arg(long, default_value_t = 60)]
    pub(crate) users: usize,
    /// Messages a second, of all users together
    #[arg(long, default_value_t = 40.0)]
    pub(crate) rate: f64,
    /// The server's time between two heartbeats, in seconds
    #[arg(long, default_value_t = 4)]
    pub(crate) heartbeat: u64,
    /// What chance begins with [default: the clock]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// The program to try [default: the one built beside this example]
    #[arg(long)]
    pub(crate) chatd: Option<PathBuf>,
}

/// Those who stay: each way of connecting once.
pub(crate) const STEADY: usize = 4;
/// Registered names that those who come and go share, with one password.
pub(crate) const MEMBERS: usize = 8;
pub(crate) const PASSWORD: &str = "tiger7";
/// How long anything may take that must happen. Generous: the machine may have other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often a user who waits for messages looks up.
pub(crate) const LOOK_UP: Duration = Duration::from_millis(200);
/// How much more memory than after the first quarter may be resident at the end, in KiB.
const TOLERANCE: u64 = 2048;
/// Said last by who leaves in an orderly way, so that others can tell that they heard everything.
pub(crate) const BYE: &str = "bye";

/// An error is a promise that was broken.
pub(crate) type Outcome<T> = Result<T, String>;

/// Breaks off with a few words unless something holds.
macro_rules! ensure {
    ($holds:expr, $($words:tt)*) => {
        if !$holds {
            return Err(format!($($words)*));
        }
    };
}
pub(crate) use ensure;

/// What all threads share.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) addresses: [SocketAddr; 2],
    pub(crate) tls: SslContext,
    /// Numbers the stays, which makes some names unique.
    pub(crate) stays: AtomicU64,
    pub(crate) counts: Mutex<BTreeMap<String, u64>>,
    /// A hash of all broadcasts between one tick and the next, by the tick's number, as the first to see them saw
    /// them. Steady user 0 says a tick each second.
    pub(crate) segments: Mutex<BTreeMap<u64, u64>>,
    /// Those who stopped to read and whose 31 has come.
    pub(crate) cut_off: Mutex<BTreeSet<String>>,
    /// The steady users say goodbye.
    pub(crate) is_ending: AtomicBool,
    /// The server is killed, after which nothing is held against it.
    is_over: AtomicBool,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn count(&self, what: &str) {
        self.count_more(what, 1);
    }

    pub(crate) fn count_more(&self, what: &str, number: u64) {
        let mut counts = lock(&self.counts);
        match counts.get_mut(what) {
            Some(count) => *count += number,
            None => drop(counts.insert(what.to_owned(), number)),
        }
    }

    pub(crate) fn number_of(&self, what: &str) -> u64 {
        lock(&self.counts).get(what).copied().unwrap_or(0)
    }

    /// Keeps the greatest.
    pub(crate) fn note_most(&self, what: &str, number: u64) {
        let mut counts = lock(&self.counts);
        let most = counts.entry(what.to_owned()).or_default();
        *most = number.max(*most);
    }

    pub(crate) fn broken(&self, why: &str) {
        if self.is_over.load(SeqCst) {
            return;
        }
        self.count("BROKEN");
        if self.number_of("BROKEN") <= 50 {
            println!("BROKEN: {why}");
        }
    }

    /// Compares what one client saw between two ticks with what others saw.
    pub(crate) fn compare(&self, tick: u64, hash: u64) -> Outcome<()> {
        let mut segments = lock(&self.segments);
        if segments.len() > 1000 {
            segments.pop_first();
        }
        let first = *segments.entry(tick).or_insert(hash);
        drop(segments);
        self.count("orders compared");
        ensure!(first == hash, "another order before tick {tick}");
        Ok(())
    }
}

pub(crate) fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Chance that can be repeated, as far as threads can: splitmix64.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A name in one of its spellings, which are all the same to the server.
pub(crate) fn spell(name: &str, number: u64) -> String {
    let spelled = name.chars().enumerate().map(|(index, letter)| {
        if (number >> (index % 4)) & 1 == 1 {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        }
    });
    spelled.collect()
}

/// A warm-up and four quarters, after each of which only the steady users are there for a moment.
fn conduct<'s>(
    scope: &'s Scope<'s, '_>,
    world: &'s World,
    server: &mut Server,
    seed: u64,
) -> Outcome<()> {
    let spawn = |work: Box<dyn FnOnce() + Send + 's>| {
        let spawned = Builder::new()
            .stack_size(512 << 10)
            .spawn_scoped(scope, work);
        spawned.map_err(|error| format!("no thread to be had: {error}"))
    };
    let mut steady = Vec::new();
    for number in 0..STEADY {
        let mut chance = Chance(hash_of((seed, "steady", number)));
        steady.push(spawn(Box::new(move || {
            if let Err(why) = stay_on(world, number, &mut chance) {
                world.broken(&format!("steady user {number}: {why}"));
            }
        }))?);
    }
    let wait_until = |server: &mut Server, is_so: &dyn Fn() -> bool| -> Outcome<()> {
        while !is_so() {
            let has_failed = steady.iter().any(|thread| thread.is_finished());
            ensure!(!has_failed, "a steady user has failed");
            thread::sleep(LOOK_UP);
            server.watch(world);
        }
        Ok(())
    };
    let all = STEADY as u64;
    wait_until(server, &|| world.number_of("steady users") == all)?;
    let before = server.settle(world, None)?;
    match before {
        Some(before) => println!("only the steady users: {before:?}"),
        None => println!(
            "what the server costs can't be sampled here: there is no /proc as Linux has it"
        ),
    }
    println!("minute  logins    room private  received cut off  KiB res threads  fds  CPU%");
    let seconds = world.options.minutes * 60.0;
    let start = Instant::now();
    // Short runs don't tell anything about memory.
    let parts: &[f64] = if seconds < 60.0 {
        &[1.0]
    } else {
        &[0.05, 0.25, 0.5, 0.75, 1.0]
    };
    let mut quiet = Vec::new();
    for (part, share) in parts.iter().enumerate() {
        let until = start + Duration::from_secs_f64(seconds * share);
        let mut slots = Vec::new();
        for slot in 0..world.options.users {
            let mut chance = Chance(hash_of((seed, part, slot)));
            slots.push(spawn(Box::new(move || {
                while Instant::now() < until && !world.is_ending.load(SeqCst) {
                    thread::sleep(Duration::from_millis(chance.below(1500) as u64));
                    if let Err(why) = stay(world, &mut chance, until) {
                        world.broken(&why);
                    }
                }
            }))?);
        }
        wait_until(server, &|| slots.iter().all(|slot| slot.is_finished()))?;
        if let Some(sample) = server.settle(world, before)? {
            println!("quiet after {:.0}%: {sample:?}", share * 100.0);
            quiet.push(sample);
        }
        // The steady users compare the roster that the probe gets with their own.
        let mut probe = User::connect(world, part % 4, false).map_err(|error| error.to_string())?;
        ensure!(
            probe.log_in(&format!("Probe{part}"), None)?,
            "the probe is refused"
        );
        ensure!(
            probe.online.len() == STEADY + 1,
            "{} are online",
            probe.online.len()
        );
        leave(&mut probe, Fate::LogOut)?;
        server.settle(world, before)?;
    }
    world.is_ending.store(true, SeqCst);
    wait_until(server, &|| world.number_of("steady users done") == all)?;
    let status = server
        .stop()
        .map_err(|error| format!("stopping: {error}"))?;
    ensure!(status.success(), "the server ends with {status}");
    if let [_, first, .., last] = quiet[..] {
        let (first, last) = (first.memory, last.memory);
        println!(
            "memory: {first} KiB after the first quarter, {last} KiB at the end, {TOLERANCE} KiB more allowed"
        );
        ensure!(last <= first + TOLERANCE, "memory has grown");
    }
    Ok(())
}

fn run(options: Options) -> io::Result<bool> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seed = options.seed.unwrap_or(since.as_secs());
    println!("to repeat this, as far as threads can be repeated: --seed {seed}");
    let folder = tempfile::tempdir()?;
    let (mut server, addresses) = Server::start(&options, folder.path())?;
    let mut tls = SslContext::builder(SslMethod::tls_client())?;
    // It is our own server.
    tls.set_verify(SslVerifyMode::NONE);
    let world = World {
        options,
        addresses,
        tls: tls.build(),
        stays: AtomicU64::new(0),
        counts: Mutex::default(),
        segments: Mutex::default(),
        cut_off: Mutex::default(),
        is_ending: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
    };
    let log = server.child.stderr.take();
    thread::scope(|scope| {
        if let Some(log) = log {
            scope.spawn(|| read_log(&world, log));
        }
        if let Err(why) = conduct(scope, &world, &mut server, seed) {
            world.broken(&why);
            // Everybody's connection ends with the server, and then their threads do.
            world.is_over.store(true, SeqCst);
            world.is_ending.store(true, SeqCst);
            let _ = server.child.kill();
        }
    });
    println!();
    for (what, count) in lock(&world.counts).iter() {
        println!("{count:10} {what}");
    }
    println!("at least {:?}", server.least);
    println!("at most  {:?}", server.most);
    println!("{:.0?} in all", server.start.elapsed());
    let is_good = world.number_of("BROKEN") == 0;
    let verdict = ["Broken: see above.", "Every promise held."];
    println!("{}", verdict[usize::from(is_good)]);
    Ok(is_good)
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(options) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => println!("soak: {error}"),
    }
    ExitCode::FAILURE
}
