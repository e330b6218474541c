//! Checks the promises about order, presence and delivery on what clients wrote down.
//!
//! The reference is an observer who was there before anybody else and after everybody: the broadcasts that it
//! received are the one order. Every stay has a spelling of its own name, so that each broadcast tells whose it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::tools::Presence;

/// What one client sent and received while it was logged in, from its 11 on.
#[derive(Clone, Debug)]
pub struct Stay {
    /// Spelt like that of no other stay.
    pub name: String,
    /// Whether the client left by 03 or FIN and read to the end, so that nothing may be missing.
    pub is_whole: bool,
    /// In the order in which the client sent them.
    pub sent: Vec<Value>,
    /// In the order in which the client received them. What all receive is kept once.
    pub received: Vec<Arc<Value>>,
}

impl Stay {
    /// Checks that `Friends` was exactly who was there.
    fn check_friends(&self, presence: &Presence) -> Result<(), String> {
        let name = &self.name;
        let reply = self.received.first();
        let reply = reply.ok_or_else(|| format!("{name}: it received nothing"))?;
        match Presence::from_reply(reply)?.difference(presence) {
            None => Ok(()),
            Some(difference) => Err(format!(
                "{name}: Friends is not who was there: {difference}"
            )),
        }
    }
}

/// What the checked transcripts consisted of.
#[derive(Debug, Default)]
pub struct Summary {
    pub broadcasts: usize,
    pub delivered: usize,
    pub receipts: [usize; 2],
    /// Letters to somebody who must have received them.
    pub certain: usize,
    /// Letters that the server had taken for a friend who then broke off, by their receipts.
    pub broken_off: usize,
    /// How many were online at once, at most.
    pub peak: usize,
}

/// A private message and what became of it.
struct Letter<'a> {
    friend: &'a str,
    /// Unlike that of any other letter of this sender.
    text: &'a str,
    /// How many messages to the room its sender had sent before it.
    said_before: usize,
    /// What the receipt said, if one came.
    flag: Option<u64>,
    /// Who received it.
    receiver: Option<&'a Stay>,
}

/// All letters of each stay, in the order in which they were sent.
type Letters<'a> = HashMap<&'a str, Vec<Letter<'a>>>;

/// The one order, and where in it each stay begins and ends.
struct Order<'a> {
    broadcasts: Vec<&'a Arc<Value>>,
    came: HashMap<&'a str, usize>,
    left: HashMap<&'a str, usize>,
    /// Where the messages of each speaker are.
    said: HashMap<&'a str, Vec<usize>>,
    /// How many were online at once, at most.
    peak: usize,
}

/// Checks everything. `strays` broke off before they knew whether they were logged in; they received nothing, but
/// what they sent may have been carried out.
pub fn check(observer: &Stay, stays: &[Stay], strays: &[Stay]) -> Result<Summary, String> {
    let order = Order::of(observer, stays)?;
    let strays = strays.iter();
    let strays = strays.filter(|stray| order.came.contains_key(stray.name.as_str()));
    let everybody: Vec<&Stay> = stays.iter().chain(strays).collect();
    let known: HashSet<&str> = everybody.iter().map(|stay| stay.name.as_str()).collect();
    for name in order.came.keys() {
        if !known.contains(name) {
            return Err(format!("{name} came, but nobody logged in so"));
        }
    }
    for stay in &everybody {
        let name = stay.name.as_str();
        if !order.came.contains_key(name) || !order.left.contains_key(name) {
            return Err(format!("{name}: the observer did not see it come and go"));
        }
        order.check_said(stay)?;
    }
    for stay in stays {
        order.check_broadcasts(stay)?;
    }
    let mut letters: Letters<'_> = everybody
        .iter()
        .map(|stay| (stay.name.as_str(), letters_of(stay)))
        .collect();
    for stay in stays {
        order.check_deliveries(stay, &mut letters)?;
        check_replies(stay, &mut letters)?;
    }

    let mut summary = Summary {
        broadcasts: order.broadcasts.len(),
        peak: order.peak,
        ..Summary::default()
    };
    order.check_fates(&everybody, &letters, &mut summary)?;
    Ok(summary)
}

fn command(message: &Value) -> &str {
    message["Command"].as_str().unwrap_or_default()
}

fn is_broadcast(message: &Value) -> bool {
    matches!(command(message), "30" | "31" | "32")
}

impl<'a> Order<'a> {
    /// Takes down what the observer saw, and checks that everybody was told at first who was there.
    fn of(observer: &'a Stay, stays: &'a [Stay]) -> Result<Order<'a>, String> {
        let stays = stays.iter().map(|stay| (stay.name.as_str(), stay));
        let stays: HashMap<&str, &Stay> = stays.collect();
        let [reply, rest @ ..] = &observer.received[..] else {
            return Err("the observer received nothing".to_owned());
        };
        let mut presence = Presence::from_reply(reply)?;
        let mut order = Order {
            broadcasts: rest
                .iter()
                .filter(|message| is_broadcast(message))
                .collect(),
            came: HashMap::new(),
            left: HashMap::new(),
            said: HashMap::new(),
            peak: 0,
        };
        for (index, message) in order.broadcasts.iter().enumerate() {
            presence.apply(message)?;
            order.peak = order.peak.max(presence.len());
            let name = |key: &str| message[key].as_str().ok_or("no name".to_owned());
            match command(message) {
                "30" => {
                    let name = name("LogOnUserName")?;
                    if order.came.insert(name, index).is_some() {
                        return Err(format!("twice: {message}"));
                    }
                    if let Some(stay) = stays.get(name) {
                        stay.check_friends(&presence)?;
                    }
                }
                "31" => {
                    order.left.insert(name("LogOutUserName")?, index);
                }
                _ => {
                    let speaker = name("Speaker")?;
                    if !presence.has(speaker) {
                        return Err(format!("{speaker} spoke without being there"));
                    }
                    order.said.entry(speaker).or_default().push(index);
                }
            }
        }
        Ok(order)
    }

    /// Between which two broadcasts of its sender a letter was carried out; `usize::MAX` if there is no first one.
    fn window(&self, sender: &str, letter: &Letter<'_>) -> (usize, usize) {
        let said = self.said.get(sender).map_or(&[][..], |indices| indices);
        let since = match letter.said_before {
            0 => self.came[sender],
            count => *said.get(count - 1).unwrap_or(&usize::MAX),
        };
        let until = *said.get(letter.said_before).unwrap_or(&self.left[sender]);
        (since, until)
    }

    /// Checks that a client saw its share of the one order.
    fn check_broadcasts(&self, stay: &Stay) -> Result<(), String> {
        let name = stay.name.as_str();
        let wrong = |what: String| Err(format!("{name}: {what}"));
        let (came, left) = (self.came[name], self.left[name]);
        let mut expected = self.broadcasts[came + 1..left].iter();
        for message in stay.received.iter().filter(|message| is_broadcast(message)) {
            match expected.next() {
                Some(expected) if *expected == message => {}
                expected => {
                    return wrong(format!("it saw {message} where others saw {expected:?}"));
                }
            }
        }
        match expected.next() {
            Some(missed) if stay.is_whole => wrong(format!("it missed {missed}")),
            _ => Ok(()),
        }
    }

    /// Checks that what a client said to the room is in the one order.
    fn check_said(&self, stay: &Stay) -> Result<(), String> {
        let name = stay.name.as_str();
        let wrong = |what: String| Err(format!("{name}: {what}"));
        let said = self.said.get(name).map_or(&[][..], |indices| indices);
        let mut own = stay.sent.iter().filter(|message| command(message) == "05");
        for index in said {
            let heard = &self.broadcasts[*index]["Message"];
            match own.next() {
                Some(own) if own["Message"] == *heard => {}
                own => return wrong(format!("it was heard to say {heard}, and said {own:?}")),
            }
        }
        match own.next() {
            Some(lost) if stay.is_whole => wrong(format!("nobody heard {lost}")),
            _ => Ok(()),
        }
    }

    /// Checks each 13 that a client received, and notes it in the letters.
    fn check_deliveries<'s>(
        &self,
        stay: &'s Stay,
        letters: &mut Letters<'s>,
    ) -> Result<(), String> {
        // Where in the order the next broadcast is.
        let mut next = self.came[stay.name.as_str()] + 1;
        let mut latest: HashMap<&str, usize> = HashMap::new();
        for message in &stay.received {
            next += usize::from(is_broadcast(message));
            if command(message) != "13" {
                continue;
            }
            let wrong = |what: &str| Err(format!("{}, {message}: {what}", stay.name));
            let sender = message["FriendName"].as_str().unwrap_or_default();
            let text = message["Message"].as_str().unwrap_or_default();
            let of_sender = letters
                .get_mut(sender)
                .map_or(&mut [][..], |letters| letters);
            let Some(number) = of_sender.iter().position(|letter| letter.text == text) else {
                return wrong("nobody wrote this");
            };
            let letter = &mut of_sender[number];
            if !letter.friend.eq_ignore_ascii_case(&stay.name) {
                return wrong("this was for somebody else");
            }
            if letter.receiver.replace(stay).is_some() {
                return wrong("this was received before");
            }
            if latest
                .insert(sender, number)
                .is_some_and(|latest| latest > number)
            {
                return wrong("one that was sent later came earlier");
            }
            let (since, until) = self.window(sender, letter);
            if since >= next {
                return wrong("this has overtaken a broadcast of its sender");
            }
            if until < next {
                return wrong("a broadcast of its sender has overtaken this");
            }
        }
        Ok(())
    }

    /// Checks that receipts tell the truth, and that no letter was lost.
    fn check_fates(
        &self,
        stays: &[&Stay],
        letters: &Letters<'_>,
        summary: &mut Summary,
    ) -> Result<(), String> {
        let mut friends: HashMap<String, Vec<Friend<'_>>> = HashMap::new();
        for stay in stays {
            let named = friends.entry(stay.name.to_lowercase()).or_default();
            named.push(self.friend(stay));
        }
        for sender in stays {
            let name = sender.name.as_str();
            let mut is_carried_out = sender.is_whole;
            // Who received later letters of this sender.
            let mut latest: HashSet<&str> = HashSet::new();
            // To whom later letters of this sender were written, by their receipts.
            let mut written: HashSet<&str> = HashSet::new();
            for letter in letters.get(name).into_iter().flatten().rev() {
                let wrong = |what: &str| {
                    let start: String = letter.text.chars().take(20).collect();
                    Err(format!("{name} to {}, {start:?}…: {what}", letter.friend))
                };
                let (since, until) = self.window(name, letter);
                is_carried_out |= letter.flag.is_some() || letter.receiver.is_some();
                is_carried_out |= until < self.left[name];
                let named = friends.get(&letter.friend.to_lowercase());
                let named = named.map_or(&[][..], |friends| friends);
                let there = named
                    .iter()
                    .find(|friend| friend.came <= since && friend.left >= until);
                match (letter.flag, there) {
                    (Some(1), Some(friend)) => _ = written.insert(friend.name),
                    (Some(0), Some(friend)) if written.contains(friend.name) => {
                        return wrong("the receipt says 0, but that of a later letter says 1");
                    }
                    (Some(0), Some(_)) => summary.broken_off += 1,
                    _ => {}
                }
                // Who tore its connection may not have read what was written to it last.
                let mut torn = named.iter().filter(|friend| {
                    let was_there = friend.came <= until && friend.left >= since;
                    was_there && !friend.has_read(until) && !latest.contains(friend.name)
                });
                // A client that was there before the letter and after it, and read on, must have received it.
                let certain = there.filter(|friend| is_carried_out && friend.has_read(until));
                match (letter.flag, letter.receiver) {
                    (Some(1), None) if torn.next().is_none() => {
                        return wrong("the receipt says 1, but nobody received it");
                    }
                    (Some(0), Some(receiver)) if receiver.is_whole => {
                        return wrong("the receipt says 0, but it was received");
                    }
                    (Some(0), None) if certain.is_some() => {
                        return wrong("the receipt says 0, but the friend was there");
                    }
                    (_, None) if certain.is_some() => return wrong("it was lost"),
                    _ => {}
                }
                if let Some(receiver) = letter.receiver {
                    if certain.is_some_and(|friend| friend.name != receiver.name) {
                        return wrong("it went to somebody who was not there");
                    }
                    latest.insert(&receiver.name);
                }
                summary.certain += usize::from(certain.is_some());
                summary.delivered += usize::from(letter.receiver.is_some());
                if let Some(flag) = letter.flag {
                    summary.receipts[flag as usize] += 1;
                }
            }
        }
        Ok(())
    }

    fn friend<'s>(&self, stay: &'s Stay) -> Friend<'s> {
        let name = stay.name.as_str();
        let came = self.came[name];
        let seen = stay.received.iter().filter(|message| is_broadcast(message));
        Friend {
            name,
            came,
            left: self.left[name],
            next: match stay.is_whole {
                true => usize::MAX,
                false => came + 1 + seen.count(),
            },
        }
    }
}

/// One to whom letters were written.
struct Friend<'a> {
    name: &'a str,
    came: usize,
    left: usize,
    /// The first broadcast that it did not read; `usize::MAX` if it read all that it was sent.
    next: usize,
}

impl Friend<'_> {
    /// Whether it read all that it was sent before this broadcast.
    fn has_read(&self, until: usize) -> bool {
        self.next > until
    }
}

fn letters_of(stay: &Stay) -> Vec<Letter<'_>> {
    let mut letters = Vec::new();
    let mut said_before = 0;
    for message in &stay.sent {
        said_before += usize::from(command(message) == "05");
        if command(message) == "04" {
            letters.push(Letter {
                friend: message["FriendName"].as_str().unwrap_or_default(),
                text: message["Message"].as_str().unwrap_or_default(),
                said_before,
                flag: None,
                receiver: None,
            });
        }
    }
    letters
}

/// Checks that a client received what it was owed and nothing else, and notes its receipts in its letters.
fn check_replies(stay: &Stay, letters: &mut Letters<'_>) -> Result<(), String> {
    let name = stay.name.as_str();
    let own = letters.get_mut(name).map_or(&mut [][..], |letters| letters);
    let mut notices = 0;
    for message in &stay.received[1..] {
        let wrong = |what: &str| Err(format!("{name}, {message}: {what}"));
        match (command(message), message["Flag"].as_u64()) {
            ("30" | "31" | "32" | "13", _) => {}
            ("14", None) if **message == json!({"Command": "14"}) => {}
            ("14", Some(flag @ 0..=1)) => {
                let shown = message["FriendName"].as_str().unwrap_or_default();
                let due = own.iter_mut().find(|letter| {
                    letter.flag.is_none() && letter.friend.eq_ignore_ascii_case(shown)
                });
                match due {
                    Some(letter) if letter.friend == shown => letter.flag = Some(flag),
                    _ => return wrong("the turn of this receipt has not come"),
                }
                if message["Message"].is_string() != (flag == 0) {
                    return wrong("a reason belongs to a 0, and only to a 0");
                }
            }
            ("10", _) => notices += 1,
            _ => return wrong("nobody asked for this"),
        }
    }
    let mistakes = stay.sent.iter().filter(|message| command(message) == "77");
    let mistakes = mistakes.count();
    if notices > mistakes || stay.is_whole && notices < mistakes {
        return Err(format!(
            "{name}: {mistakes} unknown commands, {notices} notices"
        ));
    }
    match own.iter().find(|letter| letter.flag.is_none()) {
        Some(letter) if stay.is_whole => Err(format!("{name}: no receipt for {:?}", letter.text)),
        _ => Ok(()),
    }
}

/// A small world: Anna is there all the time, Bobby comes and goes and comes again, the second time torn.
#[cfg(test)]
mod tests {
    use std::borrow::Borrow;

    use super::*;
    use crate::harness::{came, delivered, left, said, wrote};

    struct World {
        observer: Stay,
        anna: Stay,
        bobby: Stay,
        torn: Stay,
    }

    fn reply(names: &[&str]) -> Value {
        let friends: Vec<Value> = names.iter().map(|name| json!([name, 1])).collect();
        json!({"Command": "11", "Flag": 1, "Friends": friends})
    }

    fn refused(friend: &str) -> Value {
        json!({"Command": "14", "Comment": "14", "Flag": 0, "FriendName": friend, "Message": "no"})
    }

    fn to_room(text: &str) -> Value {
        json!({"Command": "05", "Message": text})
    }

    fn to_friend(friend: &str, text: &str) -> Value {
        json!({"Command": "04", "FriendName": friend, "Message": text})
    }

    fn stay(name: &str, is_whole: bool, sent: &[Value], received: &[Value]) -> Stay {
        Stay {
            name: name.to_owned(),
            is_whole,
            sent: sent.to_vec(),
            received: received.iter().cloned().map(Arc::new).collect(),
        }
    }

    impl World {
        fn new() -> World {
            let heartbeat = json!({"Command": "14"});
            World {
                observer: stay(
                    "Eyes",
                    true,
                    &[],
                    &[
                        reply(&["Eyes"]),
                        came("Anna", true),
                        came("Bobby", true),
                        said("Anna", "a0"),
                        heartbeat.clone(),
                        said("Anna", "a1"),
                        said("Bobby", "b0"),
                        left("Bobby"),
                        came("BOBBY", true),
                        said("Anna", "a2"),
                        came("Stray", true),
                        left("Stray"),
                        left("BOBBY"),
                        left("Anna"),
                    ],
                ),
                anna: stay(
                    "Anna",
                    true,
                    &[
                        to_room("a0"),
                        to_friend("bobby", "p0"),
                        to_room("a1"),
                        to_friend("bObby", "p1"),
                        to_friend("boBby", "p2"),
                        json!({"Command": "77"}),
                        to_room("a2"),
                        to_friend("ANNA", "p3"),
                    ],
                    &[
                        reply(&["Eyes", "Anna"]),
                        came("Bobby", true),
                        said("Anna", "a0"),
                        delivered("bobby"),
                        said("Anna", "a1"),
                        said("Bobby", "b0"),
                        delivered("bObby"),
                        wrote("Bobby", "q0"),
                        wrote("Bobby", "q1"),
                        heartbeat.clone(),
                        left("Bobby"),
                        refused("boBby"),
                        json!({"Command": "10", "Message": "what?"}),
                        came("BOBBY", true),
                        said("Anna", "a2"),
                        wrote("Anna", "p3"),
                        delivered("ANNA"),
                        came("Stray", true),
                        left("Stray"),
                        left("BOBBY"),
                    ],
                ),
                bobby: stay(
                    "Bobby",
                    true,
                    &[
                        to_room("b0"),
                        to_friend("Anna", "q0"),
                        to_friend("Anna", "q1"),
                    ],
                    &[
                        reply(&["Eyes", "Anna", "Bobby"]),
                        said("Anna", "a0"),
                        wrote("Anna", "p0"),
                        said("Anna", "a1"),
                        wrote("Anna", "p1"),
                        said("Bobby", "b0"),
                        delivered("Anna"),
                        delivered("Anna"),
                    ],
                ),
                torn: stay(
                    "BOBBY",
                    false,
                    &[to_friend("Anna", "q0"), to_room("never read")],
                    &[reply(&["Anna", "BOBBY", "Eyes"]), said("Anna", "a2")],
                ),
            }
        }

        fn check(self) -> Result<Summary, String> {
            let stays = [self.anna, self.bobby, self.torn];
            check(
                &self.observer,
                &stays,
                &[
                    stay("Stray", false, &[], &[]),
                    stay("Absent", false, &[to_room("unheard")], &[]),
                ],
            )
        }
    }

    /// A message, as it was sent or as it was received.
    trait Message: Borrow<Value> + From<Value> {}

    impl<M: Borrow<Value> + From<Value>> Message for M {}

    /// Where a transcript has a message.
    fn at<M: Message>(messages: &[M], wanted: &Value) -> usize {
        messages
            .iter()
            .position(|message| message.borrow() == wanted)
            .unwrap()
    }

    fn swap<M: Message>(messages: &mut [M], one: Value, other: Value) {
        messages.swap(at(messages, &one), at(messages, &other));
    }

    fn remove<M: Message>(messages: &mut Vec<M>, wanted: Value) {
        messages.remove(at(messages, &wanted));
    }

    fn insert_before<M: Message>(messages: &mut Vec<M>, before: Value, message: Value) {
        messages.insert(at(messages, &before), message.into());
    }

    fn replace<M: Message>(messages: &mut [M], old: Value, new: Value) {
        let index = at(messages, &old);
        messages[index] = new.into();
    }

    #[test]
    fn good_transcripts_pass() {
        let summary = World::new().check().unwrap();
        assert_eq!(summary.broadcasts, 12);
        assert_eq!(summary.delivered, 5);
        assert_eq!(summary.receipts, [1, 5]);
        // Anna's first to Bobby and the one to herself, and Bobby's two to her.
        assert_eq!(summary.certain, 4);
        assert_eq!(summary.peak, 4);
    }

    /// What the error says, and how a good world is broken.
    type Fault = (&'static str, fn(&mut World));

    #[test]
    fn broken_transcripts_are_found() {
        #[rustfmt::skip]
        let faults: &[Fault] = &[
            // Presence.
            ("no 11", |world| remove(&mut world.bobby.received, reply(&["Eyes", "Anna", "Bobby"]))),
            ("received nothing", |world| world.torn.received.clear()),
            ("Friends", |world| world.bobby.received[0] = reply(&["Eyes", "Anna"]).into()),
            ("Friends", |world| world.bobby.received[0] = reply(&["Eyes", "Anna", "BOBBY"]).into()),
            ("Friends", |world| world.bobby.received[0] = reply(&["Eyes", "Anna", "Bobby", "Stray"]).into()),
            ("was there", |world| world.bobby.received[0] = reply(&["Eyes", "Anna", "anna", "Bobby"]).into()),
            ("was there", |world| remove(&mut world.observer.received, left("Bobby"))),
            ("was there", |world| insert_before(&mut world.observer.received, left("Anna"), left("BOBBY"))),
            ("was there", |world| insert_before(&mut world.observer.received, left("Anna"), came("ANNA", true))),
            ("nobody logged in so", |world| insert_before(&mut world.observer.received, came("Stray", true), came("Ghost", true))),
            ("without being there", |world| swap(&mut world.observer.received, said("Bobby", "b0"), left("Bobby"))),
            ("come and go", |world| remove(&mut world.observer.received, left("Anna"))),
            // One order.
            ("others saw", |world| swap(&mut world.bobby.received, said("Anna", "a1"), said("Bobby", "b0"))),
            ("others saw", |world| remove(&mut world.bobby.received, said("Anna", "a1"))),
            ("others saw", |world| insert_before(&mut world.bobby.received, said("Anna", "a0"), came("Bobby", true))),
            ("others saw", |world| world.bobby.received.push(left("Bobby").into())),
            ("others saw", |world| world.torn.received.push(said("Anna", "a2").into())),
            ("missed", |world| remove(&mut world.anna.received, left("BOBBY"))),
            // The room.
            ("was heard to say", |world| replace(&mut world.anna.sent, to_room("a1"), to_room("other"))),
            ("was heard to say", |world| swap(&mut world.anna.sent, to_room("a0"), to_room("a1"))),
            ("was heard to say", |world| remove(&mut world.bobby.sent, to_room("b0"))),
            ("nobody heard", |world| world.bobby.sent.push(to_room("lost"))),
            // Private messages.
            ("nobody wrote", |world| replace(&mut world.bobby.received, wrote("Anna", "p0"), wrote("Anna", "p"))),
            ("nobody wrote", |world| replace(&mut world.bobby.received, wrote("Anna", "p0"), wrote("Bobby", "p0"))),
            ("somebody else", |world| world.torn.received.push(wrote("Anna", "p3").into())),
            ("received before", |world| world.anna.received.push(wrote("Bobby", "q0").into())),
            ("received before", |world| world.torn.received.push(wrote("Anna", "p1").into())),
            ("came earlier", |world| {
                swap(&mut world.anna.received, wrote("Bobby", "q0"), wrote("Bobby", "q1"));
            }),
            ("overtaken a broadcast", |world| swap(&mut world.bobby.received, said("Anna", "a0"), wrote("Anna", "p0"))),
            ("overtaken a broadcast", |world| swap(&mut world.anna.received, said("Bobby", "b0"), wrote("Bobby", "q0"))),
            ("has overtaken this", |world| swap(&mut world.bobby.received, wrote("Anna", "p0"), said("Anna", "a1"))),
            ("has overtaken this", |world| swap(&mut world.anna.received, left("Bobby"), wrote("Bobby", "q0"))),
            // Receipts.
            ("turn of this receipt", |world| swap(&mut world.anna.received, delivered("bobby"), delivered("bObby"))),
            ("turn of this receipt", |world| world.bobby.received.push(delivered("Anna").into())),
            ("turn of this receipt", |world| remove(&mut world.anna.received, delivered("bobby"))),
            ("no receipt", |world| remove(&mut world.anna.received, delivered("ANNA"))),
            ("a reason", |world| replace(&mut world.anna.received, refused("boBby"), json!({"Command": "14", "Flag": 0, "FriendName": "boBby"}))),
            ("says 0, but it was received", |world| replace(&mut world.anna.received, delivered("bobby"), refused("bobby"))),
            ("says 0, but the friend was there", |world| {
                remove(&mut world.anna.received, wrote("Anna", "p3"));
                replace(&mut world.anna.received, delivered("ANNA"), refused("ANNA"));
            }),
            ("says 1, but nobody", |world| remove(&mut world.anna.received, wrote("Bobby", "q0"))),
            ("it was lost", |world| {
                world.torn.sent.insert(1, to_friend("Anna", "q1"));
                world.anna.received.insert(at(&world.anna.received, &left("BOBBY")), wrote("BOBBY", "q1").into());
            }),
            ("says 0, but the friend was there", |world| {
                // Who has read what Anna said next has read what she wrote before.
                world.torn.sent.clear();
                world.torn.received.clear();
                world.torn.received.push(reply(&["Anna", "BOBBY", "Eyes"]).into());
                world.torn.received.push(said("Anna", "a2").into());
                world.anna.sent.push(to_friend("bobbY", "p4"));
                world.anna.sent.push(to_room("a3"));
                insert_before(&mut world.observer.received, left("BOBBY"), said("Anna", "a3"));
                insert_before(&mut world.anna.received, left("BOBBY"), said("Anna", "a3"));
                for seen in [came("Stray", true), left("Stray"), said("Anna", "a3")] {
                    world.torn.received.push(seen.into());
                }
                insert_before(&mut world.anna.received, left("BOBBY"), refused("bobbY"));
            }),
            ("a later letter says 1", |world| {
                world.anna.sent.push(to_friend("bobbY", "p4"));
                world.anna.sent.push(to_friend("bobBy", "p5"));
                world.anna.sent.push(to_room("a3"));
                for seen in [said("Anna", "a3"), refused("bobbY"), delivered("bobBy")] {
                    insert_before(&mut world.anna.received, left("BOBBY"), seen);
                }
                insert_before(&mut world.observer.received, left("BOBBY"), said("Anna", "a3"));
            }),
            ("says 1, but nobody", |world| {
                // One of the same name may not have read all, but at another time.
                remove(&mut world.bobby.received, wrote("Anna", "p0"));
            }),
            ("says 1, but nobody", |world| {
                // The same, and what came after it was read.
                world.bobby.is_whole = false;
                remove(&mut world.bobby.received, wrote("Anna", "p0"));
            }),
            ("come and go", |world| remove(&mut world.observer.received, left("Stray"))),
            // Other replies.
            ("notices", |world| remove(&mut world.anna.received, json!({"Command": "10", "Message": "what?"}))),
            ("notices", |world| world.bobby.received.push(json!({"Command": "10", "Message": "what?"}).into())),
            ("nobody asked", |world| world.bobby.received.push(json!({"Command": "12", "Flag": 1}).into())),
            ("nobody asked", |world| world.torn.received.push(reply(&["BOBBY"]).into())),
        ];
        let mut unnoticed = Vec::new();
        for (index, (expected, break_it)) in faults.iter().enumerate() {
            let mut world = World::new();
            break_it(&mut world);
            match world.check() {
                Err(error) if error.contains(expected) => {}
                other => unnoticed.push(format!("{index}, {expected}: {other:?}")),
            }
        }
        assert!(unnoticed.is_empty(), "{unnoticed:#?}");
    }
}
