//! The data folder while a server runs on it: another server comes, or the folder vanishes.

use std::fs;

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
