//! The file that registered names are kept in: a JSON object a line, to be read and mended with a text editor
//! while the server is stopped.
//!
//! A line counts once it is on disk with its newline. The file only ever grows at its end, so after a crash the
//! last line may be torn, and nothing else may be. When an account is removed, a new file takes the old one's place.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable_file::{self as disk, sync_folder};
use super::password::PasswordHash;
use crate::wire::{NameKey, check_name};

/// One account, as a line of the file.
#[derive(Clone, Debug)]
pub struct Record {
    /// The name, as its owner wrote it when it was registered.
    pub name: String,
    /// The hash of the password.
    pub hash: PasswordHash,
    /// When it was registered (RFC 3339, UTC).
    pub registered: String,
}

#[derive(Serialize, Deserialize)]
struct Fields {
    name: String,
    hash: String,
    #[serde(default)]
    registered: String,
}

/// Why the file can't be used.
#[derive(Debug)]
pub enum AccountsError {
    /// It can't be read or written.
    Io(PathBuf, io::Error),
    /// A line that is not torn, but damaged: its number, counted from 1, and what is wrong.
    Damaged(PathBuf, usize, String),
}

impl fmt::Display for AccountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccountsError::Io(path, error) => {
                write!(
                    f,
                    "cannot use the accounts file {}: {error}",
                    path.display()
                )
            }
            AccountsError::Damaged(path, line, what) => write!(
                f,
                "line {line} of the accounts file {} is damaged: {what}; mend or delete this line with a text editor",
                path.display()
            ),
        }
    }
}

impl std::error::Error for AccountsError {}

/// What [`AccountsFile`] needs of a file that it appends to.
pub trait Storage {
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when all that was written is on disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to this length, in bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// A file on disk, which must stay where it was opened.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    path: PathBuf,
}

impl DiskFile {
    /// Fails if nobody will find the file again, because it was removed, or replaced as editors do: what is written
    /// to it would be lost.
    fn check_in_place(&self) -> io::Result<()> {
        let there = std::fs::metadata(&self.path);
        #[cfg(unix)]
        let is_same = {
            use std::os::unix::fs::MetadataExt;
            let own = self.file.metadata()?;
            there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()))
        };
        #[cfg(not(unix))]
        let is_same = there.is_ok();
        match is_same {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the accounts file was removed or replaced; restart the server",
            )),
        }
    }
}

impl Storage for DiskFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.check_in_place()?;
        // Not opened for appending: on Windows such a file can't be cut.
        self.file.seek(SeekFrom::End(0))?;
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

/// The open file, at whose end accounts are added.
#[derive(Debug)]
pub struct AccountsFile<S = DiskFile> {
    storage: S,
    /// Everything before this offset is whole lines.
    length: u64,
    /// Whether something unfinished may stand behind `length`.
    is_dirty: bool,
    /// Whether the disk has failed to say that it keeps what it was given. What it holds is unknown from then on.
    is_unsure: bool,
}

impl AccountsFile {
    /// Opens the file, or makes an empty one, and reads all accounts. A torn last line is dropped.
    pub fn open(path: &Path) -> Result<(AccountsFile, Vec<Record>), AccountsError> {
        let failed = |error| AccountsError::Io(path.to_owned(), error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = DiskFile {
            file: options.open(path).map_err(failed)?,
            path: path.to_owned(),
        };
        let mut bytes = Vec::new();
        file.file.read_to_end(&mut bytes).map_err(failed)?;

        let contents = parse(&bytes)
            .map_err(|(line, what)| AccountsError::Damaged(path.to_owned(), line, what))?;
        if contents.whole < bytes.len() {
            log::warn!(
                "dropped the last line of {}: {} bytes of a registration that was interrupted",
                path.display(),
                bytes.len() - contents.whole
            );
            file.cut(contents.whole as u64).map_err(failed)?;
        }
        let mut length = contents.whole as u64;
        if contents.lacks_newline {
            file.append(b"\n").map_err(failed)?;
            length += 1;
        }
        file.sync().map_err(failed)?;
        sync_folder(path).map_err(failed)?;
        Ok((AccountsFile::new(file, length), contents.records))
    }

    /// Removes the account with this name, and returns when it is gone from the disk. All other lines stay as they
    /// are. After an error it is still there, as far as the disk obeys.
    ///
    /// The file is replaced whole: a line that says the account is gone would keep its hash, and would be a puzzle
    /// to whoever reads the file with an editor.
    pub fn remove(&mut self, name: &NameKey) -> io::Result<()> {
        self.check_sure()?;
        self.storage.check_in_place()?;
        let DiskFile { file, path } = &mut self.storage;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.take(self.length).read_to_end(&mut bytes)?;
        let mut rest = Vec::with_capacity(bytes.len());
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let text = match line.strip_prefix(BYTE_ORDER_MARK) {
                Some(text) if index == 0 => text,
                _ => line,
            };
            let fields = serde_json::from_slice::<Fields>(text);
            if !fields.is_ok_and(|fields| NameKey::new(&fields.name) == *name) {
                rest.extend_from_slice(line);
            }
        }
        *file = disk::replace(path, &rest)?;
        self.length = rest.len() as u64;
        self.is_dirty = false;
        // If the folder is not on disk, a power cut may bring back the old file, without what is added from now on.
        sync_folder(path).inspect_err(|_| self.is_unsure = true)
    }
}

impl<S: Storage> AccountsFile<S> {
    fn new(storage: S, length: u64) -> AccountsFile<S> {
        AccountsFile {
            storage,
            length,
            is_dirty: false,
            is_unsure: false,
        }
    }

    fn check_sure(&self) -> io::Result<()> {
        match self.is_unsure {
            true => Err(io::Error::other(
                "an earlier write failed; restart the server",
            )),
            false => Ok(()),
        }
    }

    /// Adds an account, and returns when it is on disk. After an error it is not, as far as the disk obeys.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        self.check_sure()?;
        if self.is_dirty {
            self.storage.cut(self.length)?;
            self.is_dirty = false;
        }
        let line = line_of(record)?;
        self.is_dirty = true;
        if let Err(error) = self.storage.append(&line) {
            self.is_dirty = self.storage.cut(self.length).is_err();
            return Err(error);
        }
        if let Err(error) = self.storage.sync() {
            self.is_unsure = true;
            // Best effort: the account was not acknowledged, so it should not appear after the restart.
            let _ = self.storage.cut(self.length);
            return Err(error);
        }
        self.is_dirty = false;
        self.length += line.len() as u64;
        Ok(())
    }
}

/// What some editors put at the start.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

fn line_of(record: &Record) -> io::Result<Vec<u8>> {
    let fields = Fields {
        name: record.name.clone(),
        hash: record.hash.to_string(),
        registered: record.registered.clone(),
    };
    let mut line = serde_json::to_vec(&fields)?;
    line.push(b'\n');
    Ok(line)
}

/// What the bytes of a file amount to.
#[derive(Debug)]
struct Contents {
    records: Vec<Record>,
    /// How many bytes are whole lines; what comes behind is torn.
    whole: usize,
    /// Whether the last of these lines has no newline.
    lacks_newline: bool,
}

/// Reads all lines. The error is the number of a damaged line, and what is wrong with it.
fn parse(bytes: &[u8]) -> Result<Contents, (usize, String)> {
    let mut records = Vec::new();
    let mut lines_of_names = std::collections::HashMap::new();
    let mut whole = 0;
    let mut lacks_newline = false;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let is_last = whole + line.len() == bytes.len();
        let has_newline = line.ends_with(b"\n");
        let text = if index == 0 {
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
        } else {
            line
        };
        let text = text.trim_ascii();
        // A registration that was cut short has no closing brace yet, or holes where the disk had not written.
        if is_last
            && !text.is_empty()
            && (!has_newline && !text.ends_with(b"}") || text.contains(&0))
        {
            break;
        }
        whole += line.len();
        lacks_newline = !has_newline;
        if text.is_empty() {
            continue;
        }
        let record = parse_line(text).map_err(|what| (index + 1, what))?;
        if let Some(earlier) = lines_of_names.insert(NameKey::new(&record.name), index + 1) {
            return Err((
                index + 1,
                format!("the name {} stands in line {earlier} already", record.name),
            ));
        }
        records.push(record);
    }
    Ok(Contents {
        records,
        whole,
        lacks_newline,
    })
}

fn parse_line(text: &[u8]) -> Result<Record, String> {
    let fields: Fields = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    check_name(&fields.name).map_err(str::to_owned)?;
    let hash = fields.hash.parse()?;
    Ok(Record {
        name: fields.name,
        hash,
        registered: fields.registered,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$scrypt$ln=1,r=1,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZg";

    fn record(name: &str) -> Record {
        let registered = "2026-01-01T08:00:00Z".to_owned();
        Record {
            name: name.to_owned(),
            hash: HASH.parse().unwrap(),
            registered,
        }
    }

    fn file_of(names: &[&str]) -> Vec<u8> {
        names
            .iter()
            .flat_map(|name| line_of(&record(name)).unwrap())
            .collect()
    }

    #[track_caller]
    fn names_in(bytes: &[u8]) -> Vec<String> {
        parse(bytes)
            .unwrap()
            .records
            .into_iter()
            .map(|record| record.name)
            .collect()
    }

    #[test]
    fn a_file_cut_at_any_byte_loses_its_last_line_at_most() {
        let names = ["Anna", "Bobby", "Charles"];
        let bytes = file_of(&names);
        let ends: Vec<usize> = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at)
            .collect();
        for cut in 0..=bytes.len() {
            // A line counts from its closing brace on, which is the byte before its newline.
            let expected = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(names_in(&bytes[..cut]), names[..expected], "cut at {cut}");

            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("accounts.jsonl");
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let (mut file, records) = AccountsFile::open(&path).unwrap();
            assert_eq!(records.len(), expected);
            file.append(&record("Dora")).unwrap();
            drop(file);
            let (_, records) = AccountsFile::open(&path).unwrap();
            assert_eq!(records.len(), expected + 1, "after one more, cut at {cut}");
        }
    }

    #[test]
    fn a_removed_account_is_gone_and_the_other_lines_stay_as_they_are() {
        let [anna, bobby, charles] =
            ["Anna", "Bobby", "Charles"].map(|name| String::from_utf8(file_of(&[name])).unwrap());
        let charles = charles.replace("{", "{ \"remark\": \"tall\", ");
        let bobby = bobby.replace('\n', "\r\n");
        for (before, after, name) in [
            (
                format!("{anna}{bobby}{charles}"),
                format!("{anna}{charles}"),
                "BOBBY",
            ),
            (
                format!("\u{feff}{bobby}\n{charles}"),
                format!("\n{charles}"),
                "Bobby",
            ),
            (
                format!("{anna}{}", charles.trim_end()),
                anna.clone(),
                "Charles",
            ),
            (bobby, String::new(), "Bobby"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("accounts.jsonl");
            std::fs::write(&path, before).unwrap();
            let (mut file, _) = AccountsFile::open(&path).unwrap();
            file.remove(&NameKey::new(name)).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
            file.append(&record(name)).unwrap();
            let added = String::from_utf8(file_of(&[name])).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, after + &added);
            AccountsFile::open(&path).unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn an_account_that_cannot_be_removed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        std::fs::write(&path, file_of(&["Anna", "Bobby"])).unwrap();
        let (mut file, _) = AccountsFile::open(&path).unwrap();
        // Where the new file would be written.
        let in_the_way = folder.path().join("accounts.jsonl.new");
        std::fs::create_dir(&in_the_way).unwrap();
        assert!(file.remove(&NameKey::new("Anna")).is_err());
        file.append(&record("Charles")).unwrap();
        let text = std::fs::read(&path).unwrap();
        assert_eq!(names_in(&text), ["Anna", "Bobby", "Charles"]);
        std::fs::remove_dir(&in_the_way).unwrap();
        file.remove(&NameKey::new("Anna")).unwrap();
        let text = std::fs::read(&path).unwrap();
        assert_eq!(names_in(&text), ["Bobby", "Charles"]);
    }

    #[test]
    fn nothing_is_written_to_a_file_that_was_removed_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        let aside = folder.path().join("accounts.jsonl~");
        std::fs::write(&path, file_of(&["Anna"])).unwrap();
        let (mut file, _) = AccountsFile::open(&path).unwrap();
        std::fs::rename(&path, &aside).unwrap();
        for edited in [None, Some(file_of(&["Bobby"]))] {
            if let Some(edited) = &edited {
                std::fs::write(&path, edited).unwrap();
            }
            if edited.is_some() && cfg!(not(unix)) {
                continue;
            }
            assert!(file.append(&record("Charles")).is_err());
            assert!(file.remove(&NameKey::new("Anna")).is_err());
            assert_eq!(std::fs::read(&path).ok(), edited);
            assert_eq!(std::fs::read(&aside).unwrap(), file_of(&["Anna"]));
        }
    }

    #[test]
    fn windows_line_ends_blank_lines_and_a_byte_order_mark_are_accepted() {
        let text = String::from_utf8(file_of(&["Anna", "Bobby"])).unwrap();
        let edited = format!("\u{feff}{}\r\n\r\n", text.replace('\n', "\r\n"));
        assert_eq!(names_in(edited.as_bytes()), ["Anna", "Bobby"]);
    }

    #[test]
    fn a_damaged_line_is_named_by_its_number() {
        let mut bytes = file_of(&["Anna", "Bobby", "Charles"]);
        let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        bytes[second] = b'x';
        assert_eq!(parse(&bytes).unwrap_err().0, 2);
        assert_eq!(parse(&file_of(&["Anna", "anna"])).unwrap_err().0, 2);
        let mistyped = String::from_utf8(file_of(&["Anna"]))
            .unwrap()
            .replace("\"hash\"", "\"hsah\"");
        assert_eq!(parse(mistyped.as_bytes()).unwrap_err().0, 1);
        assert_eq!(parse(mistyped.trim_end().as_bytes()).unwrap_err().0, 1);
    }

    #[test]
    fn a_hole_left_by_a_power_cut_is_a_torn_line() {
        let mut bytes = file_of(&["Anna"]);
        bytes.extend_from_slice(&[0; 100]);
        assert_eq!(names_in(&bytes), ["Anna"]);
        bytes.extend_from_slice(b"0Z\"}\n");
        assert_eq!(names_in(&bytes), ["Anna"]);
    }

    /// A disk that fails when told to.
    #[derive(Default)]
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
        fails_to_sync: bool,
        fails_to_cut: bool,
    }

    impl Storage for Disk {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            let count = bytes.len().min(self.room - self.bytes.len());
            self.bytes.extend_from_slice(&bytes[..count]);
            if count < bytes.len() {
                Err(io::ErrorKind::StorageFull.into())
            } else {
                Ok(())
            }
        }

        fn sync(&mut self) -> io::Result<()> {
            if self.fails_to_sync {
                Err(io::Error::other("no"))
            } else {
                Ok(())
            }
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            if self.fails_to_cut {
                return Err(io::Error::other("no"));
            }
            self.bytes.truncate(length as usize);
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_leaves_no_damaged_line() {
        let line = line_of(&record("Anna")).unwrap();
        let mut file = AccountsFile::new(
            Disk {
                room: line.len() + 20,
                ..Disk::default()
            },
            0,
        );
        file.append(&record("Anna")).unwrap();
        assert!(file.append(&record("Bobby")).is_err());
        assert_eq!(file.storage.bytes, line);

        file.storage.fails_to_cut = true;
        assert!(file.append(&record("Bobby")).is_err());
        assert!(file.append(&record("Bobby")).is_err());
        file.storage.fails_to_cut = false;
        file.storage.room = 1000;
        file.append(&record("Charles")).unwrap();
        assert_eq!(names_in(&file.storage.bytes), ["Anna", "Charles"]);
    }

    #[test]
    fn a_disk_that_does_not_sync_is_not_trusted_again() {
        let mut file = AccountsFile::new(
            Disk {
                room: 1000,
                fails_to_sync: true,
                ..Disk::default()
            },
            0,
        );
        assert!(file.append(&record("Anna")).is_err());
        file.storage.fails_to_sync = false;
        assert!(file.append(&record("Anna")).is_err());
        assert_eq!(file.storage.bytes, b"");
    }
}
