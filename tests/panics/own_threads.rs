//! A panic in one of the server's own threads ends the process: half a server is worse than none.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use chatd::server::{Config, Server};

use crate::faulty_log::{self, FOR_GOOD_VARIABLE, LISTENER_VARIABLE};
use crate::harness::{Client, Way};
use crate::process::{Process, isolate};

/// What the process says before its addresses.
const READY: &str = "listening on ";

/// The status of the process if the server has come to an orderly end.
const ORDERLY: i32 = 3;

#[test]
fn a_panic_in_a_listener_ends_the_process_soon() {
    for (listener, is_tls) in [("listen-plain", false), ("listen-tls", true)] {
        for is_for_good in [false, true] {
            let mut command = Command::new(std::env::current_exe().unwrap());
            isolate(&mut command)
                .args(["--ignored", "--exact", "--nocapture"])
                .arg("own_threads::a_process_whose_listener_panics")
                .env(LISTENER_VARIABLE, listener);
            if is_for_good {
                command.env(FOR_GOOD_VARIABLE, "1");
            }
            let mut process = Process::start(command);
            let line = process.out.line_with(READY);
            let (_, addresses) = line.split_once(READY).unwrap();
            let addresses: Vec<&str> = addresses.split_whitespace().collect();

            // The first takes the only place, and the second is one too many.
            let socket = TcpStream::connect(addresses[0]).unwrap();
            let mut anna = Client::over(socket, Way::Plain);
            anna.log_in("Anna");
            let start = Instant::now();
            let _second = TcpStream::connect(addresses[usize::from(is_tls)]).unwrap();
            let status = process.wait();
            eprintln!("{listener}: {status} after {:?}", start.elapsed());
            let log = process.err.all();
            assert!(
                !status.success() && status.code() != Some(ORDERLY),
                "{status}: {log}"
            );
            assert!(log.contains("one too many"), "{log}");
            if !is_for_good {
                assert_eq!(status.code(), Some(101), "{log}");
                let words = format!("the thread {listener} has failed, so the server ends");
                assert!(log.contains(&words), "{log}");
            }
            // The tests' own framework has the same status for a failure, but would say so.
            assert!(!process.out.all().contains("test result"), "{log}");
            anna.expect_end();
        }
    }
}

#[test]
#[ignore = "another test runs this in a process of its own"]
fn a_process_whose_listener_panics() {
    if std::env::var_os(LISTENER_VARIABLE).is_none() {
        return;
    }
    faulty_log::start();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::bind(Config {
        bind: vec![[127, 0, 0, 1].into()],
        port: 0,
        tls_port: 0,
        web_port: 0,
        max_connections: 1,
        data_dir: folder.path().join("data"),
        ..Config::default()
    })
    .unwrap();
    let handle = server.handle();
    let (plain, tls) = (handle.plain_addresses()[0], handle.tls_addresses()[0]);
    // Somebody who holds on to standard output, because it stands still, does not put off the end.
    let mut output = std::io::stdout().lock();
    writeln!(output, "\n{READY}{plain} {tls}").unwrap();
    let _ = server.run();
    std::process::exit(ORDERLY);
}
