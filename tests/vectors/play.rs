//! Carries out the steps of one case.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, TestServer, Way};
use crate::pattern::{fits, list};

/// The messages that are judged even where a case does not ask for them; receipts are not.
const COUNTED: [&str; 6] = ["11", "12", "13", "30", "31", "32"];

/// A connection of the case, and who is logged in on it.
struct Peer {
    client: Client,
    name: String,
}

/// What came, or did not.
enum Event {
    Message(Value),
    Nothing,
    End,
}

/// One case, while it is played.
pub struct Play<'a> {
    server: &'a TestServer,
    way: Way,
    case: &'a Value,
    peers: HashMap<String, Peer>,
    saved: HashMap<String, Value>,
    /// What names end in, so that cases do not get in each other's way.
    suffix: String,
    /// The round of the innermost `repeat`.
    round: u64,
    probes: usize,
}

impl<'a> Play<'a> {
    pub fn new(server: &'a TestServer, way: Way, case: &'a Value, number: usize) -> Play<'a> {
        Play {
            server,
            way,
            case,
            peers: HashMap::new(),
            saved: HashMap::new(),
            // The first three characters must differ between the cases, too.
            suffix: format!("{number:03}of{}", case["id"].as_str().unwrap().len()),
            round: 0,
            probes: 0,
        }
    }

    pub fn run(mut self) {
        self.carry_out(list(&self.case["steps"]));
    }

    fn carry_out(&mut self, steps: &[Value]) {
        for step in steps {
            self.step(step);
        }
    }

    #[track_caller]
    fn fail(&self, step: &Value, what: &str) -> ! {
        panic!("{:?}, {}: {what}\nat {step}", self.way, self.case["id"]);
    }

    fn step(&mut self, step: &Value) {
        let who = |verb: &str| Some(self.filled_text(step.get(verb)?.as_str()?));
        if let Some(who) = who("connect") {
            self.connect(&who);
        } else if let Some(who) = who("login") {
            self.connect(&who);
            let name = self.filled_text(step["as"].as_str().unwrap());
            let peer = self.peers.get_mut(&who).unwrap();
            peer.client.send(&json!({"Command": "01", "Name": name}));
            peer.name = name;
            let welcome = json!({"expect": who, "code": "11", "message": {"Flag": 1}});
            self.expect(&who, &welcome);
        } else if let Some(who) = who("send") {
            self.send(&who, step);
        } else if let Some(who) = who("expect") {
            self.expect(&who, step);
        } else if let Some(who) = who("silence") {
            self.silence(&who, step);
        } else if let Some(who) = who("close") {
            self.peers.remove(&who);
        } else if let Some(who) = who("reset") {
            self.peers.remove(&who).unwrap().client.reset();
        } else if let Some(who) = who("half close") {
            self.peers.get_mut(&who).unwrap().client.half_close();
        } else if let Some(times) = step["repeat"].as_u64() {
            for round in 1..=times {
                self.round = round;
                self.carry_out(list(&step["steps"]));
            }
        } else {
            self.fail(step, "no such step");
        }
    }

    fn connect(&mut self, who: &str) {
        let peer = Peer {
            client: self.server.connect_as(self.way),
            name: String::new(),
        };
        self.peers.insert(who.to_owned(), peer);
    }

    fn send(&mut self, who: &str, step: &Value) {
        let bytes = if let Some(hex) = step["hex"].as_str() {
            let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (0..hex.len()).step_by(2).map(digits).collect()
        } else if let Some(text) = step.get("text") {
            self.way.frame(self.filled(text).as_str().unwrap())
        } else {
            let one = std::slice::from_ref(&step["message"]);
            let messages = step.get("messages").map_or(one, list).iter();
            let frames = messages.map(|message| self.way.frame(&self.filled(message).to_string()));
            frames.collect::<Vec<_>>().concat()
        };
        let mut ends: Vec<usize> = match &step["cut"] {
            Value::Null => Vec::new(),
            Value::String(_) => (1..bytes.len()).collect(),
            cuts => list(cuts)
                .iter()
                .map(|cut| cut.as_u64().unwrap() as usize)
                .collect(),
        };
        ends.push(bytes.len());
        let pause = Duration::from_millis(step["pause"].as_u64().unwrap_or(1));
        let peer = self.peers.get_mut(who).unwrap();
        let mut start = 0;
        for end in ends {
            if start > 0 {
                thread::sleep(pause);
            }
            let sent = peer.client.try_send_bytes(&bytes[start..end]);
            if sent.is_err() && step["may fail"] != true {
                self.fail(step, "cannot send");
            }
            start = end;
        }
    }

    /// The next message that is to be judged. With `may_be_nothing`, the answer to a question shows that there is
    /// none.
    fn next(&mut self, who: &str, codes: &[&str], may_be_nothing: bool) -> Event {
        let peer = self.peers.get_mut(who).unwrap();
        let question = Question::about(codes, &peer.name);
        if may_be_nothing {
            // If this can't be sent any more, an end is what will come.
            let question = self.way.frame(&question.asked_by(&peer.name).to_string());
            let _ = peer.client.try_send_bytes(&question);
        }
        loop {
            let Some(frame) = peer.client.next_frame() else {
                return Event::End;
            };
            let message: Value = serde_json::from_slice(&frame).expect("JSON");
            let code = code_of(&message);
            if may_be_nothing && question.is_answered_by(&message) {
                return Event::Nothing;
            }
            if !codes.contains(&code) && !COUNTED.contains(&code) {
                continue;
            }
            let name = match code {
                "13" => &message["FriendName"],
                "30" => &message["LogOnUserName"],
                "31" => &message["LogOutUserName"],
                "32" => &message["Speaker"],
                _ => return Event::Message(message),
            };
            if name.as_str().unwrap().to_lowercase().contains(&self.suffix) {
                return Event::Message(message);
            }
        }
    }

    fn expect(&mut self, who: &str, step: &Value) {
        if let Some(wanted) = step.get("any order") {
            let mut wanted: Vec<&Value> = list(wanted).iter().collect();
            let codes: Vec<&str> = wanted.iter().filter_map(|of| of["code"].as_str()).collect();
            while !wanted.is_empty() {
                let event = self.next(who, &codes, false);
                match wanted.iter().position(|of| self.is_as(of, &event)) {
                    Some(at) => drop(wanted.remove(at)),
                    None => self.fail(step, &event.told()),
                }
            }
            return;
        }
        let one = std::slice::from_ref(step);
        let wanted = step.get("either").map_or(one, list);
        let codes: Vec<&str> = wanted.iter().filter_map(|of| of["code"].as_str()).collect();
        let may_be_nothing = wanted.iter().any(|of| of.get("nothing").is_some());
        let event = self.next(who, &codes, may_be_nothing);
        match wanted.iter().find(|of| self.is_as(of, &event)) {
            Some(fitting) if fitting.get("absent").is_none() => {
                if may_be_nothing && matches!(event, Event::Message(_)) {
                    // Takes the answer to the question, and whatever comes before it.
                    let question = Question::about(&codes, &self.peers[who].name);
                    while matches!(self.next_of(question, who), Event::Message(_)) {}
                }
            }
            _ => self.fail(step, &event.told()),
        }
    }

    /// What comes up to the answer to a question that was asked before.
    fn next_of(&mut self, question: Question, who: &str) -> Event {
        let client = &mut self.peers.get_mut(who).unwrap().client;
        match client.next_frame() {
            None => Event::End,
            Some(frame) => {
                let message: Value = serde_json::from_slice(&frame).expect("JSON");
                match question.is_answered_by(&message) {
                    true => Event::Nothing,
                    false => Event::Message(message),
                }
            }
        }
    }

    fn is_as(&mut self, wanted: &Value, event: &Event) -> bool {
        match event {
            Event::Nothing => wanted.get("nothing").is_some(),
            Event::End => wanted.get("end").is_some(),
            Event::Message(message) => {
                let pattern = self.filled(wanted.get("message").unwrap_or(&json!({})));
                wanted["code"] == code_of(message) && fits(&pattern, message, &mut self.saved)
            }
        }
    }

    fn silence(&mut self, who: &str, step: &Value) {
        let Some(prober) = step["probe"].as_str() else {
            return match self.next(who, &[], true) {
                Event::Message(message) => self.fail(step, &message.to_string()),
                Event::Nothing | Event::End => {}
            };
        };
        self.probes += 1;
        let text = format!("probe {}", self.probes);
        let name = self.peers[who].name.clone();
        let prober = &mut self.peers.get_mut(prober).unwrap().client;
        prober.write_to(&name, &text);
        match self.next(who, &[], false) {
            Event::Message(message) if message["Message"] == text => {}
            other => self.fail(step, &other.told()),
        }
    }

    /// A copy in which `${alice}` has become a name, and `$repeat` a long text.
    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.filled_text(text).into(),
            Value::Array(values) => values.iter().map(|value| self.filled(value)).collect(),
            Value::Object(values) => match values.get("$repeat") {
                Some(text) => {
                    let times = values["times"].as_u64().unwrap() as usize;
                    self.filled_text(text.as_str().unwrap())
                        .repeat(times)
                        .into()
                }
                None => values
                    .iter()
                    .map(|(key, value)| (key.clone(), self.filled(value)))
                    .collect(),
            },
            _ => value.clone(),
        }
    }

    fn filled_text(&self, text: &str) -> String {
        let mut parts = text.split("${");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (variable, rest) = part.split_once('}').expect("a closing brace");
            let (name, change) = variable.split_once('|').unwrap_or((variable, ""));
            let text = match name {
                "i" => self.round.to_string(),
                "suffix" => self.suffix.clone(),
                "three" => self.suffix[..3].to_owned(),
                _ => format!("{name}{}", self.suffix),
            };
            filled += &match change {
                "" => text,
                "upper" => text.to_uppercase(),
                "lower" => text.to_lowercase(),
                other => panic!("no change: {other}"),
            };
            filled += rest;
        }
        filled
    }
}

/// What a peer asks to learn that nothing came of what it sent before: the answer comes after whatever could have come
/// of that. (What came of others may still come.)
#[derive(Clone, Copy)]
enum Question {
    /// An unknown command, for what the connection's own thread would have answered.
    Unknown,
    /// A message to itself. What a client says is one sequence, and only that; a 10 may come before it.
    ToOneself,
}

impl Question {
    const TEXT: &'static str = "was that all?";

    /// What to ask where these codes, or none, may come to the user of this name, which is empty before login.
    fn about(codes: &[&str], name: &str) -> Question {
        let may_be_said = codes.is_empty() || codes.iter().any(|code| ["13", "32"].contains(code));
        match may_be_said && !name.is_empty() {
            true => Question::ToOneself,
            false => Question::Unknown,
        }
    }

    fn asked_by(self, name: &str) -> Value {
        match self {
            Question::Unknown => json!({"Command": "77"}),
            Question::ToOneself => {
                json!({"Command": "04", "FriendName": name, "Message": Self::TEXT})
            }
        }
    }

    fn is_answered_by(self, message: &Value) -> bool {
        match self {
            Question::Unknown => code_of(message) == "10",
            Question::ToOneself => message["Message"] == Self::TEXT,
        }
    }
}

impl Event {
    fn told(&self) -> String {
        match self {
            Event::Message(message) => message.to_string(),
            Event::Nothing => "nothing came".to_owned(),
            Event::End => "the connection ended".to_owned(),
        }
    }
}

/// What kind of message this is.
#[track_caller]
fn code_of(message: &Value) -> &str {
    let command = message["Command"].as_str().expect("a string");
    assert!(command.len() == 2, "{message}");
    match command {
        "14" if message.get("Flag").is_some() => "receipt",
        "14" => "heartbeat",
        _ => command,
    }
}
