//! Clients that speak something else: what they are told, and what the log says of them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, Once};

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};

use crate::harness::platform::is_timeout;
use crate::harness::{Client, PATIENCE, TestServer, Way};

/// What the servers of this process have logged.
struct Log {
    lines: Mutex<Vec<String>>,
    has_grown: Condvar,
}

static LOG: Log = Log {
    lines: Mutex::new(Vec::new()),
    has_grown: Condvar::new(),
};

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Debug
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.lines.lock().unwrap().push(record.args().to_string());
            self.has_grown.notify_all();
        }
    }

    fn flush(&self) {}
}

/// A server whose log can be read.
pub fn logged_server() -> TestServer {
    static START: Once = Once::new();
    START.call_once(|| {
        // At this level lines that repeat are not gathered.
        log::set_logger(&LOG).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
    TestServer::calm()
}

/// Checks that a line of the log names this client and contains `words`.
#[track_caller]
pub fn expect_in_log(client: &Client, words: &str) {
    let address = format!("{},", client.socket().local_addr().unwrap());
    let is_wanted = |line: &String| line.contains(&address) && line.contains(words);
    let lines = LOG.lines.lock().unwrap();
    let (lines, timeout) = LOG
        .has_grown
        .wait_timeout_while(lines, PATIENCE, |lines| !lines.iter().any(is_wanted))
        .unwrap();
    let lines = lines.iter().filter(|line| line.contains(&address));
    let about = lines.cloned().collect::<Vec<_>>();
    assert!(!timeout.timed_out(), "no {words:?} in {about:?}");
}

/// Checks that the server closes without sending a byte.
#[track_caller]
pub fn expect_end_without_a_byte(client: &mut Client) {
    match client.read_some() {
        Ok(0) => {}
        Ok(count) => panic!("{count} bytes came"),
        Err(error) if is_timeout(&error) => {
            panic!("the connection was not closed")
        }
        // A reset, or over TLS an end that TLS was not told of.
        Err(_) => {}
    }
}

/// A client on the port for TLS that does not speak it.
fn plain_on_tls_port(server: &TestServer) -> Client {
    Client::over(
        TcpStream::connect(server.tls_address()).unwrap(),
        Way::Plain,
    )
}

/// Requests as browsers and tools make them, with commands in their bodies.
fn http_requests() -> Vec<String> {
    let body = "{\"Command\":\"01\",\"Name\":\"Anna\"}\n{\"Command\":\"05\",\"Message\":\"from a web page\"}\n{\"Command\":\"02\",\"Name\":\"Carol\",\"Password\":\"secret\"}";
    let length = body.len();
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]
        .iter()
        .map(|method| {
            format!("{method} / HTTP/1.1\r\nHost: localhost:4004\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}")
        })
        .chain([
            format!("CONNECT localhost:4004 HTTP/1.1\r\n\r\n{body}"),
            format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{body}"),
            format!("POST /{{\"Command\":\"01\"}} HTTP/1.0\n\n{body}"),
            format!("GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n{body}"),
        ])
        .collect()
}

/// What a TLS client says first.
pub fn tls_hello() -> Vec<u8> {
    /// Keeps what is written, and never has anything to read.
    #[derive(Debug, Default)]
    struct Sink(Vec<u8>);
    impl Read for Sink {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }
    }
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    match connector.build().connect("localhost", Sink::default()) {
        Err(openssl::ssl::HandshakeError::WouldBlock(stream)) => stream.get_ref().0.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn http_is_closed_without_a_byte_and_nothing_in_it_is_carried_out() {
    let server = logged_server();
    let mut bobby = server.guest("Bobby");
    for request in http_requests() {
        for way in [Way::Plain, Way::Tls] {
            let mut browser = server.connect_as(way);
            browser.send_bytes(request.as_bytes());
            expect_end_without_a_byte(&mut browser);
            expect_in_log(&browser, "HTTP");
        }
        let mut browser = plain_on_tls_port(&server);
        browser.send_bytes(request.as_bytes());
        expect_end_without_a_byte(&mut browser);
        expect_in_log(&browser, "TLS");
    }
    bobby.expect_nothing();
    // Nothing was registered either.
    server.connect().log_in("Carol");
}

#[test]
fn http_is_recognised_in_pieces_too() {
    let server = logged_server();
    let mut bobby = server.guest("Bobby");
    for request in http_requests() {
        let mut browser = server.connect();
        for byte in request.bytes() {
            // The server closes before it has everything.
            if browser.try_send_bytes(&[byte]).is_err() {
                break;
            }
        }
        expect_end_without_a_byte(&mut browser);
    }
    bobby.expect_nothing();
}

#[test]
fn tls_on_the_plain_port_is_closed_without_a_byte() {
    let server = logged_server();
    let hello = tls_hello();
    assert_eq!(hello[0], 22);
    // A whole hello, and the records of other versions by their beginnings.
    for bytes in [
        &hello[..],
        b"\x16\x03\x01\x02\0\x01",
        b"\x16\x03\x03\0\x2f\x01\0",
        b"\x16\x03\x04\x01\0",
    ] {
        let mut client = server.connect();
        client.send_bytes(bytes);
        expect_end_without_a_byte(&mut client);
        expect_in_log(&client, "TLS");
    }
}

#[test]
fn plain_text_on_the_tls_port_is_closed_without_a_byte() {
    let server = logged_server();
    let mut bobby = server.guest("Bobby");
    let texts: [&[u8]; 7] = [
        b"{\"Command\":\"01\",\"Name\":\"Anna\"}{\"Command\":\"05\",\"Message\":\"x\"}",
        b"\0\0\0\x1e{\"Command\":\"01\",\"Name\":\"Anna\"}",
        b" ",
        b"\xef\xbb\xbf{",
        b"hello\n",
        b"\x15\x03\x01\0\x02\x02\x0a",
        b"\x80\x2e\x01\0\x02",
    ];
    for text in texts {
        let mut client = plain_on_tls_port(&server);
        client.send_bytes(text);
        expect_end_without_a_byte(&mut client);
        expect_in_log(&client, "TLS");
    }
    bobby.expect_nothing();
}

#[test]
fn any_other_start_gets_a_notice_and_the_end_and_the_log_names_the_likely_cause() {
    let login = br#"{"Command":"01","Name":"Anna"}{"Command":"05","Message":"x"}"#;
    let length = login.len() as u8;
    let utf_16: Vec<u8> = String::from_utf8_lossy(login)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let server = logged_server();
    let mut bobby = server.guest("Bobby");
    let starts: [(&[u8], &str); 18] = [
        (&[length, 0, 0, 0], "little-endian"),
        (&[length, 1, 0, 0], "little-endian"),
        (&[length, 0, 0, 0, 0, 0, 0, 0], "8 bytes"),
        (&[length, 0], "2 bytes"),
        (&[length], "1 byte"),
        (&[22], "1 byte"),
        (b"60:", ""),
        (b"hello\n", ""),
        (b"Content-Length: 60\r\n\r\n", ""),
        (b"SSH-2.0-OpenSSH_9.6\r\n", ""),
        (b"'", ""),
        (b"[1,", "array"),
        (b"}", ""),
        (b",", ""),
        (b"\\", ""),
        (b"\xff\xfb\x1f", ""),
        (b"\x80", ""),
        (b"\xef\xbb ", ""),
    ];
    for way in [Way::Plain, Way::Tls] {
        for (start, cause) in starts {
            let mut client = server.connect_as(way);
            client.send_bytes(&[start, login].concat());
            assert!(
                !client.expect_notice().is_empty(),
                "{}",
                start.escape_ascii()
            );
            client.expect_end();
            expect_in_log(&client, cause);
        }
        // What begins like a prefix is answered with one.
        let prefixed = if way == Way::Plain {
            Way::PlainPrefixed
        } else {
            Way::TlsPrefixed
        };
        let starts: [(&[u8], &str); 4] = [
            (&[0, 0, 0, 0, 0, 0, 0, length], "8 bytes"),
            (&[0, length], "2 bytes"),
            (&[0], ""),
            (&[0, 1, 0, 0, 0, 0, 0, 0], ""),
        ];
        for (start, cause) in starts {
            let mut client = server.connect_as(prefixed);
            client.send_bytes(&[start, login].concat());
            assert!(
                !client.expect_notice().is_empty(),
                "{}",
                start.escape_ascii()
            );
            client.expect_end();
            expect_in_log(&client, cause);
        }
        // UTF-16 begins like something else, by its mark or, in one byte order, not even that.
        for start in [&b"\xff\xfe"[..], b""] {
            let mut client = server.connect_as(way);
            client.send_bytes(&[start, &utf_16].concat());
            client.expect_notice();
            client.expect_end();
        }
    }
    bobby.expect_nothing();
}

#[test]
fn the_log_tells_an_array_and_a_string_from_a_length() {
    let server = logged_server();
    for (start, cause) in [
        (r#"[{"Command":"01","Name":"Anna"}]"#, "array"),
        (r#""{\"Command\":\"01\",\"Name\":\"Anna\"}""#, "quotes"),
    ] {
        let mut client = server.connect();
        client.send_bytes(start.as_bytes());
        client.expect_notice();
        client.expect_end();
        expect_in_log(&client, cause);
    }
}
