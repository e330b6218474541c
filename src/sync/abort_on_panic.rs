//! Ends the process when a thread fails that the others can't do without.

use std::thread;
use std::time::Duration;

/// A guard that ends the process when a panic drops it: half a server is worse than none.
#[derive(Debug)]
pub(crate) struct AbortOnPanic {
    /// A thread that unwinds from an earlier panic still tells others, which is no reason to end them too.
    was_panicking: bool,
}

impl AbortOnPanic {
    pub(crate) fn new() -> AbortOnPanic {
        AbortOnPanic {
            was_panicking: thread::panicking(),
        }
    }
}

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        // The model checker wants to report a panic itself.
        if thread::panicking() && !self.was_panicking && cfg!(not(feature = "model")) {
            let name = thread::current().name().unwrap_or_default().to_owned();
            log::error!("the thread {name} has failed, so the server ends");
            // The log's thread writes this line.
            thread::sleep(Duration::from_millis(100));
            crate::terminal::give_back();
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
            let _guard = AbortOnPanic::new();
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
