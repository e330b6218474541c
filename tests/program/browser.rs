//! The chat page in a real browser, with a real server. The scripts in `tests/browser` start both and work them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{CHATD, Process, isolate};

/// Set where the page must be tested, so that a missing tool fails instead of being skipped.
const REQUIRED: &str = "CHATD_TEST_BROWSER";

/// A file of axe-core, which finds more obstacles for people than our own script.
const AXE: &str = "CHATD_TEST_AXE";

/// The status of a script whose tools are not here.
const LACKS_TOOLS: i32 = 77;

/// No lesson takes this long.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn a_class_works_with_the_page_in_a_browser() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    // Debian keeps Selenium for its own Python.
    let python = ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(|python| Command::new(python).arg("--version").output().is_ok());
    let status = python.map(|python| {
        let mut command = Command::new(python);
        isolate(&mut command)
            .args(["-B", "-X", "utf8"])
            .arg(scripts.join("page.py"))
            .arg(CHATD)
            .stdin(Stdio::null());
        if let Some(file) = std::env::var_os(AXE) {
            command.env(AXE, file);
        }
        let mut process = Process::start(command);
        let deadline = Instant::now() + LIMIT;
        while process.is_running() {
            assert!(
                Instant::now() < deadline,
                "it does not end:\n{}\n{}",
                process.out.so_far(),
                process.err.so_far()
            );
            thread::sleep(Duration::from_millis(50));
        }
        let status = process.wait().code();
        eprintln!("{}{}", process.out.all(), process.err.all());
        status
    });
    let is_required = std::env::var_os(REQUIRED).is_some();
    if !is_required && (status.is_none() || status == Some(Some(LACKS_TOOLS))) {
        eprintln!("SKIPPED: this test needs a browser and Selenium, which are not here");
        return;
    }
    assert_eq!(status, Some(Some(0)));
}
