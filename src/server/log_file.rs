//! A file that log lines are appended to, and that does not grow for ever.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The size that a file may reach, in bytes. Then it becomes the old one, in place of the one before, and a new one begins.
const LARGEST: u64 = 10 << 20;

/// The file, and what it has become.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// `None` if it could not be opened again.
    file: Option<File>,
    /// How many bytes it has.
    size: u64,
    /// With how many it is full.
    full_at: u64,
    /// Whether the last line could not be written.
    has_failed: bool,
}

impl LogFile {
    /// Opens a file, which is made if there is none.
    pub(super) fn open(path: &Path) -> io::Result<LogFile> {
        let (file, size) = append_to(path)?;
        Ok(LogFile {
            path: path.to_owned(),
            file: Some(file),
            size,
            full_at: LARGEST,
            has_failed: false,
        })
    }

    /// Appends a line. If that fails, the first time in a row, returns what is to be said of it.
    pub(super) fn write(&mut self, line: &str) -> Option<String> {
        let mut outcome = Ok(());
        if self.size > 0 && self.size + line.len() as u64 > self.full_at {
            outcome = self.begin_anew();
        }
        let written = self.append(line);
        if written.is_ok() {
            self.size += line.len() as u64;
        }
        let had_failed = std::mem::replace(&mut self.has_failed, written.is_err());
        let path = self.path.display();
        match (written, outcome) {
            (Err(error), _) if !had_failed => {
                Some(format!("cannot write to the log file {path}: {error}"))
            }
            (Ok(()), Err(error)) => Some(format!(
                "cannot rename the log file {path}, so it goes on growing: {error}"
            )),
            _ => None,
        }
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let (file, size) = append_to(&self.path)?;
                self.size = size;
                none.insert(file)
            }
        };
        file.write_all(line.as_bytes())
    }

    /// Makes this file the old one. After an error it goes on, until it has grown as much again.
    fn begin_anew(&mut self) -> io::Result<()> {
        // What is no file, such as a pipe, is never full.
        if !fs::metadata(&self.path).is_ok_and(|data| data.is_file()) {
            self.size = 0;
            return Ok(());
        }
        // Windows renames no file that is open.
        self.file = None;
        let mut old: OsString = self.path.clone().into();
        old.push(".1");
        let renamed = fs::rename(&self.path, old);
        self.full_at = match renamed {
            Ok(()) => LARGEST,
            Err(_) => self.size + LARGEST,
        };
        renamed
    }
}

/// A file to append to, and its size in bytes.
fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_full_becomes_the_old_one_and_no_line_is_parted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chatd.log");
        fs::write(&path, "from before\n").unwrap();
        let line = |number| format!("{number:>6} {}\n", "x".repeat(100_000));
        // Twice as much as a file takes, and some more.
        let mut log = LogFile::open(&path).unwrap();
        for number in 0..250 {
            assert_eq!(log.write(&line(number)), None);
        }
        let (old, new) = (folder.path().join("chatd.log.1"), path);
        let texts = [old, new].map(|path| fs::read_to_string(path).unwrap());
        assert!(texts.iter().all(|text| text.len() as u64 <= LARGEST));
        let numbers = texts.iter().flat_map(|text| text.lines());
        let numbers: Vec<usize> = numbers
            .map(|line| line[..6].trim().parse().unwrap())
            .collect();
        let first = numbers[0];
        assert!(first > 0, "the oldest have gone");
        assert_eq!(numbers, (first..250).collect::<Vec<_>>());
        assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_renamed_goes_on_and_that_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chatd.log");
        fs::create_dir_all(folder.path().join("chatd.log.1").join("not empty")).unwrap();
        let mut log = LogFile::open(&path).unwrap();
        let line = "x".repeat(1 << 20) + "\n";
        let said: Vec<String> = (0..15).filter_map(|_| log.write(&line)).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("cannot rename"), "{said:?}");
        assert_eq!(fs::metadata(&path).unwrap().len(), 15 * line.len() as u64);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_once() {
        let mut log = LogFile::open(Path::new("/dev/full")).unwrap();
        let said: Vec<String> = (0..5).filter_map(|_| log.write("a line\n")).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("cannot write"), "{said:?}");
    }
}
