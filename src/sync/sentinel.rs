//! An end for the process when a part of it fails that nothing can do without.

use std::thread;
use std::time::Duration;

/// Ends the process when it is dropped by a panic: half a server is worse than none.
#[derive(Debug)]
pub(crate) struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        if thread::panicking() {
            let name = thread::current().name().unwrap_or_default().to_owned();
            log::error!("the thread {name} has failed, so the server ends");
            // What was logged is written by a thread of its own.
            thread::sleep(Duration::from_millis(100));
            std::process::exit(101);
        }
    }
}
