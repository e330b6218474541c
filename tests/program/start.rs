//! What a start prints, and the commands in it.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};

use crate::harness::{Client, PATIENCE, Way};
use crate::process::{Chatd, Process, chatd};

/// This machine's addresses that others can use.
fn addresses_for_others() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap();
    let is_for_others = |address: &IpAddr| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    };
    let addresses = interfaces.iter().map(if_addrs::Interface::ip);
    addresses.filter(is_for_others).collect()
}

#[test]
fn a_start_speaks_the_language_of_the_setting_or_else_of_the_system() {
    let folder = tempfile::tempdir().unwrap();
    for (locale, setting, expected) in [
        ("C", None, "is running"),
        ("C", Some("zh"), "已启动"),
        ("zh_CN.UTF-8", None, "已启动"),
        ("zh_CN.UTF-8", Some("en"), "is running"),
    ] {
        // Windows asks no variable.
        if cfg!(windows) && setting.is_none() {
            continue;
        }
        let mut command = chatd(folder.path());
        command.env_remove("CHATD_LANG").env("LC_ALL", locale);
        command.args(setting.map(|setting| format!("--lang={setting}")));
        let process = Process::start(command);
        process.out.read();
        process.out.line_with(expected);
    }
}

#[test]
fn a_start_without_settings_takes_everybody_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command
        .env_remove("CHATD_BIND")
        .env_remove("CHATD_DATA_DIR")
        .current_dir(folder.path());
    let server = Chatd::start(command);

    for (kind, way) in [("plain", Way::Plain), ("TLS", Way::Tls)] {
        let listed = server.addresses(kind);
        let has_ipv6 = TcpListener::bind("[::]:0").is_ok();
        for address in addresses_for_others() {
            let is_listed = listed.iter().any(|of| of.ip() == address);
            assert!(is_listed || address.is_ipv6() && !has_ipv6, "{address}");
        }
        let mut reachable = vec![listed[0], ([127, 0, 0, 1], listed[0].port()).into()];
        if TcpListener::bind("[::1]:0").is_ok() {
            reachable.push(([0, 0, 0, 0, 0, 0, 0, 1], listed[0].port()).into());
        }
        for address in reachable {
            let mut client = Client::over(TcpStream::connect(address).unwrap(), way);
            client.log_in("Anna");
            client.log_out();
        }
    }
    assert_eq!(server.fingerprint().len(), 32 * 3 - 1);

    let address = server.plain_address();
    let netcat = format!("nc {} {}", address.ip(), address.port());
    assert!(server.banner.lines().any(|line| line.trim() == netcat));
    let python = if cfg!(windows) { "py -c" } else { "python3 -c" };
    assert!(server.banner.contains(python), "{}", server.banner);
    assert!(server.banner.contains("Ctrl-C"), "{}", server.banner);

    let data = folder.path().join("chatd-data");
    assert!(data.is_dir());
    let told = server.banner.split_whitespace().any(|word| {
        std::path::Path::new(word).is_absolute()
            && std::fs::canonicalize(word).is_ok_and(|path| path == data.canonicalize().unwrap())
    });
    assert!(told, "{}", server.banner);
    server.stop();
}

#[test]
fn a_start_without_tls_tells_of_no_tls() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.arg("--no-tls");
    let server = Chatd::start(command);
    assert_eq!(server.addresses("plain").len(), 1);
    assert_eq!(server.addresses("TLS"), []);
    for word in ["TLS", "fingerprint"] {
        assert!(!server.banner.contains(word), "{}", server.banner);
    }
    server.guest("Anna").log_out();
    server.stop();
}

#[test]
fn the_address_of_the_page_comes_first_and_the_page_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let url = server.banner.lines().find(|line| !line.trim().is_empty());
    assert!(url.unwrap().contains("Students connect to"));
    let (_, url) = server.banner.split_once("in a browser: http://").unwrap();
    let address = url.lines().next().unwrap();
    assert!(server.banner.find(address) < server.banner.find("plain"));
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut page = String::new();
    socket.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("</html>"), "{page}");
    server.stop();

    let mut command = chatd(folder.path());
    command.arg("--no-web");
    let server = Chatd::start(command);
    assert!(!server.banner.contains("browser"), "{}", server.banner);
    server.stop();
}

#[test]
fn each_address_given_is_listened_on() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this test needs IPv6");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.args(["--bind", "::1", "--bind", "127.0.0.1"]);
    let server = Chatd::start(command);
    for (kind, way) in [("plain", Way::Plain), ("TLS", Way::Tls)] {
        let addresses = server.addresses(kind);
        assert_eq!(addresses.len(), 2, "{}", server.banner);
        for address in addresses {
            let mut client = Client::over(TcpStream::connect(address).unwrap(), way);
            client.log_in("Anna");
            client.log_out();
        }
    }
    server.stop();
}

#[cfg(unix)]
#[test]
fn the_printed_python_command_works() {
    use std::process::{Command, Stdio};

    use serde_json::json;

    use crate::process::isolate;

    if !crate::process::can_run("python3", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    command.env_remove("CHATD_BIND");
    let server = Chatd::start(command);
    let line = server.banner.lines().map(str::trim);
    let mut lines = line.filter(|line| line.starts_with("python3 -c "));
    let line = lines.next().expect("a Python command");
    assert_eq!(lines.next(), None);
    // These mean something to one shell or another, inside of double quotes too.
    assert!(!line.contains(['$', '`', '!', '%', '\\', '^']), "{line}");
    assert_eq!(line.matches('"').count(), 2, "{line}");

    let mut shell = Command::new("sh");
    isolate(&mut shell)
        .args(["-c", line])
        // A terminal is written to line by line, a pipe is not, unless Python is told so.
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::piped());
    let mut student = Process::start(shell);
    let hint = r#"{"Command":"01","Name":"Alice"}"#;
    assert!(server.banner.contains(hint), "{}", server.banner);
    student.type_line(hint);
    let reply = student.out.line_with("11");
    assert_eq!(
        reply.trim_end(),
        r#"{"Command":"11","Flag":1,"Friends":[["Alice",1]]}"#
    );
    let mut other = server.guest("Bobby");
    student.out.line_with("LogOnUserName");
    student.type_line(r#"{"Command":"05","Message":"hi"}"#);
    other.expect(json!({"Command": "32", "Speaker": "Alice", "Message": "hi"}));
    student.input = None;
    assert!(student.wait().success(), "{}", student.err.all());
    other.expect(json!({"Command": "31", "LogOutUserName": "Alice"}));
    other.log_out();
    server.stop();
}
