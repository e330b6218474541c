//! Processes: chatd and what is tried on it, their output, and how they end.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Client, PATIENCE, Way};

/// The program under test.
pub const CHATD: &str = env!("CARGO_BIN_EXE_chatd");

/// What a process writes to a pipe, gathered by a thread.
pub struct Output {
    unread: Mutex<Option<Box<dyn Read + Send>>>,
    gathered: Arc<(Mutex<Gathered>, Condvar)>,
}

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Output {
    /// The output that comes through `pipe`; nobody reads it before [`read`](Self::read) is called.
    pub fn held(pipe: Option<impl Read + Send + 'static>) -> Output {
        let is_over = pipe.is_none();
        let gathered = Gathered {
            bytes: Vec::new(),
            is_over,
        };
        Output {
            unread: Mutex::new(pipe.map(|pipe| Box::new(pipe) as Box<dyn Read + Send>)),
            gathered: Arc::new((Mutex::new(gathered), Condvar::new())),
        }
    }

    /// Starts to read.
    pub fn read(&self) {
        let Some(mut pipe) = self.unread.lock().unwrap().take() else {
            return;
        };
        let gathered = Arc::clone(&self.gathered);
        thread::spawn(move || {
            let mut buffer = [0; 8 << 10];
            loop {
                let count = pipe.read(&mut buffer).unwrap_or(0);
                let mut of = gathered.0.lock().unwrap();
                of.bytes.extend_from_slice(&buffer[..count]);
                of.is_over = count == 0;
                gathered.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
    }

    /// Waits until `found` finds what it looks for, or all has been written, and returns what it found.
    #[track_caller]
    fn wait<T>(&self, mut found: impl FnMut(&Gathered) -> Option<T>) -> Result<T, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut gathered = self.gathered.0.lock().unwrap();
        loop {
            if let Some(value) = found(&gathered) {
                return Ok(value);
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            if gathered.is_over || remaining.is_zero() {
                return Err(String::from_utf8_lossy(&gathered.bytes).into_owned());
            }
            gathered = self.gathered.1.wait_timeout(gathered, remaining).unwrap().0;
        }
    }

    /// The first whole line that contains `what`, once it has been written.
    #[track_caller]
    pub fn line_with(&self, what: &str) -> String {
        self.line_where(what, |line| line.contains(what))
    }

    /// The first whole line that fulfils `condition`, which `what` tells in words.
    #[track_caller]
    pub fn line_where(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let found = self.wait(|gathered| {
            let text = String::from_utf8_lossy(&gathered.bytes);
            let whole = &text[..text.rfind('\n')? + 1];
            whole
                .lines()
                .find(|line| condition(line))
                .map(str::to_owned)
        });
        found.unwrap_or_else(|all| panic!("no line with {what:?} in\n{all}"))
    }

    /// The first whole line behind the first `length` bytes that begins with `start`, once it has been written.
    #[track_caller]
    pub fn line_after(&self, length: usize, start: &str) -> String {
        let found = self.wait(|gathered| {
            let text = String::from_utf8_lossy(gathered.bytes.get(length..)?);
            let whole = &text[..text.rfind('\n')? + 1];
            whole
                .lines()
                .find(|line| line.starts_with(start))
                .map(str::to_owned)
        });
        found.unwrap_or_else(|all| panic!("no line that begins with {start:?} in\n{all}"))
    }

    /// All that has been written, once it fulfils `condition`, which `what` tells in words.
    #[track_caller]
    pub fn text_where(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let found = self.wait(|gathered| {
            let text = String::from_utf8_lossy(&gathered.bytes).into_owned();
            condition(&text).then_some(text)
        });
        found.unwrap_or_else(|all| panic!("{what}: not in\n{all:?}"))
    }

    /// What stands behind the first `length` bytes, up to and including the first place where they contain `what`, once it
    /// has been written.
    #[track_caller]
    pub fn text_after(&self, length: usize, what: &str) -> String {
        let found = self.wait(|gathered| {
            let text = String::from_utf8_lossy(gathered.bytes.get(length..)?);
            let place = text.find(what)?;
            Some(text[..place + what.len()].to_owned())
        });
        found.unwrap_or_else(|all| panic!("no {what:?} behind {length} bytes of\n{all:?}"))
    }

    /// Everything up to and including the first line that begins with `start`.
    #[track_caller]
    pub fn text_to(&self, start: &str) -> String {
        let found = self.wait(|gathered| {
            let text = String::from_utf8_lossy(&gathered.bytes);
            let mut length = 0;
            for line in text.split_inclusive('\n') {
                length += line.len();
                if line.starts_with(start) && line.ends_with('\n') {
                    return Some(text[..length].to_owned());
                }
            }
            None
        });
        found.unwrap_or_else(|all| panic!("no line that begins with {start:?} in\n{all}"))
    }

    /// All of it, once the process has closed its end.
    #[track_caller]
    pub fn all_bytes(&self) -> Vec<u8> {
        self.wait(|gathered| gathered.is_over.then(|| gathered.bytes.clone()))
            .unwrap_or_else(|all| panic!("the output does not end:\n{all}"))
    }

    /// The same as text.
    #[track_caller]
    pub fn all(&self) -> String {
        String::from_utf8(self.all_bytes()).expect("the output is UTF-8")
    }

    /// What has come so far.
    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.so_far_bytes()).into_owned()
    }

    /// The same as bytes, where it may be in an encoding of its own.
    pub fn so_far_bytes(&self) -> Vec<u8> {
        self.gathered.0.lock().unwrap().bytes.clone()
    }
}

/// A running process. It is killed when this is dropped.
pub struct Process {
    child: Child,
    /// Its standard input, if that was piped.
    pub input: Option<ChildStdin>,
    pub out: Output,
    pub err: Output,
}

impl Process {
    /// Starts a process whose output is gathered, as far as `command` does not send it elsewhere.
    pub fn start(command: Command) -> Process {
        let process = Process::start_unread(command);
        process.out.read();
        process.err.read();
        process
    }

    /// Starts a process whose output nobody reads before [`Output::read`] is called.
    pub fn start_unread(mut command: Command) -> Process {
        let mut child = command.spawn().unwrap();
        Process {
            input: child.stdin.take(),
            out: Output::held(child.stdout.take()),
            err: Output::held(child.stderr.take()),
            child,
        }
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        self.type_keys(&format!("{line}\n"));
    }

    /// Types what need not be a whole line.
    pub fn type_keys(&mut self, keys: &str) {
        let input = self.input.as_mut().expect("a piped input");
        input.write_all(keys.as_bytes()).unwrap();
    }

    /// The number by which the system knows it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the process does not end; it wrote\n{}\n{}",
                self.out.so_far(),
                self.err.so_far()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal, named as the shell names it.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name])
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.unwrap().success());
    }

    /// Ends the process at once (SIGKILL on Unix).
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a command independent of the settings and the terminal that the tests are run in.
pub fn isolate(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHATD_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("RUST_LOG")
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
}

/// chatd on loopback, with ports that the system chooses and its data in the folder `data` of `folder`. All that
/// is said by variables, so that tests can say otherwise by flags.
pub fn chatd(folder: &Path) -> Command {
    settle(Command::new(CHATD), folder)
}

/// The same, started with limits of the system's that `prlimit` knows by these arguments.
#[cfg(target_os = "linux")]
pub fn chatd_within(limits: &[&str], folder: &Path) -> Command {
    let mut prlimit = Command::new("prlimit");
    prlimit.args(limits).arg(CHATD);
    settle(prlimit, folder)
}

/// The same, started by a program that starts others, such as nohup.
#[cfg(unix)]
pub fn chatd_under(starter: &str, folder: &Path) -> Command {
    let mut command = Command::new(starter);
    command.arg(CHATD);
    settle(command, folder)
}

/// The same, started by a shell that has carried out `preparation`.
#[cfg(unix)]
pub fn chatd_after(preparation: &str, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{preparation}; exec \"$0\" \"$@\""), CHATD]);
    settle(shell, folder)
}

fn settle(mut command: Command, folder: &Path) -> Command {
    isolate(&mut command)
        .env("CHATD_BIND", "127.0.0.1")
        .env("CHATD_PORT", "0")
        .env("CHATD_TLS_PORT", "0")
        .env("CHATD_WEB_PORT", "0")
        .env("CHATD_LANG", "en")
        // On a slow machine a heartbeat would come between what a test waits for.
        .env("CHATD_HEARTBEAT", "10m")
        .env("CHATD_DATA_DIR", folder.join("data"));
    // There is no signal to stop it by, so it is told to on its console; see `Chatd::stop`.
    if cfg!(not(unix)) {
        command.env("CHATD_CONSOLE", "1").stdin(Stdio::piped());
    }
    command
}

/// A chatd that has started.
pub struct Chatd {
    pub process: Process,
    /// All that it printed when it had started.
    pub banner: String,
}

impl Chatd {
    /// Starts it, and waits for its banner.
    #[track_caller]
    pub fn start(command: Command) -> Chatd {
        let chatd = Chatd::start_with_unread_log(command);
        chatd.process.err.read();
        chatd
    }

    /// The same, with a log that nobody reads.
    #[track_caller]
    pub fn start_with_unread_log(command: Command) -> Chatd {
        let mut process = Process::start_unread(command);
        process.out.read();
        let is_whole = |gathered: &Gathered| {
            let text = String::from_utf8_lossy(&gathered.bytes).into_owned();
            let has_end = ["\nStop ", "\n按 Ctrl-C "].map(|last| text.contains(last));
            let is_whole = has_end.contains(&true) && text.ends_with('\n');
            is_whole.then_some(text)
        };
        let banner = process.out.wait(is_whole).unwrap_or_else(|printed| {
            process.err.read();
            let _ = process.child.kill();
            panic!("no banner, but {printed:?} and {:?}", process.err.all());
        });
        Chatd { process, banner }
    }

    /// Where the banner says that clients of this kind connect: `plain`, or `明文` in Chinese, or `TLS`.
    pub fn addresses(&self, kind: &str) -> Vec<SocketAddr> {
        let of_kind = self.banner.lines().filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [of, address, "port" | "端口", port, ..] = words[..] else {
                return None;
            };
            let address: IpAddr = address.parse().ok()?;
            (of == kind).then(|| SocketAddr::new(address, port.parse().unwrap()))
        });
        of_kind.collect()
    }

    pub fn plain_address(&self) -> SocketAddr {
        let [english, chinese] = ["plain", "明文"].map(|kind| self.addresses(kind));
        [english, chinese].concat()[0]
    }

    pub fn tls_address(&self) -> SocketAddr {
        self.addresses("TLS")[0]
    }

    /// Where the banner says that browsers find the page.
    #[track_caller]
    pub fn web_address(&self) -> SocketAddr {
        let url = self
            .banner
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http://"));
        let address = url.expect("a link in the banner").trim_end_matches('/');
        address.parse().expect("an address and a port")
    }

    /// Where clients of this way connect.
    pub fn address(&self, way: Way) -> SocketAddr {
        match way {
            Way::Plain | Way::PlainPrefixed => self.plain_address(),
            Way::Tls | Way::TlsPrefixed => self.tls_address(),
            Way::Browser => self.web_address(),
        }
    }

    /// The fingerprint that the banner tells.
    #[track_caller]
    pub fn fingerprint(&self) -> String {
        let is_fingerprint = |line: &&str| {
            let pairs: Vec<&str> = line.split(':').collect();
            pairs.len() == 32
                && pairs
                    .iter()
                    .all(|pair| u8::from_str_radix(pair, 16).is_ok())
        };
        let found = self.banner.lines().map(str::trim).find(is_fingerprint);
        found.expect("a fingerprint in the banner").to_owned()
    }

    pub fn connect_as(&self, way: Way) -> Client {
        Client::over(TcpStream::connect(self.address(way)).unwrap(), way)
    }

    pub fn connect(&self) -> Client {
        self.connect_as(Way::Plain)
    }

    pub fn guest(&self, name: &str) -> Client {
        let mut client = self.connect();
        client.log_in(name);
        client
    }

    /// Waits for a line of the log.
    #[track_caller]
    pub fn log_line(&self, what: &str) -> String {
        self.process.err.line_with(what)
    }

    /// Stops it as a teacher would, and returns its whole log.
    #[cfg(unix)]
    #[track_caller]
    pub fn stop(mut self) -> String {
        self.process.signal("TERM");
        let status = self.process.wait();
        let log = self.process.err.all();
        assert!(status.success(), "{status}\n{log}");
        log
    }

    /// Stops it by its console, as there is no signal to send, and returns its whole log. One whose input a test has
    /// closed is killed.
    #[cfg(not(unix))]
    #[track_caller]
    pub fn stop(mut self) -> String {
        if self.process.input.is_none() {
            self.process.kill();
            return self.process.err.all();
        }
        self.process.type_line("quit");
        let status = self.process.wait();
        let log = self.process.err.all();
        assert!(status.success(), "{status}\n{log}");
        log
    }
}

/// One of the examples, which `cargo test` builds beside the tests.
pub fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.ancestors().nth(2).unwrap().join("examples");
    let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "run `cargo build --examples` first");
    let mut command = Command::new(program);
    isolate(&mut command).stdin(Stdio::piped());
    command
}

/// Starts what can't start, and returns what it wrote to standard error.
#[track_caller]
pub fn refused(command: Command) -> String {
    let mut process = Process::start(command);
    let status = process.wait();
    let (printed, complaint) = (process.out.all(), process.err.all());
    assert!(!status.success(), "{complaint}");
    assert!(status.code().is_some(), "{status}: {complaint}");
    assert_ne!(status.code(), Some(101), "a panic: {complaint}");
    assert_eq!(printed, "", "{complaint}");
    for word in ["panicked", "backtrace", "internal error", "RUST_BACKTRACE"] {
        assert!(!complaint.contains(word), "{complaint}");
    }
    complaint
}

/// Whether a program can be run here; says so if not.
pub fn can_run(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument);
    isolate(&mut command);
    let can = command.status().is_ok_and(|status| status.success());
    if !can {
        eprintln!("SKIPPED: this test needs {program}, which can't be run here");
    }
    can
}
