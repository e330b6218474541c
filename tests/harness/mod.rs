//! A server on ports of its own, and clients that speak to it in every way there is.

pub mod platform;
pub mod websocket;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chatd::server::{Config, Handle, Server, StartError};
use openssl::ssl::{ShutdownState, SslConnector, SslMethod, SslStream, SslVerifyMode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// No answer takes this long, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. It is stopped, and its thread joined, when this is dropped.
pub struct TestServer {
    pub handle: Handle,
    pub folder: TempDir,
    thread: Option<JoinHandle<Result<(), StartError>>>,
}

impl TestServer {
    /// A server with default settings on loopback ports that the system chose.
    pub fn start() -> TestServer {
        TestServer::with(|_| {})
    }

    /// The same with other settings.
    pub fn with(change: impl FnOnce(&mut Config)) -> TestServer {
        TestServer::in_folder(tempfile::tempdir().unwrap(), change)
    }

    /// A server whose heartbeat comes too late to get in the way of a test, however slow the machine.
    pub fn calm() -> TestServer {
        TestServer::calm_with(|_| {})
    }

    /// The same with other settings.
    pub fn calm_with(change: impl FnOnce(&mut Config)) -> TestServer {
        TestServer::with(|config| {
            config.heartbeat = Duration::from_secs(3600);
            change(config);
        })
    }

    /// The same on a data folder that an earlier server may have used.
    pub fn in_folder(folder: TempDir, change: impl FnOnce(&mut Config)) -> TestServer {
        let mut config = Config {
            bind: vec![[127, 0, 0, 1].into()],
            port: 0,
            tls_port: 0,
            web_port: 0,
            data_dir: folder.path().join("data"),
            ..Config::default()
        };
        change(&mut config);
        let server = Server::bind(config).unwrap();
        let handle = server.handle();
        let thread = Some(thread::spawn(move || server.run()));
        TestServer {
            handle,
            folder,
            thread,
        }
    }

    pub fn plain_address(&self) -> SocketAddr {
        self.handle.plain_addresses()[0]
    }

    pub fn tls_address(&self) -> SocketAddr {
        self.handle.tls_addresses()[0]
    }

    pub fn web_address(&self) -> SocketAddr {
        self.handle.web_addresses()[0]
    }

    /// Where clients of this way connect.
    pub fn address(&self, way: Way) -> SocketAddr {
        match way {
            Way::Plain | Way::PlainPrefixed => self.plain_address(),
            Way::Tls | Way::TlsPrefixed => self.tls_address(),
            Way::Browser => self.web_address(),
        }
    }

    /// A plain client that sends objects one after another.
    pub fn connect(&self) -> Client {
        self.connect_as(Way::Plain)
    }

    pub fn connect_as(&self, way: Way) -> Client {
        Client::connect(self, way)
    }

    /// A plain client that is logged in as a guest.
    pub fn guest(&self, name: &str) -> Client {
        self.guest_as(Way::Plain, name)
    }

    pub fn guest_as(&self, way: Way, name: &str) -> Client {
        let mut client = self.connect_as(way);
        client.log_in(name);
        client
    }

    /// Stops the server, waits until it has, and hands back its folder.
    pub fn stop(mut self) -> TempDir {
        self.shut_down();
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    fn shut_down(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if thread::panicking() {
            self.handle.stop();
        } else {
            self.shut_down();
        }
    }
}

/// How a client is connected, and how it frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Plain,
    Tls,
    PlainPrefixed,
    TlsPrefixed,
    /// By WebSocket, as browsers are.
    Browser,
}

impl Way {
    pub const ALL: [Way; 5] = [
        Way::Plain,
        Way::Tls,
        Way::PlainPrefixed,
        Way::TlsPrefixed,
        Way::Browser,
    ];

    pub fn is_tls(self) -> bool {
        matches!(self, Way::Tls | Way::TlsPrefixed)
    }

    pub fn is_prefixed(self) -> bool {
        matches!(self, Way::PlainPrefixed | Way::TlsPrefixed)
    }

    pub fn is_browser(self) -> bool {
        self == Way::Browser
    }

    /// Whether objects follow one another with nothing around them.
    pub fn is_bare(self) -> bool {
        matches!(self, Way::Plain | Way::Tls)
    }

    /// The bytes that carry one frame.
    pub fn frame(self, json: &str) -> Vec<u8> {
        self.frame_bytes(json.as_bytes())
    }

    /// The bytes that carry one frame that need not be text.
    pub fn frame_bytes(self, body: &[u8]) -> Vec<u8> {
        match self {
            Way::Plain | Way::Tls => body.to_vec(),
            Way::PlainPrefixed | Way::TlsPrefixed => {
                [&(body.len() as u32).to_be_bytes(), body].concat()
            }
            Way::Browser => websocket::client_frame(websocket::TEXT, body),
        }
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

/// A client. Every read has a time limit, and panics when it passes.
pub struct Client {
    stream: Stream,
    way: Way,
    /// Bytes that were read and not taken yet.
    unread: Vec<u8>,
    /// The frame by which the server ended WebSocket, if it did: its status code, or none.
    close_code: Option<Option<u16>>,
}

impl Client {
    fn connect(server: &TestServer, way: Way) -> Client {
        let socket = TcpStream::connect(server.address(way)).unwrap();
        Client::over(socket, way)
    }

    /// A client on a socket that is connected already.
    pub fn over(socket: TcpStream, way: Way) -> Client {
        if way.is_tls() {
            set_patience(&socket);
            return Client::try_over_tls(socket, way).expect("a TLS handshake");
        }
        let mut client = Client::silent(socket, way);
        if way.is_browser() {
            client.send_bytes(websocket::REQUEST);
            client.expect_web_socket();
        }
        client
    }

    /// The same without a handshake of any kind.
    pub fn silent(socket: TcpStream, way: Way) -> Client {
        set_patience(&socket);
        Client {
            stream: Stream::Plain(socket),
            way,
            unread: Vec::new(),
            close_code: None,
        }
    }

    /// Reads the answer that opens WebSocket.
    #[track_caller]
    pub fn expect_web_socket(&mut self) {
        let end = loop {
            if let Some(start) = self.unread.windows(4).position(|end| end == b"\r\n\r\n") {
                break start + 4;
            }
            let count = self.read_some().expect("an answer to the request");
            assert!(count > 0, "the end, but no answer to the request");
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        websocket::check_answer(&String::from_utf8(head).unwrap());
    }

    /// A client on a connected socket that may be closed before the end of its handshake.
    pub fn try_over_tls(socket: TcpStream, way: Way) -> Option<Client> {
        // Made once: it reads all authorities that the system trusts.
        static CONNECTOR: LazyLock<SslConnector> = LazyLock::new(|| {
            let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
            connector.set_verify(SslVerifyMode::NONE);
            connector.build()
        });
        let configured = CONNECTOR.configure().unwrap().verify_hostname(false);
        let stream = configured.connect("localhost", socket).ok()?;
        Some(Client {
            stream: Stream::Tls(Box::new(stream)),
            way,
            unread: Vec::new(),
            close_code: None,
        })
    }

    /// The socket under it all.
    pub fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref(),
        }
    }

    /// How this client is connected.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Sends one frame in the client's framing.
    pub fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string());
    }

    /// Sends one frame that need not be JSON.
    pub fn send_text(&mut self, frame: &str) {
        let bytes = self.way.frame(frame);
        self.send_bytes(&bytes);
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes).unwrap();
    }

    /// Sends bytes to a server that may close meanwhile.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes),
        }
    }

    /// Reads once, whatever comes.
    pub fn read_some(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 << 10];
        let count = match &mut self.stream {
            Stream::Plain(socket) => socket.read(&mut buffer)?,
            Stream::Tls(stream) => stream.read(&mut buffer)?,
        };
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// The bytes of the next frame, or `None` if the server has closed.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            match self.read_some() {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => panic!("{:?}: nothing came, and no end: {error}", self.way),
            }
        }
    }

    /// All frames that have come, without waiting for more, and whether the connection has ended.
    pub fn take_available(&mut self) -> (Vec<Vec<u8>>, bool) {
        self.socket().set_nonblocking(true).unwrap();
        let mut frames = Vec::new();
        let has_ended = loop {
            match self.read_some() {
                Ok(0) => break true,
                Ok(_) => frames.extend(std::iter::from_fn(|| self.take_frame())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Err(_) => break true,
            }
        };
        self.socket().set_nonblocking(false).unwrap();
        frames.extend(std::iter::from_fn(|| self.take_frame()));
        (frames, has_ended)
    }

    /// All messages up to the end of the connection, however abrupt it is; half a message does not count.
    #[track_caller]
    pub fn receive_all(&mut self) -> Vec<Value> {
        let mut messages = Vec::new();
        loop {
            let frames = std::iter::from_fn(|| self.take_frame());
            messages
                .extend(frames.map(|frame| serde_json::from_slice::<Value>(&frame).expect("JSON")));
            match self.read_some() {
                Ok(0) => return messages,
                Ok(_) => {}
                Err(error) if platform::is_timeout(&error) => {
                    panic!("{:?}: nothing came, and no end", self.way)
                }
                Err(_) => return messages,
            }
        }
    }

    /// All bytes that were read and not taken yet.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
    }

    fn take_frame(&mut self) -> Option<Vec<u8>> {
        if self.way.is_browser() {
            return self.take_text();
        }
        let (start, end, next) = if self.way.is_prefixed() {
            let length = u32::from_be_bytes(*self.unread.first_chunk()?) as usize;
            (4, 4 + length, 4 + length)
        } else {
            let end = self.unread.iter().position(|byte| *byte == b'\n')?;
            (0, end, end + 1)
        };
        if self.unread.len() < next {
            return None;
        }
        let frame = self.unread[start..end].to_vec();
        self.unread.drain(..next);
        Some(frame)
    }

    /// The next text message by WebSocket. The frame that ends WebSocket is kept, and must be the last.
    fn take_text(&mut self) -> Option<Vec<u8>> {
        let (opcode, payload) = self.take_web_frame()?;
        match opcode {
            websocket::TEXT => Some(payload),
            websocket::CLOSE => {
                self.close_code = Some(websocket::code_of(&payload));
                None
            }
            // An answer to a ping that the test has sent.
            websocket::PONG => self.take_text(),
            _ => panic!("a frame of kind {opcode} came: {payload:?}"),
        }
    }

    /// The next frame of WebSocket that has come, of any kind.
    fn take_web_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (opcode, payload, size) = websocket::server_frame(&self.unread)?;
        assert_eq!(self.close_code, None, "a frame behind the last one");
        self.unread.drain(..size);
        Some((opcode, payload))
    }

    /// The next frame of WebSocket, of any kind; panics at the end of the connection.
    #[track_caller]
    pub fn next_web_frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some(frame) = self.take_web_frame() {
                return frame;
            }
            assert!(self.read_some().unwrap() > 0, "the end, not a frame");
        }
    }

    /// The frame by which the server ended WebSocket, if one came: its status code, or none.
    pub fn close_code(&self) -> Option<Option<u16>> {
        self.close_code
    }

    /// Checks that the server ends WebSocket with this status code, and then the connection, without another word.
    #[track_caller]
    pub fn expect_close(&mut self, code: impl Into<Option<u16>>) {
        self.expect_end();
        assert_eq!(self.close_code, Some(code.into()));
    }

    /// The next message; panics if there is none.
    #[track_caller]
    pub fn receive(&mut self) -> Value {
        let frame = self
            .next_frame()
            .expect("a message, not the end of the connection");
        serde_json::from_slice(&frame).expect("JSON")
    }

    /// Reads once, and checks that one whole frame came and nothing else.
    #[track_caller]
    pub fn receive_in_one_read(&mut self) -> Value {
        assert!(self.unread.is_empty(), "something was not read before");
        self.read_some().unwrap();
        let frame = self.take_frame().expect("a whole frame");
        assert!(self.unread.is_empty(), "{:?}: more than a frame", self.way);
        serde_json::from_slice(&frame).expect("JSON")
    }

    /// Checks that the next message is exactly this.
    #[track_caller]
    pub fn expect(&mut self, expected: Value) {
        assert_eq!(self.receive(), expected, "{:?}", self.way);
    }

    /// Checks that the next frame is exactly this, byte for byte.
    #[track_caller]
    pub fn expect_text(&mut self, expected: &str) {
        let frame = self.next_frame().expect("a frame, not the end");
        assert_eq!(String::from_utf8_lossy(&frame), expected, "{:?}", self.way);
    }

    /// Checks that the next message has this command, and returns it.
    #[track_caller]
    pub fn expect_command(&mut self, command: &str) -> Value {
        let message = self.receive();
        assert_eq!(message["Command"], command, "{:?}: {message}", self.way);
        message
    }

    /// Checks that the next message is a refusal with this command, and returns its reason.
    #[track_caller]
    pub fn expect_refusal(&mut self, command: &str) -> String {
        let message = self.expect_command(command);
        assert_eq!(message["Flag"], 0, "{message}");
        let why = message["Message"].as_str().expect("a reason").to_owned();
        assert!(!why.is_empty());
        why
    }

    /// Checks that the next message is a 10, and returns its text.
    #[track_caller]
    pub fn expect_notice(&mut self) -> String {
        self.expect_command("10")["Message"]
            .as_str()
            .expect("a reason")
            .to_owned()
    }

    /// Checks that the server closes without another word.
    #[track_caller]
    pub fn expect_end(&mut self) {
        if let Some(frame) = self.next_frame() {
            panic!(
                "{:?}: not the end, but {}",
                self.way,
                String::from_utf8_lossy(&frame)
            );
        }
        assert_eq!(
            String::from_utf8_lossy(&self.unread),
            "",
            "a last line is whole"
        );
        if self.way.is_browser() {
            assert!(self.close_code.is_some(), "no frame ended WebSocket");
        }
    }

    /// Whether the end came in an orderly way; over TLS this includes an alert (RFC 8446, section 6.1), by WebSocket a frame
    /// (RFC 6455, section 7.1.1).
    pub fn has_ended_orderly(&mut self) -> bool {
        match &mut self.stream {
            Stream::Plain(socket) => {
                let was_told = !self.way.is_browser() || self.close_code.is_some();
                was_told && matches!(socket.read(&mut [0]), Ok(0))
            }
            Stream::Tls(stream) => stream.get_shutdown().contains(ShutdownState::RECEIVED),
        }
    }

    /// Makes sure that the connection's own thread has acted on all that was sent, and that nothing came of it: the
    /// next message is the answer to something sent now. What others carry out may still come.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        self.send(&json!({"Command": "77"}));
        self.expect_notice();
    }

    /// Logs in as a guest, and returns the roster.
    #[track_caller]
    pub fn log_in(&mut self, name: &str) -> Vec<(String, bool)> {
        self.send(&json!({"Command": "01", "Name": name}));
        self.expect_login()
    }

    /// Checks that a login has succeeded, and returns the roster, sorted: its order is not promised.
    #[track_caller]
    pub fn expect_login(&mut self) -> Vec<(String, bool)> {
        let reply = self.expect_command("11");
        assert_eq!(reply["Flag"], 1, "{reply}");
        let friends = reply["Friends"].as_array().expect("a list");
        let mut roster: Vec<(String, bool)> = friends
            .iter()
            .map(|friend| {
                let pair = friend.as_array().expect("a pair");
                assert_eq!(pair.len(), 2);
                let is_guest = pair[1].as_u64().expect("0 or 1");
                assert!(is_guest <= 1);
                (pair[0].as_str().expect("a name").to_owned(), is_guest == 1)
            })
            .collect();
        roster.sort();
        roster
    }

    /// Registers a name, from this connection.
    #[track_caller]
    pub fn register(&mut self, name: &str, password: &str) {
        self.send(&json!({"Command": "02", "Name": name, "Password": password}));
        self.expect(json!({"Command": "12", "Flag": 1}));
    }

    /// Says something to the room.
    pub fn say(&mut self, text: &str) {
        self.send(&json!({"Command": "05", "Message": text}));
    }

    /// Writes to one user.
    pub fn write_to(&mut self, friend: &str, text: &str) {
        self.send(&json!({"Command": "04", "FriendName": friend, "Message": text}));
    }

    /// Logs out, and checks that the connection ends without another word.
    #[track_caller]
    pub fn log_out(mut self) {
        self.send(&json!({"Command": "03"}));
        self.expect_end();
    }

    /// Says that this client will send no more, and goes on receiving.
    pub fn half_close(&mut self) {
        match &mut self.stream {
            Stream::Plain(socket) => socket.shutdown(Shutdown::Write).unwrap(),
            Stream::Tls(stream) => {
                // The alert is all that is wanted; the server's own is read later.
                let _ = stream.shutdown();
            }
        }
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.socket());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn set_patience(socket: &TcpStream) {
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
}

/// The notice that somebody came.
pub fn came(name: &str, is_guest: bool) -> Value {
    json!({"Command": "30", "LogOnUserName": name, "IsUserGuest": u8::from(is_guest)})
}

/// The notice that somebody left.
pub fn left(name: &str) -> Value {
    json!({"Command": "31", "LogOutUserName": name})
}

/// The receipt for a message that was delivered.
pub fn delivered(friend: &str) -> Value {
    json!({"Command": "14", "Comment": "14", "Flag": 1, "FriendName": friend})
}

/// What everybody receives of a message to the room.
pub fn said(speaker: &str, text: &str) -> Value {
    json!({"Command": "32", "Speaker": speaker, "Message": text})
}

/// What a friend receives of a private message.
pub fn wrote(sender: &str, text: &str) -> Value {
    json!({"Command": "13", "FriendName": sender, "Message": text})
}
