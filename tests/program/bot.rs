//! The example bot, tried on the program.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, came, delivered, left, said, wrote};
use crate::process::{Chatd, Process, chatd, example};

fn bot(server: &Chatd, name: &str) -> Process {
    let mut command = example("bot");
    let address = server.plain_address();
    command
        .arg(address.ip().to_string())
        .arg(name)
        .args(["--port", &address.port().to_string()]);
    Process::start(command)
}

/// Says a command in the room, and returns what the bot says to it.
#[track_caller]
fn ask(client: &mut Client, command: &str) -> String {
    client.say(command);
    client.expect(said("Anna", command));
    let answer = client.expect_command("32");
    assert_eq!(answer["Speaker"], "ChatBot", "{answer}");
    answer["Message"].as_str().unwrap().to_owned()
}

#[test]
fn the_bot_answers_commands_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    let mut bot = bot(&server, "ChatBot");
    anna.expect(came("ChatBot", true));

    let help = ask(&mut anna, "!help");
    for command in ["!help", "!time", "!dice", "!who"] {
        assert!(help.contains(command), "{help}");
    }
    let time = ask(&mut anna, "!time");
    let digits = time.strip_prefix("it is ").unwrap().split(':');
    let parts: Vec<u8> = digits.map(|part| part.parse().unwrap()).collect();
    assert_eq!(parts.len(), 3, "{time}");
    let dice = ask(&mut anna, " !dice ");
    let face = dice.strip_prefix("Anna rolls a ").unwrap();
    assert!((1..=6).contains(&face.parse::<u8>().unwrap()), "{dice}");
    assert_eq!(ask(&mut anna, "!who"), "2 online: Anna, ChatBot");

    // Neither talk nor unknown commands are answered: the next thing said is an answer to `!who`.
    let bobby = server.guest("Bobby");
    anna.expect(came("Bobby", true));
    for text in ["help!", "hello !help", "!nonsense", ""] {
        anna.say(text);
        anna.expect(said("Anna", text));
    }
    assert_eq!(ask(&mut anna, "!who"), "3 online: Anna, Bobby, ChatBot");
    drop(bobby);
    anna.expect(left("Bobby"));
    // The bot may not have heard of it yet. It will have when it hears this, and what comes after this.
    anna.say("bye, Bobby");
    anna.expect(said("Anna", "bye, Bobby"));

    anna.write_to("ChatBot", "!who");
    let mut replies = [anna.receive(), anna.receive()];
    replies.sort_by_key(|reply| reply["Command"].to_string());
    assert_eq!(
        replies,
        [
            wrote("ChatBot", "2 online: Anna, ChatBot"),
            delivered("ChatBot")
        ]
    );

    drop(anna);
    server.stop();
    assert_eq!(bot.wait().code(), Some(1));
    let complaint = bot.err.all();
    assert!(complaint.contains("closed"), "{complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
}

#[test]
fn bots_leave_each_other_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    let bots = ["ChatBot", "DiceBot"].map(|name| {
        let bot = bot(&server, name);
        anna.expect(came(name, true));
        bot
    });
    let mut robot = server.guest("Robot");
    anna.expect(came("Robot", true));
    for _ in 0..2 {
        robot.say("!help");
        anna.expect(said("Robot", "!help"));
        anna.say("!dice");
        anna.expect(said("Anna", "!dice"));
        // One answer from each; what they make of each other's would come in the next round.
        let mut speakers = [(); 2].map(|()| anna.expect_command("32")["Speaker"].clone());
        speakers.sort_by_key(ToString::to_string);
        assert_eq!(speakers, [json!("ChatBot"), json!("DiceBot")]);
    }
    drop((anna, robot, bots));
    server.stop();
}

#[test]
fn a_flood_of_commands_is_answered_in_part_and_the_bot_lives_on() {
    const FLOOD: usize = 1000;
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.args(["--rate", "0", "--byte-rate", "0"]);
    let server = Chatd::start(command);
    let mut anna = server.guest("Anna");
    let _bot = bot(&server, "ChatBot");
    anna.expect(came("ChatBot", true));
    let mut answers = 0;
    for _ in 0..FLOOD {
        anna.say("!dice");
    }
    // It answers in turn, so whatever it says in private now comes after all that it says to the flood.
    loop {
        anna.write_to("ChatBot", "!who");
        let is_receipt = |message: &Value| message["Command"] == "14";
        let messages: Vec<Value> = std::iter::repeat_with(|| anna.receive())
            .take_while(|message| !is_receipt(message))
            .collect();
        let by_bot = |message: &&Value| message["Speaker"] == "ChatBot";
        answers += messages.iter().filter(by_bot).count();
        if messages.iter().any(|message| message["Command"] == "13") {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    assert!((1..FLOOD).contains(&answers), "{answers}");
    drop(anna);
    server.stop();
}

#[test]
fn a_bot_without_a_place_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut nameless = bot(&server, "Bot");
    assert_eq!(nameless.wait().code(), Some(1));
    let complaint = nameless.err.all();
    assert!(complaint.contains("4 to 64"), "{complaint}");
    server.stop();
}
