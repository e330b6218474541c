//! Messages from students to the teacher.

// Not those of the model checker: the console waits for several at once.
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::sync::Mutex;

/// Messages that may wait to be read.
const CAPACITY: usize = 64;

/// A message from a student.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudentMessage {
    /// The student's name.
    pub from: String,
    /// What the student wrote; it may hold control characters.
    pub text: String,
}

/// The ways to the teacher: one for each console that is open.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// A leaf lock. Only who writes to the teacher takes it.
    readers: Mutex<Vec<Sender<StudentMessage>>>,
}

/// Why a message does not reach the teacher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// Nobody reads.
    NobodyReads,
    /// Too many wait to be read.
    Full,
}

impl Inbox {
    /// Lets messages come through the channel that is returned, too, for as long as that is kept.
    pub(crate) fn open(&self) -> Receiver<StudentMessage> {
        let (sender, receiver) = bounded(CAPACITY);
        self.readers.lock().push(sender);
        receiver
    }

    /// Passes on a message, and doesn't wait. It is delivered if one of those who read takes it.
    pub(crate) fn deliver(&self, message: StudentMessage) -> Result<(), Undelivered> {
        let mut outcome = Err(Undelivered::NobodyReads);
        self.readers.lock().retain(|reader| {
            let sent = reader.try_send(message.clone());
            match sent {
                Ok(()) => outcome = Ok(()),
                Err(TrySendError::Full(_)) if outcome.is_err() => outcome = Err(Undelivered::Full),
                Err(_) => {}
            }
            !matches!(sent, Err(TrySendError::Disconnected(_)))
        });
        outcome
    }
}
