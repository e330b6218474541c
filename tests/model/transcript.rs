//! What a client has sent and received, and what must be true of it.

use std::collections::HashSet;

use serde_json::{Value, json};

/// One login, from its 11 on.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    pub(super) name: String,
    /// Whether it was read to the end that the server made.
    pub(super) is_whole: bool,
    pub(super) sent: Vec<Value>,
    pub(super) received: Vec<Value>,
}

impl Transcript {
    /// What came with one of these commands.
    pub(super) fn of<'a>(&'a self, commands: &'a [&str]) -> impl Iterator<Item = &'a Value> {
        let received = self.received.iter();
        received.filter(|message| {
            commands
                .iter()
                .any(|command| message["Command"] == *command)
        })
    }

    /// The texts of what one user said or wrote, in the order in which they came.
    pub(super) fn texts_of(&self, name: &str) -> Vec<&str> {
        let of_name = self
            .received
            .iter()
            .filter(|message| match &message["Command"] {
                command if command == "32" => message["Speaker"] == name,
                command if command == "13" => message["FriendName"] == name,
                _ => false,
            });
        of_name
            .map(|message| message["Message"].as_str().expect("text"))
            .collect()
    }

    /// The flags of the receipts, in the order in which they came.
    pub(super) fn receipts(&self) -> Vec<u64> {
        let receipts = self
            .of(&["14"])
            .filter(|message| message["Comment"].is_string());
        receipts
            .map(|message| message["Flag"].as_u64().expect("a flag"))
            .collect()
    }
}

/// Checks presence and the one order: `observer` was there from before all others came until after they left.
pub(super) fn check_presence(observer: &Transcript, others: &[Transcript]) {
    let all: Vec<&Value> = observer.of(&["30", "31", "32"]).collect();
    // Who is online after each broadcast, the first being those in the observer's own roster.
    let mut online = HashSet::from([json!(observer.name)]);
    let mut history = vec![online.clone()];
    for broadcast in &all {
        let is_right = match broadcast["Command"].as_str() {
            Some("30") => online.insert(broadcast["LogOnUserName"].clone()),
            Some("31") => online.remove(&broadcast["LogOutUserName"]),
            _ => broadcast["Speaker"] == "admin" || online.contains(&broadcast["Speaker"]),
        };
        assert!(is_right, "{broadcast} in {all:#?}");
        history.push(online.clone());
    }
    assert_eq!(online.len(), 1, "not all have left: {all:#?}");

    for other in others {
        let friends = other.received[0]["Friends"].as_array().expect("a roster");
        let friends: HashSet<Value> = friends.iter().map(|friend| friend[0].clone()).collect();
        assert!(other.of(&["11"]).count() == 1, "{other:#?}");
        let heard: Vec<&Value> = other.of(&["30", "31", "32"]).collect();
        let came = json!({"Command": "30", "LogOnUserName": other.name, "IsUserGuest": 1});
        let left = json!({"Command": "31", "LogOutUserName": other.name});
        let at = |notice: &Value| all.iter().position(|broadcast| *broadcast == notice);
        let (Some(start), Some(end)) = (at(&came), at(&left)) else {
            panic!("{} did not come and go in {all:#?}", other.name);
        };
        assert_eq!(history[start + 1], friends, "{other:#?}");
        let followed = &all[start + 1..end];
        assert!(
            followed.starts_with(&heard) && (!other.is_whole || followed.len() == heard.len()),
            "{other:#?}\ndoes not fit\n{all:#?}"
        );
    }
    let came = all.iter().filter(|broadcast| broadcast["Command"] == "30");
    assert_eq!(came.count(), others.len(), "{all:#?}");
}
