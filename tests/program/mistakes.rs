//! Mistakes: each gets a line that names the flag or the file, and an exit status that is not 0.

use std::fs;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};

use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use tempfile::TempDir;

use crate::accounts::line_for;
use crate::certificate::{issue, key_on, own_pair, pem_of};
use crate::process::{Chatd, Process, chatd, refused};

/// Checks that a start with these arguments ends with one line, which holds all of `words`.
#[track_caller]
fn expect_line(folder: &Path, arguments: &[&str], words: &[&str]) {
    let mut command = chatd(folder);
    command.args(arguments);
    let complaint = refused(command);
    assert_eq!(complaint.lines().count(), 1, "{arguments:?}: {complaint}");
    for word in words {
        assert!(complaint.contains(word), "no {word} in: {complaint}");
    }
}

/// Writes a file into the folder, and returns its path.
fn file(folder: &TempDir, name: &str, contents: impl AsRef<[u8]>) -> String {
    // With the system's own separators, as chatd shows it.
    let path: PathBuf = folder.path().join(name).components().collect();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, contents).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_port_that_is_in_use_is_named_with_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--port", "--tls-port", "--web-port"] {
        expect_line(folder.path(), &[flag, &port], &[flag, &port]);
    }
    // With all addresses it must not go unnoticed that one of them is in use.
    expect_line(
        folder.path(),
        &["--bind=0.0.0.0", "--port", &port],
        &["--port", &port],
    );
}

#[test]
fn an_address_that_the_machine_does_not_have_is_named_with_those_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let interfaces = if_addrs::get_if_addrs().unwrap().into_iter();
    let own = interfaces.map(|interface| interface.ip());
    let usable = own.filter(|address| match address {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    });
    let mut words: Vec<String> = usable.map(|address| address.to_string()).collect();
    words.extend(["--bind", "203.0.113.77"].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for arguments in [
        &["--bind", "203.0.113.77"][..],
        &["--bind", "127.0.0.1", "--bind", "203.0.113.77"],
    ] {
        expect_line(folder.path(), arguments, &words);
    }
}

#[test]
fn files_that_are_no_pair_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = own_pair();
    let (_, other_key) = own_pair();
    let locked = PKey::private_key_from_pem(&key).unwrap();
    let locked = locked
        .private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"secret")
        .unwrap();
    let certificate = file(&folder, "c.pem", certificate);
    let key = file(&folder, "k.pem", key);
    let other_key = file(&folder, "other-k.pem", other_key);
    let locked = file(&folder, "locked-k.pem", locked);
    let garbage = file(&folder, "garbage.pem", "this is not a certificate\n");
    let empty = file(&folder, "empty.pem", "");
    let absent = folder.path().join("absent.pem");
    let absent = absent.to_str().unwrap();
    let directory = folder.path().to_str().unwrap();

    for (certificate, key, named) in [
        (certificate.as_str(), other_key.as_str(), other_key.as_str()),
        (absent, &key, absent),
        (&certificate, absent, absent),
        (directory, &key, directory),
        (&garbage, &key, &garbage),
        (&empty, &key, &empty),
        (&certificate, &garbage, &garbage),
        (&certificate, &locked, &locked),
        (&key, &certificate, &key),
    ] {
        expect_line(
            folder.path(),
            &["--tls-cert", certificate, "--tls-key", key],
            &["--tls-cert", named],
        );
    }
}

#[test]
fn a_pair_that_no_client_accepts_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let days = [-1, 30];
    let [own, other] = [(); 2].map(|()| key_on(Nid::X9_62_PRIME256V1));
    let (certificate, of_other) = (issue(&own, &other, days), issue(&other, &other, days));
    let small = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    let odd = key_on(Nid::SECP256K1);
    for (certificate, key, words) in [
        (
            issue(&small, &small, days),
            pem_of(&small),
            ["1024 bits", "2048"],
        ),
        (
            issue(&odd, &odd, days),
            pem_of(&odd),
            ["secp256k1", "P-256"],
        ),
        (
            [of_other, certificate.clone()].concat(),
            pem_of(&own),
            ["is number 2 in", "must be the first"],
        ),
        (
            pem_of(&own),
            certificate.clone(),
            ["c.pem holds a private key", "swapped"],
        ),
        (
            pem_of(&own),
            pem_of(&own),
            ["c.pem holds a private key", "swapped"],
        ),
        (
            certificate.clone(),
            certificate,
            ["k.pem holds a certificate", "swapped"],
        ),
    ] {
        let certificate = file(&folder, "c.pem", certificate);
        let key = file(&folder, "k.pem", key);
        let arguments = ["--tls-cert", &certificate, "--tls-key", &key];
        expect_line(folder.path(), &arguments, &words);
        expect_line(
            folder.path(),
            &arguments,
            &["--tls-cert", folder.path().to_str().unwrap()],
        );
    }
}

#[test]
fn half_a_pair_is_not_enough() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--tls-cert", "--tls-key"];
    for (flag, variable) in flags.into_iter().zip(["CHATD_TLS_CERT", "CHATD_TLS_KEY"]) {
        expect_line(folder.path(), &[flag, "some.pem"], &flags);
        let mut command = chatd(folder.path());
        command.env(variable, "some.pem");
        let complaint = refused(command);
        for flag in flags {
            assert!(complaint.contains(flag), "{complaint}");
        }
    }
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let in_its_place = file(&folder, "file", "");
    let below = folder.path().join("file").join("below");
    for path in [in_its_place.as_str(), below.to_str().unwrap()] {
        expect_line(folder.path(), &["--data-dir", path], &["--data-dir", path]);
    }
    let accounts = folder.path().join("data").join("accounts.jsonl");
    fs::create_dir_all(&accounts).unwrap();
    expect_line(folder.path(), &[], &[accounts.to_str().unwrap()]);
}

#[test]
fn a_data_folder_that_another_chatd_uses_is_named_and_the_other_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = Chatd::start(chatd(folder.path()));
    let mut anna = first.guest("Anna");
    let data = folder.path().join("data");
    expect_line(
        folder.path(),
        &[],
        &["another chatd", "--data-dir", data.to_str().unwrap()],
    );
    anna.expect_nothing();
    drop(first);
    // Whatever ended the first one, the folder is free again.
    Chatd::start(chatd(folder.path())).stop();
}

#[test]
fn a_kept_pair_that_is_damaged_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    Chatd::start(chatd(folder.path())).stop();
    let data = folder.path().join("data");
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| data.join(name));
    let kept = fs::read(&certificate).unwrap();
    fs::remove_file(&key).unwrap();
    expect_line(folder.path(), &[], &[key.to_str().unwrap()]);
    fs::write(&key, "garbage").unwrap();
    expect_line(folder.path(), &[], &[key.to_str().unwrap()]);
    fs::write(&key, own_pair().1).unwrap();
    expect_line(folder.path(), &[], &[key.to_str().unwrap()]);
    assert_eq!(fs::read(&certificate).unwrap(), kept);
}

#[test]
fn a_damaged_accounts_file_is_named_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let (anna, bobby) = (line_for("Anna"), line_for("Bobby"));
    let half = &bobby[..bobby.len() / 2];
    for (damage, line) in [
        (format!("{anna}\n{half}\n{bobby}\n"), 2),
        (format!("{half}\n{anna}\n"), 1),
        (
            format!("{anna}\n\n\n{}\n{bobby}\n", anna.replace("hash", "hsah")),
            4,
        ),
        (format!("{anna}\n{}\n", bobby.replace("ln=", "nl=")), 2),
        (format!("{anna}\n{}\n", bobby.replace("Bobby", "Bo by")), 2),
        (format!("{anna}\n{}\n", bobby.replace("Bobby", "ANNA")), 2),
        (format!("{anna}\n[]\n{bobby}\n"), 2),
        (format!("{anna}\nnonsense\n{bobby}\n"), 2),
    ] {
        let path = file(&folder, "data/accounts.jsonl", &damage);
        expect_line(folder.path(), &[], &[&path, &format!("line {line} ")]);
        assert_eq!(fs::read_to_string(&path).unwrap(), damage);
    }
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, named) in [
        (["--port=4499", "--tls-port=4499"], "--tls-port"),
        (["--port=4499", "--web-port=4499"], "--web-port"),
        (["--tls-port=4499", "--web-port=4499"], "--web-port"),
        (
            ["--max-frame=512KiB", "--max-backlog=1MiB"],
            "--max-backlog",
        ),
        (["--max-frame=1KiB", "--max-backlog=4095B"], "--max-backlog"),
        (["--max-frame=16MiB", "--max-backlog=1GiB"], "--max-frame"),
        (["--heartbeat=10s", "--dead-after=8s"], "--dead-after"),
        (["--heartbeat=10s", "--dead-after=0s"], "--dead-after"),
        (["--heartbeat=0s", "--port=0"], "--heartbeat"),
        (["--heartbeat=300years", "--port=0"], "--heartbeat"),
        (["--login-timeout=300years", "--port=0"], "--login-timeout"),
        (
            ["--handshake-timeout=300years", "--port=0"],
            "--handshake-timeout",
        ),
        (["--max-backlog=15EiB", "--port=0"], "--max-backlog"),
        (["--max-frame=0", "--port=0"], "--max-frame"),
        (["--login-timeout=0s", "--port=0"], "--login-timeout"),
        (
            ["--handshake-timeout=0s", "--port=0"],
            "--handshake-timeout",
        ),
    ] {
        expect_line(folder.path(), &arguments, &[named]);
    }
}

/// The variable that sets what this flag sets.
fn variable_of(flag: &str) -> String {
    let name = flag.trim_start_matches('-').to_uppercase();
    format!("CHATD_{}", name.replace('-', "_"))
}

#[test]
fn a_value_that_makes_no_sense_is_named_with_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value) in [
        ("--port", "abc"),
        ("--port", "65536"),
        ("--port", "-1"),
        ("--tls-port", "4399x"),
        ("--bind", "nowhere"),
        ("--heartbeat", "15"),
        ("--heartbeat", "soon"),
        ("--dead-after", "-1s"),
        ("--handshake-timeout", "10 apples"),
        ("--login-timeout", "-2h"),
        ("--max-frame", "lots"),
        ("--max-frame", "99999999999999999999"),
        ("--max-backlog", "1 parsec"),
        ("--byte-rate", "-5"),
        ("--byte-burst", "x"),
        ("--max-connections", "0"),
        ("--max-connections", "1.5"),
        ("--max-per-address", "many"),
        ("--rate", "-1"),
        ("--burst", "1e3"),
        ("--max-registrations", "none"),
        ("--max-login-failures", "0"),
    ] {
        let variable = variable_of(flag);
        let mut by_flag = chatd(folder.path());
        by_flag.arg(format!("{flag}={value}"));
        let mut by_variable = chatd(folder.path());
        by_variable.env(&variable, value);
        let mut apart = chatd(folder.path());
        apart.args([flag, value]);
        for (command, named) in [(by_flag, flag), (by_variable, &variable), (apart, flag)] {
            let complaint = refused(command);
            let first = complaint.lines().next().unwrap();
            assert!(first.contains(flag), "{flag}={value}: {complaint}");
            assert!(first.contains(named), "{flag}={value}: {complaint}");
        }
    }
    for unknown in ["--frobnicate", "stray"] {
        let mut command = chatd(folder.path());
        command.arg(unknown);
        let complaint = refused(command);
        assert!(complaint.lines().next().unwrap().contains(unknown));
    }
}

#[test]
fn a_setting_of_the_environment_that_contradicts_others_is_named_as_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value) in [
        ("--heartbeat", "1ms"),
        ("--dead-after", "1day"),
        ("--max-frame", "1GiB"),
        ("--max-backlog", "1KiB"),
        ("--tls-key", "some.pem"),
    ] {
        let mut command = chatd(folder.path());
        command.env(variable_of(flag), value);
        let complaint = refused(command);
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        for word in [flag, &variable_of(flag)] {
            assert!(complaint.contains(word), "no {word} in: {complaint}");
        }
        // By the flag it is the flag's fault alone.
        let mut command = chatd(folder.path());
        command.env("CHATD_PORT", "0").args([flag, value]);
        let complaint = refused(command);
        assert!(complaint.contains(flag) && !complaint.contains(&variable_of(flag)));
    }
}

#[test]
fn what_cannot_be_seen_in_a_bad_value_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    for (value, shown) in [
        ("4004\u{200b}", "4004\\u{200b}"),
        ("\u{feff}4004", "\\u{feff}4004"),
        ("4004\u{a0}", "4004\\u{a0}"),
        ("4004\r", "4004\\r"),
        ("\u{1b}[2J", "\\u{1b}[2J"),
        ("\u{202e}4004", "\\u{202e}4004"),
        ("4004\nchatd is running", "4004\\nchatd is running"),
    ] {
        let mut by_flag = chatd(folder.path());
        by_flag.args(["--port", value]);
        let mut by_variable = chatd(folder.path());
        by_variable.env("CHATD_PORT", value);
        let mut unknown = chatd(folder.path());
        unknown.arg(format!("--{value}"));
        for command in [by_flag, by_variable, unknown] {
            let complaint = refused(command);
            let first = complaint.lines().next().unwrap();
            assert!(first.contains(shown), "{complaint:?}");
            let is_harmful = |character: char| character.is_control() && character != '\n';
            assert!(!complaint.contains(is_harmful), "{complaint:?}");
        }
    }
    let file = format!("{}\u{1b}[2J", file(&folder, "file", ""));
    // Windows has no files of such names, and refuses the folder for that.
    if cfg!(unix) {
        fs::write(&file, "").unwrap();
    }
    expect_line(folder.path(), &["--data-dir", &file], &["file\\u{1b}[2J"]);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_named() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    for variable in ["CHATD_PORT", "CHATD_HEARTBEAT", "CHATD_NO_TLS"] {
        let mut command = chatd(folder.path());
        command.env(variable, std::ffi::OsStr::from_bytes(b"\xff"));
        let complaint = refused(command);
        assert!(complaint.contains(variable), "{complaint}");
    }
}

#[test]
fn a_setting_that_is_wrong_has_a_status_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for (argument, status) in [
        ("--port=x", 2),
        ("--frobnicate", 2),
        ("--heartbeat=1ms", 2),
        ("--tls-key=some.pem", 2),
        ("--bind=203.0.113.77", 1),
    ] {
        let mut command = chatd(folder.path());
        command.arg(argument);
        let mut process = Process::start(command);
        assert_eq!(process.wait().code(), Some(status), "{argument}");
    }
}
