//! An end for the process when a part of it fails that nothing can do without.

use std::thread;
use std::time::Duration;

/// Ends the process when it is dropped by a panic: half a server is worse than none.
#[derive(Debug)]
pub(crate) struct Sentinel {
    /// A thread that ends after a panic elsewhere goes on to tell others, which is no reason to end them too.
    was_panicking: bool,
}

impl Sentinel {
    pub(crate) fn new() -> Sentinel {
        Sentinel {
            was_panicking: thread::panicking(),
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // The model checker wants to report a panic itself.
        if thread::panicking() && !self.was_panicking && cfg!(not(feature = "model")) {
            let name = thread::current().name().unwrap_or_default().to_owned();
            log::error!("the thread {name} has failed, so the server ends");
            // What was logged is written by a thread of its own.
            thread::sleep(Duration::from_millis(100));
            std::process::exit(101);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Last;

    impl Drop for Last {
        fn drop(&mut self) {
            let _sentinel = Sentinel::new();
        }
    }

    #[test]
    fn what_is_done_after_a_panic_elsewhere_does_not_end_the_process() {
        let ended = thread::spawn(|| {
            let _last = Last;
            panic!("on purpose");
        });
        assert!(ended.join().is_err());
    }
}
