//! A log that panics where a test wants it to.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use log::{LevelFilter, Log, Metadata, Record};

/// What the names of those begin with whose connections panic, and the record that does it.
pub const BREAKERS: [(&str, &str); 3] = [
    ("BreaksComing", " came ("),
    ("BreaksRegistering", " registered ("),
    ("BreaksLeaving", " left ("),
];

/// The variable that says which listener's thread panics, when it refuses somebody; its value is one of
/// [`Listener`]'s.
pub const LISTENER_VARIABLE: &str = "PANICS_IN";

/// The variable that says, if it is set, that the log panics ever after it has panicked once.
pub const FOR_GOOD_VARIABLE: &str = "PANICS_FOR_GOOD";

static PANICS: AtomicUsize = AtomicUsize::new(0);

struct FaultyLog {
    listener: Option<String>,
    is_for_good: bool,
}

impl Log for FaultyLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        eprintln!("{text}");
        let current = thread::current();
        let name = current.name().unwrap_or_default();
        let breaks = if name.starts_with("conn-") {
            BREAKERS
                .iter()
                .any(|(who, what)| text.starts_with(who) && text.contains(what))
        } else {
            self.listener.as_deref() == Some(name) && text.starts_with("refused a connection")
        };
        if breaks || self.is_for_good && PANICS.load(Ordering::SeqCst) > 0 {
            PANICS.fetch_add(1, Ordering::SeqCst);
            panic!("this record is one too many: {text}");
        }
    }

    fn flush(&self) {}
}

/// Makes this process log so.
pub fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        let log = FaultyLog {
            listener: std::env::var(LISTENER_VARIABLE).ok(),
            is_for_good: std::env::var_os(FOR_GOOD_VARIABLE).is_some(),
        };
        log::set_boxed_logger(Box::new(log)).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
}

/// How often the log has panicked in this process.
pub fn panics() -> usize {
    PANICS.load(Ordering::SeqCst)
}
