//! Flags and variables.

use std::net::TcpListener;
use std::process::Command;

use serde_json::json;

use crate::process::{CHATD, Chatd, Process, chatd, isolate, refused};

/// Each flag with its default, and a word that tells what is counted or measured.
pub const FLAGS: [(&str, &str, &str); 31] = [
    ("bind", "all addresses", "Address"),
    ("port", "4004", "Port"),
    ("tls-port", "4399", "Port"),
    ("no-tls", "", ""),
    ("web-port", "4080", "Port"),
    ("no-web", "", ""),
    ("no-qr", "", ""),
    ("web-host", "", "Name"),
    ("web-origin", "", "Origin"),
    ("tls-cert", "in the data folder", "PEM"),
    ("tls-key", "in the data folder", "PEM"),
    ("data-dir", "chatd-data", "Folder"),
    ("no-registration", "", ""),
    ("console", "", ""),
    ("lang", "the system's", "Language"),
    ("log", "standard error", "File"),
    ("transcript", "", "File"),
    ("heartbeat", "15s", "Time"),
    ("dead-after", "three quarters of the heartbeat", "Time"),
    ("max-connections", "4096", "Connections"),
    ("max-per-address", "256", "Connections"),
    ("handshake-timeout", "10s", "Time"),
    ("login-timeout", "60s", "Time"),
    ("max-frame", "64KiB", "message"),
    ("rate", "50", "Commands a second"),
    ("burst", "200", "Commands"),
    ("byte-rate", "64KiB", "Bytes a second"),
    ("byte-burst", "256KiB", "Bytes"),
    ("max-registrations", "5", "Names"),
    ("max-login-failures", "5", "Wrong passwords"),
    ("max-backlog", "1MiB", "Output"),
];

fn output_of(argument: &str) -> String {
    let mut command = Command::new(CHATD);
    isolate(&mut command).env("CHATD_LANG", "en").arg(argument);
    let mut process = Process::start(command);
    assert!(process.wait().success());
    assert_eq!(process.err.all(), "");
    process.out.all()
}

#[test]
fn help_tells_each_flag_with_its_unit_default_and_variable() {
    let help = output_of("--help");
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        let line = line.trim();
        let starts_flag =
            line.starts_with("--") || line.starts_with("-h") || line.starts_with("-V");
        if starts_flag {
            let flag = line.trim_start_matches('-').split(' ').next().unwrap();
            sections.push((flag.to_owned(), line.to_owned()));
        } else if let Some((_, text)) = sections.last_mut() {
            *text += " ";
            *text += line;
        }
    }
    let listed: Vec<&str> = sections.iter().map(|(flag, _)| flag.as_str()).collect();
    let expected: Vec<&str> = FLAGS.iter().map(|(flag, ..)| *flag).collect();
    let with_variable = &listed[..listed.len() - 2];
    assert_eq!(with_variable, expected, "{help}");

    for ((flag, default, unit), (_, text)) in FLAGS.iter().zip(&sections) {
        let variable = format!("[env: CHATD_{}=", flag.to_uppercase().replace('-', "_"));
        assert!(text.contains(&variable), "{text}");
        assert!(text.contains(unit), "{flag} has no unit: {text}");
        let (_, told) = text.split_once("[default: ").unwrap_or_default();
        assert!(told.contains(default), "{flag}: {text}");
        assert_eq!(told.is_empty(), default.is_empty(), "{flag}: {text}");
    }
}

#[test]
fn the_version_is_told() {
    assert_eq!(
        output_of("--version"),
        concat!("chatd ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_variable_sets_what_its_flag_sets_and_the_flag_wins() {
    let folder = tempfile::tempdir().unwrap();
    // A port that is taken shows which one was chosen.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (variable, flag) in [
        ("CHATD_PORT", "--port"),
        ("CHATD_TLS_PORT", "--tls-port"),
        ("CHATD_WEB_PORT", "--web-port"),
    ] {
        let mut command = chatd(folder.path());
        command.env(variable, &port);
        let complaint = refused(command);
        assert!(complaint.contains(&port), "{complaint}");

        let mut command = chatd(folder.path());
        command.env(variable, &port).args([flag, "0"]);
        Chatd::start(command).stop();
    }

    for (variable, flag, is_refused) in [
        (Some("1KiB"), None, true),
        (Some("1KiB"), Some("8KiB"), false),
        (Some("8KiB"), Some("1KiB"), true),
        (None, None, false),
    ] {
        let mut command = chatd(folder.path());
        command.envs(variable.map(|size| ("CHATD_MAX_FRAME", size)));
        command.args(flag.map(|size| format!("--max-frame={size}")));
        let server = Chatd::start(command);
        let mut anna = server.guest("Anna");
        let text = "x".repeat(2000);
        anna.say(&text);
        if is_refused {
            anna.expect_notice();
            anna.expect_end();
        } else {
            anna.expect(json!({"Command": "32", "Speaker": "Anna", "Message": text}));
        }
        drop(anna);
        server.stop();
    }
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.args([
        "--bind=127.0.0.1",
        "--port=0",
        "--tls-port=0",
        "--web-port=0",
    ]);
    for (flag, ..) in FLAGS {
        command.env(
            format!("CHATD_{}", flag.to_uppercase().replace('-', "_")),
            "",
        );
    }
    command.current_dir(folder.path());
    let mut server = Chatd::start(command);
    server.guest("Anna").log_out();
    assert_eq!(server.addresses("TLS").len(), 1);
    assert!(folder.path().join("chatd-data").is_dir());
    // It has no console to be stopped by.
    server.process.input = None;
    server.stop();
}

#[test]
fn a_switch_has_a_variable_that_can_say_no() {
    let folder = tempfile::tempdir().unwrap();
    for (value, flag, has_tls) in [
        ("1", None, false),
        ("true", None, false),
        ("0", None, true),
        ("false", None, true),
        ("", None, true),
        ("0", Some("--no-tls"), false),
    ] {
        let mut command = chatd(folder.path());
        command.env("CHATD_NO_TLS", value).args(flag);
        let server = Chatd::start(command);
        assert_eq!(
            server.addresses("TLS").len(),
            usize::from(has_tls),
            "{value:?} {flag:?}"
        );
        server.stop();
    }
}

#[test]
fn a_time_has_a_unit() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.env("CHATD_HEARTBEAT", "300ms");
    let server = Chatd::start(command);
    let mut anna = server.guest("Anna");
    anna.expect(json!({"Command": "14"}));
    anna.expect(json!({"Command": "14"}));
    anna.log_out();
    server.stop();
}
