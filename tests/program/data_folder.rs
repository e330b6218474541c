//! The data folder while a server runs on it: another server comes, or the folder vanishes. And what others may have put
//! into it, or can do to it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::accounts::log_in_registered;
use crate::harness::{Client, Way, came, left, said};
use crate::process::{Chatd, chatd, refused};

/// Two talk, and somebody logs in with a password.
#[track_caller]
fn expect_service(server: &Chatd, anna: &mut Client) {
    let mut bobby = server.connect_as(Way::Tls);
    bobby.log_in("Bobby");
    anna.expect(came("Bobby", true));
    anna.say("still here");
    for client in [&mut *anna, &mut bobby] {
        client.expect(said("Anna", "still here"));
    }
    bobby.log_out();
    anna.expect(left("Bobby"));
    log_in_registered(&mut server.connect(), "Carla", "pass");
    anna.expect(came("Carla", false));
    anna.expect(left("Carla"));
}

#[test]
fn a_data_folder_that_vanishes_does_not_stop_the_chat() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    anna.register("Carla", "pass");
    fs::remove_dir_all(&data).unwrap();
    expect_service(&server, &mut anna);
    drop(anna);
    let log = server.stop();
    assert!(!log.contains("internal error"), "{log}");
    assert!(!data.exists(), "nobody has asked for a new one");

    // The next one begins anew.
    let server = Chatd::start(chatd(folder.path()));
    server.connect().register("Carla", "other");
    server.stop();
}

#[test]
fn a_registration_is_refused_when_the_data_folder_has_vanished() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    anna.register("Carla", "pass");
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    // An account that is gone when the server is would be none.
    anna.send(&json!({"Command": "02", "Name": "Dora", "Password": "pass"}));
    let why = anna.expect_refusal("12");
    assert!(why.contains("cannot save"), "{why}");
    server.log_line("accounts file");
    expect_service(&server, &mut anna);
    drop(anna);
    server.stop();
}

#[test]
fn a_data_folder_has_one_server_by_whatever_path_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    anna.register("Carla", "pass");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("data"), &link).unwrap();
    let mut by_link = chatd(folder.path());
    by_link.arg("--data-dir").arg(&link);
    let mut relative = chatd(folder.path());
    relative.current_dir(folder.path());
    relative.args(["--data-dir", "./data/../data"]);
    for second in [by_link, relative] {
        let complaint = refused(second);
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        assert!(
            complaint.contains("another chatd is using the data folder"),
            "{complaint}"
        );
        expect_service(&server, &mut anna);
    }
    drop(anna);
    server.stop();
}

/// Puts something that is no regular file at a path.
fn put(kind: &str, path: &Path) {
    match kind {
        "a named pipe" => {
            let made = Command::new("mkfifo").arg(path).status();
            assert!(made.unwrap().success());
        }
        "a folder" => fs::create_dir(path).unwrap(),
        "a socket" => drop(UnixListener::bind(path).unwrap()),
        "a device" => symlink("/dev/zero", path).unwrap(),
        _ => unreachable!(),
    }
}

#[track_caller]
fn expect_line(command: Command, words: &[&str]) {
    let complaint = refused(command);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    for word in words {
        assert!(complaint.contains(word), "no {word} in: {complaint}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    Chatd::start(chatd(folder.path())).stop();
    let data = folder.path().join("data");
    for kind in ["a named pipe", "a folder", "a socket", "a device"] {
        for name in ["accounts.jsonl", "bans.json", "certificate.pem", "key.pem"] {
            let (path, aside) = (data.join(name), data.join("aside"));
            let was_there = fs::rename(&path, &aside).is_ok();
            put(kind, &path);
            let words = [path.to_str().unwrap(), kind];
            expect_line(chatd(folder.path()), &words);
            if name == "certificate.pem" || name == "key.pem" {
                let mut by_flags = chatd(folder.path());
                by_flags.arg("--tls-cert").arg(data.join("certificate.pem"));
                by_flags.arg("--tls-key").arg(data.join("key.pem"));
                expect_line(by_flags, &words);
            }
            fs::remove_file(&path)
                .or_else(|_| fs::remove_dir(&path))
                .unwrap();
            if was_there {
                fs::rename(&aside, &path).unwrap();
            }
        }
    }
    Chatd::start(chatd(folder.path())).stop();
}

#[test]
fn a_trap_in_the_place_of_the_lock_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let lock = data.join("chatd.lock");
    let [other, absent] = ["other", "absent"].map(|name| folder.path().join(name));
    fs::create_dir(&data).unwrap();
    fs::write(&other, "kept").unwrap();
    for target in [&other, &absent] {
        symlink(target, &lock).unwrap();
        let path = lock.to_str().unwrap();
        let words = [path, "a symbolic link", "delete it", "--data-dir"];
        expect_line(chatd(folder.path()), &words);
        fs::remove_file(&lock).unwrap();
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
    assert!(!absent.exists());
    put("a named pipe", &lock);
    expect_line(chatd(folder.path()), &["chatd.lock is a named pipe"]);
    fs::remove_file(&lock).unwrap();

    // What stands in the file stays.
    fs::write(&lock, "kept").unwrap();
    Chatd::start(chatd(folder.path())).stop();
    assert_eq!(fs::read_to_string(&lock).unwrap(), "kept");
}

#[test]
fn a_pipe_in_the_place_of_the_accounts_holds_up_no_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut anna = server.guest("Anna");
    anna.register("Carla", "pass");
    let accounts = folder.path().join("data").join("accounts.jsonl");
    fs::remove_file(&accounts).unwrap();
    put("a named pipe", &accounts);
    anna.send(&json!({"Command": "02", "Name": "Dora", "Password": "pass"}));
    let why = anna.expect_refusal("12");
    assert!(why.contains("named pipe"), "{why}");
    expect_service(&server, &mut anna);
    drop(anna);
    server.stop();
}

/// The warnings of a start.
fn warnings(folder: &Path) -> Vec<String> {
    let log = Chatd::start(chatd(folder)).stop();
    let is_warning = |line: &&str| line.contains(" WARN ");
    log.lines().filter(is_warning).map(str::to_owned).collect()
}

#[test]
fn what_others_could_do_to_the_data_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert_eq!(warnings(folder.path()), [""; 0]);
    fs::write(data.join("bans.json"), "[]").unwrap();
    let set = |name: &str, mode| {
        fs::set_permissions(data.join(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    for (name, mode, private, words) in [
        ("", 0o777, 0o700, "can change the data folder"),
        (
            "accounts.jsonl",
            0o664,
            0o600,
            "can change the accounts file",
        ),
        ("bans.json", 0o646, 0o600, "can change the file of bans"),
        ("key.pem", 0o644, 0o600, "can read the private key"),
    ] {
        set("bans.json", 0o600);
        set(name, mode);
        let found = warnings(folder.path());
        assert!(
            matches!(&found[..], [one] if one.contains(words)),
            "{found:?}"
        );
        set(name, private);
    }

    for name in ["", "accounts.jsonl", "bans.json", "key.pem"] {
        let path = data.join(name);
        if chown(&path, Some(12345), None).is_err() {
            eprintln!("SKIPPED: only root can give a file to another user");
            return;
        }
        let found = warnings(folder.path());
        assert!(
            matches!(&found[..], [one] if one.contains("belongs to user number 12345")),
            "{found:?}"
        );
        chown(&path, Some(0), None).unwrap();
    }
}

#[test]
fn what_a_damaged_file_holds_is_escaped_in_the_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    for (name, contents) in [
        (
            "bans.json",
            r#"[{"name":"Carol","\u001b[2J\u202e\nword":1}]"#,
        ),
        ("bans.json", r#"[{"name":"\u001b[2J\u202e\nword"}]"#),
        ("bans.json", r#"[{"address":"\u001b[2J\u202e\nword"}]"#),
        ("bans.json", r#"["\u001b[2J\u202e\nword"]"#),
        (
            "accounts.jsonl",
            "{\"name\":\"\\u001b[2J\\u202e\\nword\",\"hash\":\"\"}\n",
        ),
        (
            "accounts.jsonl",
            "{\"name\":\"Carol\",\"hash\":\"\\u001b[2J\\u202e\\nword\"}\n",
        ),
        ("accounts.jsonl", "\"\\u001b[2J\\u202e\\nword\"\n"),
    ] {
        fs::write(data.join(name), contents).unwrap();
        let complaint = refused(chatd(folder.path()));
        let sentence = complaint.strip_suffix('\n').unwrap();
        assert!(sentence.contains(name), "{sentence:?}");
        let is_raw = |character: char| character.is_control() || character == '\u{202e}';
        assert!(!sentence.contains(is_raw), "{sentence:?}");
        fs::remove_file(data.join(name)).unwrap();
    }
}
