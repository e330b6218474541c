//! What is said in the room, written to a file, if the teacher wants that.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

// Not those of the model checker: a disk has no place in it.
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use jiff::Timestamp;

use crate::wire::Lines;

/// Entries that may wait to be written. Of what is said while they do, nothing is written, and that is logged.
const CAPACITY: usize = 4096;

/// What each line of a 32 begins with. In the file the time stands in its place.
const BEGINNING: &[u8] = br#"{"Command":"32","#;

/// Something that was said, with its time: one or more 32s.
#[derive(Debug)]
pub(super) struct Entry(Timestamp, Lines);

/// The room's end of a transcript. The file is closed when it is dropped, once all is written.
#[derive(Debug)]
pub struct Transcript {
    entries: Sender<Entry>,
    has_lost: bool,
}

/// Tells when a transcript is written to its end.
#[derive(Debug)]
pub struct TranscriptEnd(Receiver<()>);

impl Transcript {
    /// Starts a thread that appends to the file at `path`, which is made if there is none: a JSON object a line, with `Time`
    /// (RFC 3339, UTC), `Speaker` and `Message`.
    pub fn open(path: &Path) -> io::Result<(Transcript, TranscriptEnd)> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        // Others may have no business with what a class says.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let (entries, received) = bounded(CAPACITY);
        let (done, end) = bounded(0);
        thread::Builder::new()
            .name("transcript".to_owned())
            .spawn(move || {
                if let Err(error) = write_entries(&received, file) {
                    log::error!("the transcript ends here, it can't be written: {error}");
                }
                drop(done);
            })?;
        let transcript = Transcript {
            entries,
            has_lost: false,
        };
        Ok((transcript, TranscriptEnd(end)))
    }

    /// Notes what was said, and doesn't wait.
    pub(super) fn note(&mut self, lines: &Lines) {
        let entry = Entry(Timestamp::now(), lines.clone());
        let is_lost = self.entries.try_send(entry).is_err();
        if is_lost && !self.has_lost {
            log::error!(
                "the transcript lacks what is said now: its disk does not keep up, or has failed"
            );
        }
        self.has_lost = is_lost;
    }
}

impl TranscriptEnd {
    /// Waits until all is written, or as long as `patience`.
    pub fn wait(&self, patience: Duration) {
        let _ = self.0.recv_timeout(patience);
    }
}

/// Writes entries until there are no more. What was written is handed to the system whenever nothing else waits.
fn write_entries(entries: &Receiver<Entry>, file: File) -> io::Result<()> {
    let mut output = BufWriter::new(file);
    loop {
        let entry = match entries.try_recv() {
            Ok(entry) => entry,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                output.flush()?;
                match entries.recv() {
                    Ok(entry) => entry,
                    Err(_) => break,
                }
            }
        };
        write_entry(&mut output, &entry)?;
    }
    output.flush()?;
    output.get_ref().sync_all()
}

fn write_entry(output: &mut impl Write, Entry(time, lines): &Entry) -> io::Result<()> {
    let time = time.strftime("%FT%T.%3fZ");
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        if let Some(rest) = line.strip_prefix(BEGINNING) {
            write!(output, "{{\"Time\":\"{time}\",")?;
            output.write_all(rest)?;
        }
    }
    Ok(())
}

#[cfg(not(feature = "model"))]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ServerMessage;

    #[test]
    fn what_is_said_is_appended_line_by_line_with_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transcript.jsonl");
        std::fs::write(&path, "before\n").unwrap();
        let say = |speaker: &str, message: &str| {
            let message = ServerMessage::Room {
                speaker: speaker.into(),
                message: message.into(),
            };
            message.to_line()
        };
        let (mut transcript, end) = Transcript::open(&path).unwrap();
        transcript.note(&[say("Anna", "你好\n\u{1b}"), say("Anna", "two")].concat());
        transcript.note(&say("admin", "three"));
        drop(transcript);
        end.wait(Duration::from_secs(20));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "before");
        let said: Vec<serde_json::Value> = lines[1..]
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let texts: Vec<(&str, &str)> = said
            .iter()
            .map(|one| {
                (
                    one["Speaker"].as_str().unwrap(),
                    one["Message"].as_str().unwrap(),
                )
            })
            .collect();
        let expected = [
            ("Anna", "你好\n\u{1b}"),
            ("Anna", "two"),
            ("admin", "three"),
        ];
        assert_eq!(texts, expected);
        for one in said {
            assert!(one["Time"].as_str().unwrap().parse::<Timestamp>().is_ok());
        }
    }
}
