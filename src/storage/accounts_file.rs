//! The file that registered names are kept in: a JSON object a line, to be read and mended with a text editor
//! while the server is stopped.
//!
//! The file is replaced whole at each change. That is little work beside the hash of a password, and leaves nothing
//! half written.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable_file;
use super::password::PasswordHash;
use crate::wire::{NameKey, check_name};

/// What some editors put at the start.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

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

/// The file on disk, and what it holds.
#[derive(Debug)]
pub struct AccountsFile {
    path: PathBuf,
    /// The bytes of the file, as they were last read or written.
    contents: Vec<u8>,
    /// [`durable_file::replace`], but in tests of a disk that fails.
    replace: fn(&Path, &[u8]) -> io::Result<()>,
}

impl AccountsFile {
    /// Opens the file, or makes an empty one, and reads all accounts. A torn last line is dropped.
    pub fn open(path: &Path) -> Result<(AccountsFile, Vec<Record>), AccountsError> {
        let failed = |error| AccountsError::Io(path.to_owned(), error);
        let (bytes, is_new) = match fs::read(path) {
            Ok(bytes) => (bytes, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), true),
            Err(error) => return Err(failed(error)),
        };
        let (records, whole) = parse(&bytes)
            .map_err(|(line, what)| AccountsError::Damaged(path.to_owned(), line, what))?;
        let torn = bytes.len() - whole;
        if torn > 0 {
            log::warn!(
                "dropped the last line of {}: {torn} bytes of a registration that was interrupted",
                path.display()
            );
        }
        let mut file = AccountsFile {
            path: path.to_owned(),
            contents: bytes,
            replace: durable_file::replace,
        };
        if is_new || torn > 0 {
            file.contents.truncate(whole);
            (file.replace)(path, &file.contents).map_err(failed)?;
        }
        Ok((file, records))
    }

    /// Adds an account, and returns when it is on disk. After an error it is not, as far as the disk obeys.
    pub fn add(&mut self, record: &Record) -> io::Result<()> {
        let mut contents = self.contents.clone();
        // An editor may have left the last line without its newline.
        if contents.last().is_some_and(|byte| *byte != b'\n') {
            contents.push(b'\n');
        }
        contents.extend(line_of(record)?);
        self.save(contents)
    }

    /// Removes the account with this name, and returns when it is gone from the disk. All other lines stay as they
    /// are. After an error it is still there, as far as the disk obeys.
    pub fn remove(&mut self, name: &NameKey) -> io::Result<()> {
        let is_other = |(index, line): &(usize, &[u8])| {
            let fields = serde_json::from_slice::<Fields>(text_of(line, *index));
            !fields.is_ok_and(|fields| NameKey::new(&fields.name) == *name)
        };
        let lines = self.contents.split_inclusive(|byte| *byte == b'\n');
        let others: Vec<&[u8]> = lines
            .enumerate()
            .filter(is_other)
            .map(|(_, line)| line)
            .collect();
        self.save(others.concat())
    }

    /// Replaces the file. Changes that others have made to it meanwhile are not overwritten.
    fn save(&mut self, contents: Vec<u8>) -> io::Result<()> {
        match fs::read(&self.path) {
            Ok(found) if found == self.contents => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {
                return Err(io::Error::other(
                    "the accounts file was changed, removed or replaced; restart the server",
                ));
            }
        }
        if let Err(error) = (self.replace)(&self.path, &contents) {
            // The new file may be in place, but not safely on disk: what is refused must not come back after a restart.
            let _ = (self.replace)(&self.path, &self.contents);
            return Err(error);
        }
        self.contents = contents;
        Ok(())
    }
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

/// A line without what stands around its object. `index` counts lines from 0.
fn text_of(line: &[u8], index: usize) -> &[u8] {
    let text = match index {
        0 => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line),
        _ => line,
    };
    text.trim_ascii()
}

/// Reads all lines. Returns the accounts, and how many bytes are whole lines; what comes behind is torn. The error is the
/// number of a damaged line, counted from 1, and what is wrong with it.
fn parse(bytes: &[u8]) -> Result<(Vec<Record>, usize), (usize, String)> {
    let mut records = Vec::new();
    let mut lines_of_names = HashMap::new();
    let mut whole = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let text = text_of(line, index);
        let is_last = whole + line.len() == bytes.len();
        if is_last && is_torn(line, text) {
            break;
        }
        whole += line.len();
        if text.is_empty() {
            continue;
        }
        let number = index + 1;
        let record = parse_line(text).map_err(|what| (number, what))?;
        if let Some(earlier) = lines_of_names.insert(NameKey::new(&record.name), number) {
            let name = &record.name;
            return Err((
                number,
                format!("the name {name} stands in line {earlier} already"),
            ));
        }
        records.push(record);
    }
    Ok((records, whole))
}

/// Whether a last line was cut short, by an earlier version that added lines at the end: it has no closing brace yet, or
/// holes where the disk had not written.
fn is_torn(line: &[u8], text: &[u8]) -> bool {
    let is_cut = !line.ends_with(b"\n") && !text.ends_with(b"}");
    !text.is_empty() && (is_cut || text.contains(&0))
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
            .0
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
            fs::write(&path, &bytes[..cut]).unwrap();
            let (mut file, records) = AccountsFile::open(&path).unwrap();
            assert_eq!(records.len(), expected);
            file.add(&record("Dora")).unwrap();
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
            fs::write(&path, before).unwrap();
            let (mut file, _) = AccountsFile::open(&path).unwrap();
            file.remove(&NameKey::new(name)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
            file.add(&record(name)).unwrap();
            let added = String::from_utf8(file_of(&[name])).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, after + &added);
            AccountsFile::open(&path).unwrap();
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_cannot_be_saved_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        fs::write(&path, file_of(&["Anna", "Bobby"])).unwrap();
        let (mut file, _) = AccountsFile::open(&path).unwrap();
        // Where the new file would be written.
        let in_the_way = folder.path().join("accounts.jsonl.new");
        fs::create_dir(&in_the_way).unwrap();
        assert!(file.remove(&NameKey::new("Anna")).is_err());
        assert!(file.add(&record("Charles")).is_err());
        assert_eq!(names_in(&fs::read(&path).unwrap()), ["Anna", "Bobby"]);
        fs::remove_dir(&in_the_way).unwrap();
        file.remove(&NameKey::new("Anna")).unwrap();
        file.add(&record("Charles")).unwrap();
        assert_eq!(names_in(&fs::read(&path).unwrap()), ["Bobby", "Charles"]);
    }

    #[test]
    fn nothing_is_written_to_a_file_that_was_removed_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        let aside = folder.path().join("accounts.jsonl~");
        fs::write(&path, file_of(&["Anna"])).unwrap();
        let (mut file, _) = AccountsFile::open(&path).unwrap();
        fs::rename(&path, &aside).unwrap();
        for edited in [None, Some(file_of(&["Bobby"]))] {
            if let Some(edited) = &edited {
                fs::write(&path, edited).unwrap();
            }
            assert!(file.add(&record("Charles")).is_err());
            assert!(file.remove(&NameKey::new("Anna")).is_err());
            assert_eq!(fs::read(&path).ok(), edited);
            assert_eq!(fs::read(&aside).unwrap(), file_of(&["Anna"]));
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

    /// A file named so in the folder makes the disk fail before a new file is in place.
    const FULL: &str = "full";

    /// The same, but after it is in place: the folder can't be written.
    const UNSAFE: &str = "unsafe";

    /// Replaces files on a disk that fails when told to, each time once.
    fn replace_on_faulty_disk(path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap();
        if fs::remove_file(folder.join(FULL)).is_ok() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        durable_file::replace(path, bytes)?;
        match fs::remove_file(folder.join(UNSAFE)) {
            Ok(()) => Err(io::Error::other("the folder is not on disk")),
            Err(_) => Ok(()),
        }
    }

    #[test]
    fn a_disk_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.jsonl");
        let (mut file, _) = AccountsFile::open(&path).unwrap();
        file.replace = replace_on_faulty_disk;
        file.add(&record("Anna")).unwrap();
        for fault in [FULL, UNSAFE] {
            fs::write(folder.path().join(fault), "").unwrap();
            assert!(file.add(&record("Bobby")).is_err());
            assert_eq!(fs::read(&path).unwrap(), file_of(&["Anna"]), "{fault}");
            fs::write(folder.path().join(fault), "").unwrap();
            assert!(file.remove(&NameKey::new("Anna")).is_err());
            assert_eq!(fs::read(&path).unwrap(), file_of(&["Anna"]), "{fault}");
        }
        file.add(&record("Charles")).unwrap();
        file.remove(&NameKey::new("Anna")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), file_of(&["Charles"]));
    }
}
