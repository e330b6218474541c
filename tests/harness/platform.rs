//! What the systems that chatd runs on do differently, as far as tests meet it.

use std::io;

/// Whether a read came to its time limit: Windows calls this `TimedOut`, other systems `WouldBlock`.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Lets this process have so many files and sockets open, as far as the system allows it, and tells how many it may
/// have now.
#[cfg(unix)]
pub fn allow_open_files(wanted: u64) -> u64 {
    rlimit::increase_nofile_limit(wanted).unwrap()
}

/// The same where nothing but memory limits how many sockets are open.
#[cfg(not(unix))]
pub fn allow_open_files(wanted: u64) -> u64 {
    wanted
}
