//! What those who come do, from the first byte to the last.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use chatd::transport::socket::KERNEL_FINDS_DEAD_PEERS;
use chatd::wire::{ClientMessage, Framing};
use socket2::SockRef;

use crate::user::User;
use crate::{
    BYE, Chance, LOOK_UP, MEMBERS, Outcome, PASSWORD, PATIENCE, STEADY, World, ensure, lock, spell,
};

/// How a stay ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    /// By 03.
    LogOut,
    /// By a FIN; by 03 over TLS, as few TLS libraries can close one side alone.
    HalfClose,
    /// The same, in the middle of a frame.
    CloseInFrame,
    /// By a RST.
    Reset,
    /// The same, in the middle of a frame.
    ResetInFrame,
    /// The program ends, whatever there was to read.
    Vanish,
    /// It stops to read for ever.
    Deaf,
    /// The same, and more and more waits for it.
    Hoard,
}

impl Fate {
    /// Out of a hundred, the first by far the most.
    fn by(chance: &mut Chance) -> Fate {
        match chance.below(100) {
            0..35 => Fate::LogOut,
            35..50 => Fate::HalfClose,
            50..56 => Fate::CloseInFrame,
            56..68 => Fate::Reset,
            68..75 => Fate::ResetInFrame,
            75..88 => Fate::Vanish,
            88..94 => Fate::Deaf,
            _ => Fate::Hoard,
        }
    }
}

/// Comes, perhaps speaks, and goes.
pub(crate) fn stay(world: &World, chance: &mut Chance, until: Instant) -> Outcome<()> {
    let way = chance.below(4);
    if chance.percent(5) {
        // Two kinds wait until they are sent away, for which there must be time.
        let has_time = Instant::now() + PATIENCE < until;
        let how = chance.below(if has_time { 5 } else { 3 });
        return loiter(world, way, how)
            .map_err(|why| format!("a loiterer of kind {how}, way {way}: {why}"));
    }
    let fate = Fate::by(chance);
    let is_narrow = matches!(fate, Fate::Deaf | Fate::Hoard);
    let mut user = User::connect(world, way, is_narrow)
        .map_err(|error| format!("no connection, way {way}: {error}"))?;
    let outcome = visit(&mut user, chance, until, fate);
    world.count(&format!("fate {fate:?}"));
    outcome.map_err(|why| format!("{}, way {way}, fate {fate:?}: {why}", user.name))
}

/// All of that once there is a connection.
fn visit(user: &mut User<'_>, chance: &mut Chance, until: Instant, fate: Fate) -> Outcome<()> {
    let world = user.world;
    let number = world.stays.fetch_add(1, SeqCst);
    if chance.percent(5) {
        // These names are not to be had: one has a password, and that is another; one is in use.
        let member = format!("member{}", chance.below(MEMBERS));
        let is_in = match chance.below(5) {
            0 => user.log_in(&member, Some("wrong"))?,
            1 | 2 => user.log_in(&member, None)?,
            _ => user.log_in("STEADY0", None)?,
        };
        ensure!(!is_in, "this name was to be had");
    }
    let is_deaf = matches!(fate, Fate::Deaf | Fate::Hoard);
    let new = format!("New{number}");
    let is_in = match chance.below(100) {
        _ if is_deaf => false,
        0 => user.register(&new)? && user.log_in(&new, Some(PASSWORD))?,
        1..4 => user.log_in(&format!("Member{}", chance.below(MEMBERS)), Some(PASSWORD))?,
        4..70 => {
            let pupil = format!("Pupil{}", chance.below(world.options.users));
            user.log_in(&spell(&pupil, number), None)?
        }
        _ => false,
    };
    if !is_in {
        let own = format!("{}{number}", if is_deaf { "Deaf" } else { "Guest" });
        ensure!(
            user.log_in(&own, None)?,
            "refused, though nobody has the name"
        );
    }
    let longest = chance.below(12_000) + 1;
    let length = Duration::from_millis(200 + chance.below(longest) as u64);
    talk(user, chance, until.min(Instant::now() + length))?;
    leave(user, fate)
}

/// Says something to somebody now and then, and reads all the time, until `until` or the end of it all.
fn talk(user: &mut User<'_>, chance: &mut Chance, until: Instant) -> Outcome<()> {
    let world = user.world;
    let options = &world.options;
    let speakers = (options.users + STEADY) as f64;
    let pause = Duration::from_secs_f64(speakers / options.rate.max(0.001));
    let silence = 2 * Duration::from_secs(options.heartbeat) + PATIENCE / 3;
    let start = Instant::now();
    let mut due = start + pause.mul_f64(chance.below(100) as f64 / 100.0);
    let mut tick = 0;
    while Instant::now() < until && !world.is_ending.load(SeqCst) {
        if due <= Instant::now() {
            due = Instant::now() + pause.mul_f64(0.5 + chance.below(100) as f64 / 100.0);
            speak(user, chance)?;
        }
        if user.number == Some(0) && start.elapsed().as_secs() > tick {
            tick = start.elapsed().as_secs();
            user.say(&format!("tick{tick}"))?;
        }
        ensure!(user.last_heartbeat.elapsed() < silence, "no heartbeat");
        let wait = due.min(until).saturating_duration_since(Instant::now());
        let is_open = user.receive(wait.min(LOOK_UP))?;
        ensure!(is_open, "cut off: {:?}", user.notice);
    }
    Ok(())
}

/// To the room, a steady user, somebody who may be there, oneself, or somebody who was there a moment ago.
fn speak(user: &mut User<'_>, chance: &mut Chance) -> Outcome<()> {
    let longest = if chance.percent(3) { 1500 } else { 30 };
    let text = "你".repeat(chance.below(longest));
    let friend = match chance.below(10) {
        0..4 => return user.say(&text),
        4..7 => format!("Steady{}", chance.below(STEADY)),
        7 => format!("Pupil{}", chance.below(user.world.options.users)),
        8 => user.name.clone(),
        _ => {
            let known = user.online.values().nth(chance.below(user.online.len()));
            known.map(|known| known.name.clone()).unwrap_or_default()
        }
    };
    user.say_to(&friend, &text)
}

/// Leaves, in whichever way.
pub(crate) fn leave(user: &mut User<'_>, fate: Fate) -> Outcome<()> {
    let half = user.framed(&ClientMessage::Room {
        message: "half".into(),
    });
    let half = &half[..half.len() / 2];
    let failed = |error: io::Error| format!("cannot leave: {error}");
    match fate {
        Fate::Vanish => {}
        Fate::Reset | Fate::ResetInFrame => {
            if fate == Fate::ResetInFrame {
                user.stream.write_all(half).map_err(failed)?;
            }
            let socket = SockRef::from(user.stream.socket());
            socket.set_linger(Some(Duration::ZERO)).map_err(failed)?;
        }
        // Few TLS libraries can close one side alone.
        Fate::LogOut | Fate::HalfClose | Fate::CloseInFrame => {
            user.world.count("byes");
            user.say(BYE)?;
            if fate == Fate::LogOut || user.is_tls {
                user.send(&ClientMessage::Logout)?;
            } else {
                if fate == Fate::CloseInFrame {
                    user.stream.write_all(half).map_err(failed)?;
                }
                user.stream
                    .socket()
                    .shutdown(Shutdown::Write)
                    .map_err(failed)?;
            }
            user.read_out()?;
            let is_told = fate == Fate::CloseInFrame && !user.is_tls;
            ensure!(
                user.notice.is_some() == is_told,
                "leaving brings {:?}",
                user.notice
            );
        }
        // It never reads again. Writing to itself fills the way back, at the pace that the server allows.
        Fate::Deaf | Fate::Hoard => {
            let start = Instant::now();
            // Where the kernel finds nobody dead, only a queue of the server's own that does not move shows it.
            let is_found_soon = fate == Fate::Deaf && KERNEL_FINDS_DEAD_PEERS;
            let number = if is_found_soon { 2 } else { 200 };
            let _ = user.stream.socket().set_write_timeout(Some(LOOK_UP));
            for _ in 0..number {
                let text = "x".repeat(30_000);
                if user.say_to(&user.name.clone(), &text).is_err() {
                    break;
                }
            }
            while !lock(&user.world.cut_off).remove(&user.name) {
                ensure!(
                    start.elapsed() < PATIENCE,
                    "who does not read is not cut off"
                );
                thread::sleep(LOOK_UP);
            }
            let took = start.elapsed().as_millis() as u64;
            user.world.count("cut off");
            user.world.note_most("ms at most until a cut-off", took);
        }
    }
    Ok(())
}

/// Connects, but does not log in.
fn loiter(world: &World, way: usize, how: usize) -> Outcome<()> {
    let failed = |error: io::Error| error.to_string();
    world.count("never logged in");
    if how == 4 {
        // No TLS handshake, or nothing at all.
        let mut socket = TcpStream::connect(world.addresses[way % 2]).map_err(failed)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let taken = io::copy(&mut socket, &mut io::sink());
        return taken.map(drop).map_err(failed);
    }
    let mut user = User::connect(world, way, false).map_err(failed)?;
    match how {
        0 => return Ok(()),
        1 => {
            let start: &[u8] = match user.framing {
                Framing::Stream => b"{\"Comm",
                Framing::Prefixed | Framing::WebSocket => b"\0\0",
            };
            return user.stream.write_all(start).map_err(failed);
        }
        2 => user.send(&ClientMessage::Logout)?,
        _ => {}
    }
    user.read_out()?;
    let is_told = how == 3;
    ensure!(
        user.notice.is_some() == is_told,
        "it was told {:?}",
        user.notice
    );
    Ok(())
}

/// The life of one who stays from beginning to end.
pub(crate) fn stay_on(world: &World, number: usize, chance: &mut Chance) -> Outcome<()> {
    let mut user = User::connect(world, number, false).map_err(|error| error.to_string())?;
    user.number = Some(number);
    ensure!(
        user.log_in(&format!("Steady{number}"), None)?,
        "the login is refused"
    );
    for member in (number..MEMBERS).step_by(STEADY) {
        ensure!(
            user.register(&format!("Member{member}"))?,
            "a registration is refused"
        );
    }
    world.count("steady users");
    let never = Instant::now() + Duration::from_secs(1 << 30);
    talk(&mut user, chance, never)?;
    // Everybody's last words show that nothing said before them was lost. They are counted before anybody can hear them.
    world.count("byes");
    user.say(BYE)?;
    user.wait_until("every steady user's goodbye", |user| {
        user.steady_byes == STEADY
    })?;
    user.wait_until("the last receipt", |user| user.owed.is_empty())?;
    let byes = world.number_of("byes");
    ensure!(
        user.byes == byes,
        "{} of {byes} goodbyes have come",
        user.byes
    );
    ensure!(
        user.online.len() == STEADY,
        "{} seem to be online",
        user.online.len()
    );
    world.count("steady users done");
    user.read_out()?;
    ensure!(user.notice.is_some(), "the server stops without a word");
    ensure!(
        user.online.len() == STEADY,
        "a 31 comes when the server stops"
    );
    Ok(())
}
