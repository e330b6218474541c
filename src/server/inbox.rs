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

/// The way to the teacher, if one reads.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// A leaf lock. Only who writes to the teacher takes it.
    reader: Mutex<Option<Sender<StudentMessage>>>,
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
    /// Lets messages come through the channel that is returned, for as long as that is kept. An earlier one gets no more.
    pub(crate) fn open(&self) -> Receiver<StudentMessage> {
        let (sender, receiver) = bounded(CAPACITY);
        *self.reader.lock() = Some(sender);
        receiver
    }

    /// Passes on a message, and doesn't wait.
    pub(crate) fn deliver(&self, message: StudentMessage) -> Result<(), Undelivered> {
        let mut reader = self.reader.lock();
        let sender = reader.as_ref().ok_or(Undelivered::NobodyReads)?;
        match sender.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Undelivered::Full),
            Err(TrySendError::Disconnected(_)) => {
                *reader = None;
                Err(Undelivered::NobodyReads)
            }
        }
    }
}
