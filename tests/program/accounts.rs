//! The accounts file: what is in it, and what an editor may leave in it.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Client, Way};
use crate::process::{Chatd, chatd};

/// The password of those who are in a file that a test has written.
pub const PASSWORD: &str = "pleaseletmein";

/// A line of the file, with a hash that RFC 7914 gives for [`PASSWORD`].
pub fn line_for(name: &str) -> String {
    format!(
        r#"{{"name":"{name}","hash":"$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw","registered":"2026-01-01T08:00:00Z"}}"#
    )
}

/// Logs in with a password.
#[track_caller]
pub fn log_in_registered(client: &mut Client, name: &str, password: &str) {
    client.send(&json!({"Command": "01", "Name": name, "Password": password}));
    let roster = client.expect_login();
    assert!(roster.contains(&(name.to_owned(), false)), "{roster:?}");
}

/// Logs in with a password on a connection of its own.
#[track_caller]
pub fn check(server: &Chatd, name: &str, password: &str) {
    let mut client = server.connect();
    log_in_registered(&mut client, name, password);
    client.log_out();
}

#[test]
fn registered_names_are_kept_readable_and_their_passwords_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut client = server.connect();
    client.register("Anna", "Geheimnis1");
    client.register("Bobby", "Geheimnis1");
    client.log_out();
    server.stop();
    let text = fs::read_to_string(folder.path().join("data").join("accounts.jsonl")).unwrap();
    assert!(text.ends_with('\n') && !text.contains("Geheimnis1"));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!([&lines[0]["name"], &lines[1]["name"]], ["Anna", "Bobby"]);
    assert_ne!(lines[0]["hash"], lines[1]["hash"], "the salt is random");
    for line in lines {
        let hash = line["hash"].as_str().unwrap();
        let cost = hash.strip_prefix("$scrypt$ln=").expect("the usual form");
        let log_n: u32 = cost.split(',').next().unwrap().parse().unwrap();
        assert!(log_n >= 15 && cost.contains(",r=8,p=1$"), "{hash}");
        assert_eq!(hash.split('$').count(), 5);
        let time = line["registered"].as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    }
}

#[test]
fn a_file_that_went_through_an_editor_is_accepted() {
    let [anna, bobby] = ["Anna", "Bobby"].map(line_for);
    for edited in [
        format!("{anna}\n{bobby}\n"),
        format!("{anna}\r\n{bobby}\r\n"),
        format!("\u{feff}{anna}\r\n{bobby}\r\n"),
        format!("{anna}\n{bobby}"),
        format!("\u{feff}{anna}\r\n{bobby}"),
        format!("\n\n{anna}\n\r\n\n{bobby}\n\n\n"),
        format!("  {anna}  \n\t{bobby}\n   "),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("accounts.jsonl"), &edited).unwrap();
        let server = Chatd::start(chatd(folder.path()));
        check(&server, "Bobby", PASSWORD);
        let mut client = server.connect();
        client.send(&json!({"Command": "01", "Name": "Anna"}));
        client.expect_refusal("11");
        client.register("Carla", "pass");
        client.log_out();
        server.stop();

        // The new line does not run into one that an editor has left without an end.
        let server = Chatd::start(chatd(folder.path()));
        check(&server, "Carla", "pass");
        let log = server.stop();
        assert!(!log.contains("WARN"), "nothing was dropped: {log}");
    }
}

#[test]
fn a_torn_last_line_is_dropped_and_the_log_says_so() {
    let [anna, bobby] = ["Anna", "Bobby"].map(line_for);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let file = data.join("accounts.jsonl");
    fs::write(&file, format!("{anna}\n{}", &bobby[..bobby.len() - 5])).unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let line = server.log_line("WARN");
    assert!(line.contains(file.to_str().unwrap()), "{line}");
    check(&server, "Anna", PASSWORD);
    let mut bobby = server.connect_as(Way::Tls);
    bobby.log_in("Bobby");
    bobby.register("Bobby", "pass");
    bobby.log_out();
    server.stop();
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .starts_with(&format!("{anna}\n{{"))
    );
    let server = Chatd::start(chatd(folder.path()));
    check(&server, "Bobby", "pass");
    assert!(!server.stop().contains("WARN"));
}

#[test]
fn nothing_is_written_over_an_edit_that_was_made_while_the_server_ran() {
    let [anna, bobby] = ["Anna", "Bobby"].map(line_for);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let file = data.join("accounts.jsonl");
    fs::write(&file, format!("{anna}\n")).unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let edited = format!("{anna}\n{bobby}\n");
    fs::write(&file, &edited).unwrap();
    let mut client = server.connect();
    client.send(&json!({"Command": "02", "Name": "Carla", "Password": "pass"}));
    let why = client.expect_refusal("12");
    assert!(why.contains("restart the server"), "{why}");
    check(&server, "Anna", PASSWORD);
    drop(client);
    server.stop();
    assert_eq!(fs::read_to_string(&file).unwrap(), edited);

    let server = Chatd::start(chatd(folder.path()));
    check(&server, "Bobby", PASSWORD);
    server.connect().register("Carla", "pass");
    server.stop();
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_costs_no_account() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data").join("accounts.jsonl");
    // No file can have more than four blocks of 512 bytes (ulimit in POSIX), and an attempt is an error, not the end.
    let mut command = crate::process::chatd_after("trap '' XFSZ; ulimit -f 4", folder.path());
    command.args(["--max-registrations", "0"]);
    let server = Chatd::start(command);
    let mut client = server.connect();
    let mut names = (0..20).map(|number| format!("Name{number}"));
    let mut registered = Vec::new();
    let refused = loop {
        let name = names.next().expect("a name that there is no room for");
        client.send(&json!({"Command": "02", "Name": name, "Password": "pass"}));
        let reply = client.receive();
        if reply["Flag"] == 0 {
            let why = reply["Message"].as_str().unwrap();
            assert!(why.contains("cannot save"), "{why}");
            break name;
        }
        registered.push(name);
    };
    assert!(registered.len() > 3, "{registered:?}");
    server.log_line("cannot write the accounts file");
    let kept = fs::read_to_string(&file).unwrap();
    assert_eq!(kept.lines().count(), registered.len());
    assert!(!file.with_extension("jsonl.new").exists());
    check(&server, registered.last().unwrap(), "pass");
    drop(client);
    server.stop();

    let server = Chatd::start(chatd(folder.path()));
    check(&server, registered.last().unwrap(), "pass");
    server.connect().register(&refused, "pass");
    assert!(fs::read_to_string(&file).unwrap().starts_with(&kept));
    assert!(!server.stop().contains("WARN"));
}
