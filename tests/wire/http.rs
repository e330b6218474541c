//! The port for browsers before WebSocket is spoken: one request, one answer, and who is kept out.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::platform::is_timeout;
use crate::harness::websocket::REQUEST;
use crate::harness::{Client, TestServer, Way, came, said};
use crate::other_protocols::{expect_end_without_a_byte, expect_in_log, logged_server, tls_hello};

/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 8 << 10;

/// An answer to a request, after which the connection was closed.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// The head after its first line, as it came.
    head: String,
    body: String,
}

impl Answer {
    /// The one value of this header, in whatever letter case its name is.
    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let mut values = self.head.lines().filter_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values
            .next()
            .unwrap_or_else(|| panic!("no {name} in {self:?}"));
        assert_eq!(values.next(), None, "two of {name}");
        value
    }

    fn has(&self, name: &str) -> bool {
        let name = format!("{}:", name.to_lowercase());
        self.head
            .lines()
            .any(|line| line.to_lowercase().starts_with(&name))
    }
}

/// A client of the port for browsers that has not said anything.
fn connect(server: &TestServer) -> Client {
    let socket = TcpStream::connect(server.web_address()).unwrap();
    Client::silent(socket, Way::Plain)
}

/// Reads all up to the end of the connection, and takes it for one answer.
#[track_caller]
fn read_answer(client: &mut Client) -> Answer {
    loop {
        match client.read_some() {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => panic!("no orderly end: {error}"),
        }
    }
    let bytes = String::from_utf8(client.take_bytes()).unwrap();
    let (head, body) = bytes.split_once("\r\n\r\n").expect("a whole head");
    let (first, head) = head.split_once("\r\n").expect("headers");
    let (status, words) = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.split_once(' '))
        .expect("a status");
    assert!(!words.is_empty(), "{first}");
    Answer {
        status: status.parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// The answer to a request that is sent at once.
#[track_caller]
fn ask(server: &TestServer, request: &str) -> Answer {
    let mut client = connect(server);
    client.send_bytes(request.as_bytes());
    read_answer(&mut client)
}

/// A request to open WebSocket with this host and further headers.
fn upgrade(host: &str, more: &str) -> String {
    let request = String::from_utf8(REQUEST.to_vec()).unwrap();
    request.replace("Host: 127.0.0.1\r\n", &format!("Host: {host}\r\n{more}"))
}

/// Opens WebSocket by this request, and logs in and out.
#[track_caller]
fn expect_let_in(server: &TestServer, request: &str) {
    let socket = TcpStream::connect(server.web_address()).unwrap();
    let mut client = Client::silent(socket, Way::Browser);
    client.send_bytes(request.as_bytes());
    client.expect_web_socket();
    client.log_in("Anna");
    client.log_out();
}

/// Checks that an answer refuses, in a sentence.
#[track_caller]
fn expect_refusal(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.body.ends_with(".\n"), "{answer:?}");
    assert_eq!(
        answer.header("Content-Length"),
        answer.body.len().to_string()
    );
    assert_eq!(answer.header("Content-Type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("X-Content-Type-Options"), "nosniff");
}

#[test]
fn the_page_comes_in_one_answer_with_everything_that_keeps_it_safe() {
    let server = TestServer::calm();
    let answer = ask(&server, "GET / HTTP/1.1\r\nHost: 127.0.0.1:4080\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with("<!"), "a page");
    assert_eq!(
        answer.header("Content-Length"),
        answer.body.len().to_string()
    );
    assert_eq!(answer.header("Content-Type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("Cache-Control"), "no-cache");
    assert_eq!(answer.header("Connection"), "close");
    assert_eq!(answer.header("X-Content-Type-Options"), "nosniff");
    assert_eq!(answer.header("Referrer-Policy"), "no-referrer");
    let policy = answer.header("Content-Security-Policy");
    let rules: Vec<&str> = policy.split("; ").collect();
    for rule in [
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "connect-src 'self' ws://127.0.0.1:4080",
    ] {
        assert!(rules.contains(&rule), "{rule} is not in {policy}");
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains('*'),
        "{policy}"
    );
    let script = rules.iter().find(|rule| rule.starts_with("script-src"));
    let sources: Vec<&str> = script.unwrap().split(' ').skip(1).collect();
    assert!(
        sources.iter().all(|one| one.starts_with("'sha256-")),
        "{policy}"
    );

    // HEAD tells the same without the page.
    let head = ask(&server, "HEAD / HTTP/1.1\r\nHost: 127.0.0.1:4080\r\n\r\n");
    assert_eq!(
        (head.status, &head.head, &*head.body),
        (200, &answer.head, "")
    );
    // A query changes nothing, nor does HTTP/1.0.
    for request in [
        "GET /?x=1 HTTP/1.1\r\nHost: 127.0.0.1:4080\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: 127.0.0.1:4080\r\n\r\n",
    ] {
        let again = ask(&server, request);
        assert_eq!((again.status, again.body), (200, answer.body.clone()));
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = TestServer::calm();
    let mut client = connect(&server);
    for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n" {
        client.send_bytes(&[*byte]);
    }
    assert_eq!(read_answer(&mut client).status, 200);
    let socket = TcpStream::connect(server.web_address()).unwrap();
    let mut client = Client::silent(socket, Way::Browser);
    for byte in REQUEST {
        client.send_bytes(&[*byte]);
    }
    client.expect_web_socket();
    client.log_in("Anna");
    client.log_out();
}

#[test]
fn what_is_not_there_gets_404_and_a_wrong_method_405() {
    let server = TestServer::calm();
    let with_host = |line: &str| format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for path in [
        "/x",
        "/chat/",
        "/chatx",
        "/index.html",
        "//",
        "/../",
        "/Chat",
        "*",
    ] {
        expect_refusal(&ask(&server, &with_host(&format!("GET {path}"))), 404);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let answer = ask(&server, &with_host(&format!("{method} /")));
        expect_refusal(&answer, 405);
        assert_eq!(answer.header("Allow"), "GET, HEAD");
        let answer = ask(&server, &with_host(&format!("{method} /chat")));
        expect_refusal(&answer, 405);
        assert_eq!(answer.header("Allow"), "GET");
    }
    // A HEAD is told by the status alone.
    for (path, status) in [("/x", 404), ("/chat", 405)] {
        let answer = ask(&server, &with_host(&format!("HEAD {path}")));
        assert_eq!((answer.status, &*answer.body), (status, ""));
        assert_ne!(answer.header("Content-Length"), "0");
    }
}

#[test]
fn who_does_not_ask_for_websocket_as_it_should_is_told_how() {
    let server = TestServer::calm();
    let whole = upgrade("localhost", "");
    for (what, instead) in [
        ("Upgrade: websocket\r\n", ""),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Connection: Upgrade\r\n", ""),
        ("Connection: Upgrade", "Connection: keep-alive"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("Version: 13", "Version: 8"),
        ("Sec-WebSocket-Version: 13\r\n", ""),
    ] {
        let answer = ask(&server, &whole.replace(what, instead));
        expect_refusal(&answer, 426);
        assert_eq!(answer.header("Upgrade"), "websocket");
        assert_eq!(answer.header("Sec-WebSocket-Version"), "13");
        assert!(!answer.has("Sec-WebSocket-Accept"));
    }
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for instead in [
        String::new(),
        "Sec-WebSocket-Key: \r\n".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n".to_owned(),
        "Sec-WebSocket-Key: this is no Base64 at all\r\n".to_owned(),
        key.repeat(2),
    ] {
        expect_refusal(&ask(&server, &whole.replace(key, &instead)), 400);
    }
    // Browsers and libraries write these in other ways, offer extensions, and ask for subprotocols.
    for request in [
        whole.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        whole.replace("Upgrade: websocket", "UPGRADE:WebSocket"),
        upgrade(
            "localhost",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        ),
        upgrade(
            "localhost",
            "Sec-WebSocket-Protocol: chat\r\nCookie: a=b\r\n",
        ),
        whole.replace("/chat", "/chat?name=Anna"),
    ] {
        expect_let_in(&server, &request);
    }
}

#[test]
fn what_is_no_request_gets_400() {
    let server = TestServer::calm();
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n no: field\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        "GET  HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nA\0: b\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HELLO\r\n\r\n",
    ] {
        expect_refusal(&ask(&server, request), 400);
    }
}

#[test]
fn a_head_over_8_kib_gets_431_however_it_comes() {
    let server = TestServer::calm();
    let head_of = |size: usize| {
        let start = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
        let fill = "x".repeat(size - start.len() - 4);
        format!("{start}{fill}\r\n\r\n")
    };
    assert_eq!(ask(&server, &head_of(LARGEST_HEAD)).status, 200);
    for size in [LARGEST_HEAD + 1, 10_000, 16 << 10, 100 << 10] {
        expect_refusal(&ask(&server, &head_of(size)), 431);
    }
    // One that does not end is not waited for.
    let mut client = connect(&server);
    client.send_bytes(&head_of(2 * LARGEST_HEAD).as_bytes()[..=LARGEST_HEAD]);
    expect_refusal(&read_answer(&mut client), 431);
    // In pieces, as a slow network brings it.
    let mut client = connect(&server);
    for piece in head_of(LARGEST_HEAD + 1).as_bytes().chunks(1000) {
        client.send_bytes(piece);
    }
    expect_refusal(&read_answer(&mut client), 431);
    // And one with countless fields.
    let fields = "a: b\r\n".repeat(200);
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    expect_refusal(&ask(&server, &request), 431);
}

#[test]
fn a_head_that_does_not_come_in_time_is_closed_without_a_byte() {
    let timeout = Duration::from_secs(1);
    let server = TestServer::calm_with(|config| config.handshake_timeout = timeout);
    let start = Instant::now();
    let mut silent = connect(&server);
    let mut stuck = connect(&server);
    stuck.send_bytes(&REQUEST[..REQUEST.len() - 2]);
    // Each byte buys no time.
    let mut dripping = connect(&server);
    dripping.send_bytes(b"GET / HTTP/1.1\r\nX: ");
    dripping
        .socket()
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    loop {
        let sent = dripping.try_send_bytes(b"x");
        match dripping.read_some() {
            Err(error) if is_timeout(&error) && sent.is_ok() => {}
            Ok(count @ 1..) => panic!("{count} bytes came"),
            _ => break,
        }
        assert!(start.elapsed() < timeout * 10, "each byte bought time");
    }
    expect_end_without_a_byte(&mut silent);
    expect_end_without_a_byte(&mut stuck);
    assert!(start.elapsed() >= timeout);
    // Who has opened WebSocket in time may take longer for the rest.
    let mut anna = server.connect_as(Way::Browser);
    anna.expect_nothing();
}

#[test]
fn other_protocols_are_closed_without_a_byte_and_the_log_says_so() {
    let server = logged_server();
    let hello = tls_hello();
    for bytes in [
        &hello[..],
        b"{\"Command\":\"01\",\"Name\":\"Anna\"}",
        b"\0\0\0\x1e{\"Command\":\"01\",\"Name\":\"Anna\"}",
        b"\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x81\x80\0\0\0\0",
        b"\xef\xbb\xbf{",
    ] {
        let mut client = connect(&server);
        client.send_bytes(bytes);
        expect_end_without_a_byte(&mut client);
        expect_in_log(&client, "this is no HTTP");
    }
    server.guest("Anna").log_out();
}

#[test]
fn a_request_gets_one_answer_and_what_follows_it_is_not_carried_out() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let page = ask(&server, request);
    let login = Way::Browser.frame(r#"{"Command":"01","Name":"Anna"}"#);
    for more in [
        request.as_bytes(),
        REQUEST,
        &[REQUEST, &login].concat(),
        &login,
        br#"{"Command":"01","Name":"Anna"}"#,
        &[b'x'; 100_000],
    ] {
        let mut client = connect(&server);
        let _ = client.try_send_bytes(&[request.as_bytes(), more].concat());
        let answer = read_answer(&mut client);
        assert_eq!((answer.status, &answer.body), (200, &page.body));
        // A refused one is no better.
        let mut client = connect(&server);
        let refused = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
        let _ = client.try_send_bytes(&[refused, more].concat());
        expect_refusal(&read_answer(&mut client), 405);
    }
    bobby.expect_nothing();
}

#[test]
fn a_name_that_is_not_this_servers_is_refused_whatever_is_asked_for() {
    let server = TestServer::calm_with(|config| {
        config.web_host = vec!["Chat.School.example".to_owned()];
    });
    let mut bobby = server.guest("Bobby");
    let port = server.web_address().port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "127.0.0.1.evil.example".to_owned(),
        "localhost.evil.example".to_owned(),
        "school.example".to_owned(),
        "chat.school.example.evil.example".to_owned(),
        "127.0.0.1@evil.example".to_owned(),
        String::new(),
    ] {
        for request in [
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            // A page of that name would have that origin.
            upgrade(&host, &format!("Origin: http://{host}\r\n")),
            upgrade(&host, ""),
        ] {
            let answer = ask(&server, &request);
            expect_refusal(&answer, 403);
            assert!(answer.body.contains("--web-host"), "{answer:?}");
            assert!(!answer.has("Sec-WebSocket-Accept"));
        }
    }
    bobby.expect_nothing();
    for host in [
        "localhost".to_owned(),
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        "192.0.2.7".to_owned(),
        format!("[::1]:{port}"),
        "chat.school.example".to_owned(),
        format!("CHAT.school.example:{port}"),
    ] {
        let answer = ask(&server, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status, 200, "{host}");
        let policy = answer.header("Content-Security-Policy").to_owned();
        assert!(policy.contains(&format!("ws://{host}")), "{policy}");
        expect_let_in(
            &server,
            &upgrade(&host, &format!("Origin: http://{host}\r\n")),
        );
        bobby.expect(came("Anna", true));
        bobby.expect_command("31");
    }
    // Nor is this machine's own name a stranger's.
    let machine = gethostname::gethostname().into_string().unwrap();
    if machine
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        for host in [machine.clone(), format!("{machine}.local:{port}")] {
            expect_let_in(&server, &upgrade(&host, ""));
        }
    }
}

#[test]
fn pages_from_elsewhere_may_not_connect_and_are_told_what_would_let_them() {
    let server = TestServer::calm();
    let mut bobby = server.guest("Bobby");
    let port = server.web_address().port();
    let host = format!("127.0.0.1:{port}");
    for (origin, words) in [
        ("http://evil.example", "--web-origin http://evil.example"),
        (
            "https://board.example",
            "--web-origin https://board.example",
        ),
        ("http://127.0.0.1.evil.example", "--web-origin"),
        ("http://192.0.2.7:4080", "--web-origin"),
        ("chrome-extension://abc", "--web-origin"),
        ("", "--web-origin"),
        // A page opened as a file, or inside a frame with a sandbox.
        ("null", "--web-origin null"),
    ] {
        let answer = ask(&server, &upgrade(&host, &format!("Origin: {origin}\r\n")));
        expect_refusal(&answer, 403);
        assert!(answer.body.contains(words), "{answer:?}");
    }
    let two = "Origin: http://localhost\r\nOrigin: http://evil.example\r\n";
    expect_refusal(&ask(&server, &upgrade(&host, two)), 400);
    bobby.expect_nothing();
    for origin in [
        format!("http://{host}"),
        "http://localhost:5173".to_owned(),
        "https://localhost".to_owned(),
        "http://127.0.0.1:8000".to_owned(),
        "http://[::1]:8000".to_owned(),
    ] {
        expect_let_in(&server, &upgrade(&host, &format!("Origin: {origin}\r\n")));
    }
}

#[test]
fn other_pages_may_connect_if_a_setting_says_so_and_no_others() {
    let server = TestServer::calm_with(|config| {
        config.web_origin = vec!["https://Board.example/".to_owned(), "null".to_owned()];
    });
    let origin = |origin: &str| upgrade("localhost", &format!("Origin: {origin}\r\n"));
    for allowed in ["https://board.example", "null"] {
        expect_let_in(&server, &origin(allowed));
    }
    for other in [
        "http://board.example",
        "https://board.example:8443",
        "https://x.board.example",
    ] {
        expect_refusal(&ask(&server, &origin(other)), 403);
    }
}

#[test]
fn the_log_says_what_was_refused_and_why() {
    let server = logged_server();
    let mut client = connect(&server);
    client.send_bytes(upgrade("localhost", "Origin: http://evil.example\r\n").as_bytes());
    expect_refusal(&read_answer(&mut client), 403);
    expect_in_log(&client, "--web-origin http://evil.example");
    let mut client = connect(&server);
    client.send_bytes(upgrade("evil.example", "").as_bytes());
    expect_refusal(&read_answer(&mut client), 403);
    expect_in_log(&client, "--web-host");
}

#[test]
fn who_finds_no_room_gets_503_and_why_in_place_of_the_page() {
    let server = TestServer::calm_with(|config| config.max_connections = 1);
    let anna = server.guest("Anna");
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = ask(&server, request);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("full"), "{answer:?}");
    anna.log_out();
    let start = Instant::now();
    while ask(&server, request).status != 200 {
        assert!(
            start.elapsed() < crate::harness::PATIENCE,
            "its place is still taken"
        );
    }
}

#[test]
fn to_fetch_the_page_is_not_to_come_in() {
    let server = TestServer::calm();
    let mut anna = server.guest("Anna");
    for _ in 0..20 {
        let answer = ask(&server, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(answer.status, 200);
    }
    anna.say("alone");
    anna.expect(said("Anna", "alone"));
    anna.send(&json!({"Command": "77"}));
    anna.expect_notice();
}
