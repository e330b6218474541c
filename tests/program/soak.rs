//! The long trial of `examples/soak`, for a moment: it still works, and finds nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;
use crate::process::{CHATD, Process, isolate};

/// The example, where it was built; `cargo test --test program` alone doesn't build it.
fn soak() -> Option<PathBuf> {
    let folder = Path::new(CHATD).parent()?.join("examples");
    let program = folder.join(format!("soak{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        eprintln!("SKIPPED: this test needs {}", program.display());
        return None;
    }
    Some(program)
}

/// Runs it for a few seconds with a few users, and returns its report.
fn run(chatd: &str) -> Option<(bool, String)> {
    let mut command = Command::new(soak()?);
    isolate(&mut command);
    command.args(["--minutes", "0.05", "--users", "12", "--rate", "60"]);
    command.args(["--heartbeat", "1", "--seed", "7", "--chatd", chatd]);
    let mut process = Process::start(command);
    // It starts a server, hashes passwords and waits for silence, all of which takes a busy machine longer.
    let deadline = Instant::now() + 4 * PATIENCE;
    while process.is_running() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    let status = process.wait();
    let report = process.out.all() + &process.err.all();
    Some((status.success(), report))
}

#[test]
fn a_short_soak_breaks_nothing() {
    let Some((is_good, report)) = run(CHATD) else {
        return;
    };
    assert!(is_good, "{report}");
    let number_of = |what: &str| {
        let line = report.lines().find(|line| line.ends_with(what));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    // If it did not do much, it has not shown much.
    for (what, least) in [
        (" logins", 10),
        (" room", 20),
        (" private received", 5),
        (" receipts 1", 5),
        (" orders compared", 3),
        (" heartbeats", 4),
        (" byes", 4),
    ] {
        let number: u64 = number_of(what);
        assert!(number >= least, "{number}{what}, in\n{report}");
    }
}

#[test]
fn a_soak_without_a_server_fails() {
    if let Some((is_good, report)) = run("/nowhere/chatd") {
        assert!(!is_good, "{report}");
    }
}
