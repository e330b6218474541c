//! A machine that has no more to give: descriptors, threads, memory mappings.
//!
//! A running server can't be made to lack these by clients, since it compares its limit on connections with what the
//! machine holds. So the limits of the process are lowered from outside, by prlimit(1).

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Client, PATIENCE, Way, came, left, said};
use crate::process::{Chatd, Process, can_run, chatd, chatd_within, isolate, refused};

/// How long the processor time of a server that lacks something is measured.
const WATCHED: Duration = Duration::from_secs(2);

/// A file of the kernel's about the process.
fn about(process: &Process, file: &str) -> String {
    fs::read_to_string(format!("/proc/{}/{file}", process.id())).unwrap()
}

/// The processor time that the process has used. Linux counts it in hundredths of a second (proc_pid_stat(5)).
fn processor_time(process: &Process) -> Duration {
    let stat = about(process, "stat");
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// How much address space the process takes up, in bytes.
fn address_space(process: &Process) -> u64 {
    let status = about(process, "status");
    let line = status.lines().find(|line| line.starts_with("VmSize:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() << 10
}

/// How many memory mappings the process has.
fn mappings(process: &Process) -> usize {
    about(process, "maps").lines().count()
}

/// How many threads of connections the process has.
fn connection_threads(process: &Process) -> usize {
    let folder = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    // One that ends meanwhile has no name any more.
    let names =
        folder.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("conn-")).count()
}

/// The descriptors that the process has open.
fn descriptors(process: &Process) -> impl Iterator<Item = u64> {
    let folder = fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap();
    folder.map(|entry| {
        entry
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    })
}

/// Sets a soft limit of the running process. The hard one stays, so that anybody may raise the soft one again.
fn limit(process: &Process, resource: &str, value: impl ToString) {
    let mut command = Command::new("prlimit");
    command
        .arg("--pid")
        .arg(process.id().to_string())
        .arg(format!("--{resource}={}:", value.to_string()));
    assert!(isolate(&mut command).status().unwrap().success());
}

/// Lifts a soft limit as far as the hard one allows; `row` is how the kernel calls it (proc_pid_limits(5)).
fn lift(process: &Process, resource: &str, row: &str) {
    let limits = about(process, "limits");
    let values = limits.lines().find_map(|line| line.strip_prefix(row));
    let hard = values.unwrap().split_whitespace().nth(1).unwrap();
    limit(process, resource, hard);
}

/// Checks that those online hear each other.
#[track_caller]
fn chat(online: &mut [Client], speaker: &str, text: &str) {
    online[0].say(text);
    for client in online {
        client.expect(said(speaker, text));
    }
}

/// A limit of open files below which all descriptors are in use: the standard streams have them.
const NO_DESCRIPTORS: u32 = 3;

/// How many descriptors a process may open beyond the highest that it has, where some are to be left. An `accept` that
/// waits has taken one that nobody sees yet, perhaps above all others; so this is more than there are listeners.
const FEW_DESCRIPTORS: u64 = 8;

/// Connects until there is no descriptor left. (An `accept` that waits has one already, so the first is taken, and told.)
fn fill(server: &Chatd) -> Vec<Client> {
    let mut silent = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while failures(server) == 0 {
        assert!(Instant::now() < deadline, "all are taken");
        silent.push(server.connect());
        thread::sleep(Duration::from_millis(10));
    }
    silent
}

/// How often a listener has failed to take a connection, or has taken one without a descriptor for it.
fn failures(server: &Chatd) -> usize {
    let log = server.process.err.so_far();
    log.matches("cannot take a connection").count() + log.matches("no file descriptor left").count()
}

/// Checks that the process does next to nothing, and that the accept loop waits longer and longer: after each
/// failure in a row twice as long, up to a second. It fails at most as often as these waits allow.
#[track_caller]
fn expect_rest(server: &Chatd) {
    let (failed, used, start) = (
        failures(server),
        processor_time(&server.process),
        Instant::now(),
    );
    thread::sleep(WATCHED);
    let used = processor_time(&server.process) - used;
    let (failed, took) = (failures(server) - failed, start.elapsed());
    eprintln!("{failed} failures and {used:?} of processor time in {took:?}");
    assert!(failed > 0, "it was not tried again");
    // Two listeners may fail; seven waits are shorter than a second.
    let most = 2 * (7 + took.as_secs() as usize + 1);
    assert!(failed <= most, "{failed} in {took:?}, not {most}");
    assert!(used < took.mul_f32(0.3), "{used:?} in {took:?}");
}

/// Checks that the log tells of no failure inside, and of what was lacking.
#[track_caller]
fn expect_good_end(server: Chatd, online: Vec<Client>, lack: &str) {
    // A server that stops waits for a while until everybody has gone.
    drop(online);
    let log = server.stop();
    assert!(log.contains(lack), "{log}");
    for word in ["internal error", "panicked", "has failed"] {
        assert!(!log.contains(word), "{log}");
    }
}

/// Two who are online, over both transports.
fn two_online(server: &Chatd) -> Vec<Client> {
    let mut anna = server.guest("Anna");
    let mut bobby = server.connect_as(Way::Tls);
    bobby.log_in("Bobby");
    anna.expect(came("Bobby", true));
    vec![anna, bobby]
}

#[test]
fn without_descriptors_newcomers_wait_and_those_online_chat_on() {
    if !can_run("prlimit", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut online = two_online(&server);
    limit(&server.process, "nofile", NO_DESCRIPTORS);
    let silent = fill(&server);
    let mut newcomers: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for (number, newcomer) in newcomers.iter_mut().enumerate() {
        newcomer.send(&json!({"Command": "01", "Name": format!("Newcomer{number}")}));
    }
    expect_no_handshake(TcpStream::connect(server.tls_address()).unwrap());
    let late = TcpStream::connect(server.tls_address()).unwrap();
    chat(&mut online, "Anna", "it is getting crowded");
    expect_rest(&server);
    chat(&mut online, "Anna", "nobody new?");
    // A registration takes a file, and says what is lacking.
    let register = json!({"Command": "02", "Name": "Carla", "Password": "pass"});
    online[0].send(&register);
    let why = online[0].expect_refusal("12");
    assert!(why.contains("open files"), "{why}");
    for newcomer in &mut newcomers {
        assert_eq!(newcomer.take_available(), (Vec::new(), false));
    }

    lift(&server.process, "nofile", "Max open files");
    let start = Instant::now();
    for newcomer in &mut newcomers {
        newcomer.expect_login();
    }
    let mut late = Client::over(late, Way::Tls);
    late.log_in("Late");
    eprintln!("service was back after {:?}", start.elapsed());
    server.connect().register("Carla", "pass");
    drop((late, newcomers, silent));
    for client in &mut online {
        let mut present = 0_i32;
        let mut seen = 0;
        while seen < 4 || present > 0 {
            let message = client.receive();
            let is_arrival = message["Command"] == "30";
            assert!(is_arrival || message["Command"] == "31", "{message}");
            seen += u32::from(is_arrival);
            present += if is_arrival { 1 } else { -1 };
        }
    }
    chat(&mut online, "Anna", "that was that");
    expect_good_end(server, online, "cannot take a connection");
}

#[test]
fn without_descriptors_a_client_that_leaves_makes_room() {
    if !can_run("prlimit", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let mut online = two_online(&server);
    let highest = descriptors(&server.process).max().unwrap();
    limit(&server.process, "nofile", highest + 1 + FEW_DESCRIPTORS);
    let silent = fill(&server);
    // What one listener is just giving back may be just enough for the other to serve a client. Not so with two fewer.
    limit(&server.process, "nofile", highest - 1 + FEW_DESCRIPTORS);
    expect_soon_refused(&server, 40);
    chat(&mut online, "Anna", "who makes room?");
    limit(&server.process, "nofile", highest + 1 + FEW_DESCRIPTORS);
    let start = Instant::now();
    drop(silent);
    let newcomer = loop {
        let mut newcomer = server.connect();
        // The server may have closed already.
        let _ = newcomer.try_send_bytes(br#"{"Command":"01","Name":"Newcomer"}"#);
        if newcomer.receive()["Command"] == "11" {
            break newcomer;
        }
        assert!(start.elapsed() < PATIENCE, "nobody made room");
    };
    eprintln!("served {:?} after others had left", start.elapsed());
    drop(newcomer);
    expect_good_end(server, online, "the server has no file descriptor left");
}

#[test]
fn a_server_without_descriptors_stops_in_order() {
    if !can_run("prlimit", "--version") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Chatd::start(chatd(folder.path()));
    let online = two_online(&server);
    limit(&server.process, "nofile", NO_DESCRIPTORS);
    let silent = fill(&server);
    server.process.signal("TERM");
    for mut client in online {
        client.expect_notice();
        client.expect_end();
    }
    // The last one was never taken, and is not left waiting.
    for mut client in silent {
        for message in client.receive_all() {
            assert_eq!(message["Command"], "10", "{message}");
        }
    }
    let Chatd { mut process, .. } = server;
    let status = process.wait();
    assert!(status.success(), "{status}: {}", process.err.all());
}

/// Checks that a TLS connection is closed before anything came through it.
#[track_caller]
fn expect_no_handshake(mut socket: TcpStream) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = Vec::new();
    match socket.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert_eq!(all, b"");
}

/// What a process may lack for another thread.
#[derive(Clone, Copy, Debug)]
enum Lack {
    /// Address space for its stack. A little more than that is left for everything else.
    Memory,
    /// The permission for it. The administrator never lacks it.
    Permission,
}

impl Lack {
    /// Whether it can be brought about here; says so if not.
    fn is_possible(self) -> bool {
        let is_root = || {
            fs::read_to_string("/proc/self/status")
                .unwrap()
                .contains("\nUid:\t0\t")
        };
        let obstacle = match self {
            // Other allocators may need address space for small things too.
            Lack::Memory if !cfg!(target_env = "gnu") => "the GNU C library",
            Lack::Permission if is_root() => "somebody other than root",
            _ => return can_run("prlimit", "--version"),
        };
        eprintln!("SKIPPED: this test, as to {self:?}, needs {obstacle}");
        false
    }

    fn begin(self, process: &Process) {
        match self {
            Lack::Memory => limit(process, "as", address_space(process) + (64 << 10)),
            Lack::Permission => limit(process, "nproc", 1),
        }
    }

    fn end(self, process: &Process) {
        match self {
            Lack::Memory => lift(process, "as", "Max address space"),
            Lack::Permission => lift(process, "nproc", "Max processes"),
        }
    }
}

/// A server whose allocator takes more than it needs, in one place for all threads, so that memory for small things isn't
/// what runs out.
fn start_with_memory(folder: &std::path::Path) -> Chatd {
    let mut command = chatd(folder);
    command
        .env("MALLOC_TOP_PAD_", (1 << 20).to_string())
        .env("MALLOC_ARENA_MAX", "1");
    Chatd::start(command)
}

/// A server that gets no further thread, and two who are online. A thread that ends leaves its stack to the next one,
/// so nobody may have left before, nor have come over TLS: that takes a thread for the handshake, which ends.
fn start_without_threads(folder: &std::path::Path, lack: Lack) -> (Chatd, Vec<Client>) {
    let server = start_with_memory(folder);
    let mut online = vec![server.guest("Anna"), server.guest("Bobby")];
    online[0].expect(came("Bobby", true));
    chat(&mut online, "Anna", "to begin with");
    lack.begin(&server.process);
    (server, online)
}

#[test]
fn without_threads_newcomers_are_refused_and_those_online_chat_on() {
    for lack in [Lack::Memory, Lack::Permission] {
        if lack.is_possible() {
            check_refusals(lack);
        }
    }
}

fn check_refusals(lack: Lack) {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut online) = start_without_threads(folder.path(), lack);
    for _ in 0..3 {
        let mut refused = server.connect();
        let why = refused.expect_notice();
        assert!(why.contains("no thread"), "{why}");
        refused.expect_end();
        expect_no_handshake(TcpStream::connect(server.tls_address()).unwrap());
        chat(&mut online, "Anna", "nobody new?");
    }
    expect_soon_refused(&server, 40);
    chat(&mut online, "Anna", "and now?");

    lack.end(&server.process);
    let start = Instant::now();
    let late = server.guest("Late");
    eprintln!("{lack:?}: service was back after {:?}", start.elapsed());
    for client in &mut online {
        client.expect(came("Late", true));
    }
    late.log_out();
    for client in &mut online {
        client.expect(left("Late"));
    }
    chat(&mut online, "Anna", "that was that");
    expect_good_end(server, online, "cannot start a thread");
}

/// Checks that a crowd that connects to either port at once is refused soon, to the last one, and that this takes the server
/// little. Those on the plain port are told why, the others see the end, whether they begin a handshake or not.
#[track_caller]
fn expect_soon_refused(server: &Chatd, count: usize) {
    let (used, start) = (processor_time(&server.process), Instant::now());
    thread::scope(|scope| {
        for number in 0..count {
            scope.spawn(move || match number % 4 {
                0 => expect_no_handshake(TcpStream::connect(server.tls_address()).unwrap()),
                1 => {
                    let socket = TcpStream::connect(server.tls_address()).unwrap();
                    socket.set_read_timeout(Some(PATIENCE)).unwrap();
                    assert!(Client::try_over_tls(socket, Way::Tls).is_none());
                }
                _ => {
                    let mut refused = server.connect();
                    let why = refused.expect_notice();
                    assert!(why.contains("left; try again later"), "{why}");
                    refused.expect_end();
                }
            });
        }
    });
    let (took, used) = (start.elapsed(), processor_time(&server.process) - used);
    eprintln!("{count} were refused in {took:?}, with {used:?} of processor time");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(used < Duration::from_secs(1), "{used:?}");
}

#[test]
fn without_threads_newcomers_are_refused_in_their_own_framing() {
    let lack = Lack::Memory;
    if !lack.is_possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, online) = start_without_threads(folder.path(), lack);
    // Sooner or later a newcomer has sent something by its turn.
    let start = Instant::now();
    let is_told = || {
        let mut newcomer = server.connect_as(Way::PlainPrefixed);
        // The server may have closed already.
        let _ = newcomer
            .try_send_bytes(&Way::PlainPrefixed.frame(r#"{"Command":"01","Name":"Newcomer"}"#));
        newcomer
            .receive_all()
            .iter()
            .any(|message| message["Command"] == "10")
    };
    while !is_told() {
        assert!(start.elapsed() < PATIENCE, "none was told");
    }
    expect_good_end(server, online, "cannot start a thread");
}

#[test]
fn without_threads_a_client_that_leaves_makes_room() {
    let lack = Lack::Memory;
    if !lack.is_possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, mut online) = start_without_threads(folder.path(), lack);
    server.connect().expect_notice();
    online.pop().unwrap().log_out();
    online[0].expect(left("Bobby"));
    let start = Instant::now();
    // The thread of the one who left may take a moment to end.
    let late = loop {
        let mut late = server.connect();
        late.send(&json!({"Command": "01", "Name": "Late"}));
        if late.receive()["Command"] == "11" {
            break late;
        }
    };
    eprintln!("served {:?} after somebody left", start.elapsed());
    online[0].expect(came("Late", true));
    drop(late);
    online[0].expect(left("Late"));
    expect_good_end(server, online, "cannot start a thread");
}

#[test]
fn without_threads_the_one_for_the_handshake_serves_a_client_over_tls() {
    let lack = Lack::Memory;
    if !lack.is_possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = start_with_memory(folder.path());
    let mut online = two_online(&server);
    // The thread of the handshake ends, and leaves its stack to one more handshake.
    let start = Instant::now();
    while connection_threads(&server.process) > online.len() {
        assert!(start.elapsed() < PATIENCE, "it has not ended");
        thread::yield_now();
    }
    lack.begin(&server.process);
    server.connect().expect_notice();
    let mut celia = server.connect_as(Way::Tls);
    celia.log_in("Celia");
    for client in &mut online {
        client.expect(came("Celia", true));
    }
    online.push(celia);
    chat(&mut online, "Anna", "welcome");
    expect_good_end(server, online, "cannot start a thread");
}

#[test]
fn a_connection_takes_no_more_mappings_than_the_limit_reckons_with() {
    const MAPPINGS_PER_THREAD: usize = 4;
    const MORE: usize = 60;
    // Stacks of handshakes' threads that have ended.
    const KEPT_STACKS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let mut command = chatd(folder.path());
    // The allocator's own mappings grow with the processors, not with the connections.
    command.env("MALLOC_ARENA_MAX", "1");
    let server = Chatd::start(command);
    let mut guests = vec![server.guest("Host")];
    let before = mappings(&server.process);
    guests.extend((0..MORE).map(|number| {
        let way = Way::ALL[number % Way::ALL.len()];
        let mut guest = server.connect_as(way);
        guest.log_in(&format!("Guest{number}"));
        guest
    }));
    let grown = mappings(&server.process) - before;
    eprintln!("{grown} mappings for {MORE} connections");
    let most = MORE * MAPPINGS_PER_THREAD + KEPT_STACKS * 2;
    assert!(grown <= most, "{grown}, not {most}");
    drop(guests);
    server.stop();
}

#[test]
fn each_limit_of_the_machine_is_named_with_what_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let by_mappings: u64 = number_in("/proc/sys/vm/max_map_count") / 4;
    let by_threads = number_in("/proc/sys/kernel/threads-max");
    for (preparation, connections, words) in [
        (None, by_mappings, "set vm.max_map_count to"),
        (None, by_threads, "set kernel.threads-max to"),
        (Some("--nproc=4000"), 4096, "(ulimit -u)"),
    ] {
        if preparation.is_some() && !can_run("prlimit", "--nproc=4000") {
            continue;
        }
        let mut command = match preparation {
            None => chatd(folder.path()),
            Some(limit) => chatd_within(&[limit], folder.path()),
        };
        command.args(["--max-connections", &connections.to_string()]);
        let server = Chatd::start(command);
        let line = server.log_line("--max-connections");
        assert!(line.contains("WARN") && line.contains(words), "{line}");
        server.guest("Anna");
        server.stop();
    }
}

#[test]
fn a_machine_that_can_hold_nobody_for_lack_of_processes_says_so() {
    if !can_run("prlimit", "--nproc=200") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let complaint = refused(chatd_within(&["--nproc=200"], folder.path()));
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("ulimit -u"), "{complaint}");
    assert!(!complaint.contains("ulimit -n"), "{complaint}");
}

fn number_in(file: &str) -> u64 {
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}
